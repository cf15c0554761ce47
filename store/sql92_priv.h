/* sql92_priv.h - a parsed expression: what sql92.c makes and sql92_match.c walks. */
#ifndef MQFS_STORE_SQL92_PRIV_H
#define MQFS_STORE_SQL92_PRIV_H

#include <stdint.h>

#include "store/sql92.h"

/* RocketMQ has Java's types: which of them a number is decides how a text beside it is read. */
enum sql92_type { SQL92_NULL, SQL92_BOOLEAN, SQL92_INT, SQL92_LONG, SQL92_DOUBLE, SQL92_TEXT };

struct sql92_value {
	enum sql92_type type;
	union {
		int64_t number;		/* BOOLEAN, INT, LONG */
		double real;
		struct {
			const char *text;
			size_t len;
		};
	};
};

enum sql92_op {
	/* booleans */
	SQL92_OR, SQL92_AND, SQL92_NOT,
	SQL92_EQUAL,			/* also IS NULL: beside a constant NULL */
	SQL92_GREATER, SQL92_GREATER_EQUAL, SQL92_LESS, SQL92_LESS_EQUAL,
	SQL92_IN,			/* left: the property; right: the first of a chain of texts */
	SQL92_CAST,			/* a property where a boolean is wanted */

	/* any value */
	SQL92_NEGATE,
	SQL92_PROPERTY,			/* its name is `value` */
	SQL92_CONSTANT,
};

/* Nodes name each other by their place; operands stand before what uses them. */
struct sql92_node {
	enum sql92_op op;
	uint32_t left, right;		/* NOT, CAST, NEGATE: left.  A text of IN: right is the next, 0: none */
	uint32_t depth;			/* of the tree below it */
	struct sql92_value value;
};

struct sql92 {
	struct sql92_node *nodes;
	size_t n, max;
	uint32_t root;
	char *texts;			/* what values point to */
};

/* Java's compareTo() after both were converted to one type, as in RocketMQ.  False: that is not possible,
 * and RocketMQ throws an exception. */
bool sql92_compare(struct sql92_value a, struct sql92_value b, int *ret);

#endif
