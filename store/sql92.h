/* sql92.h - RocketMQ's filter language: is an expression true for a message's properties?
 *
 *   or         = and *( OR and )
 *   and        = equality *( AND equality )
 *   equality   = comparison *( ( "=" | "<>" ) comparison | IS [ NOT ] NULL )
 *   comparison = unary *( ( ">" | ">=" | "<" | "<=" ) unary
 *                       | [ NOT ] BETWEEN unary AND unary
 *                       | [ NOT ] IN "(" STRING *( "," STRING ) ")" )
 *   unary      = ( "+" | "-" | NOT ) unary | primary
 *   primary    = STRING | INTEGER | FLOAT | TRUE | FALSE | NULL | PROPERTY | "(" or ")"
 *
 *   STRING     'it''s'              INTEGER   0, 17, 17L: 64 bits, no leading zeros
 *   PROPERTY   [a-zA-Z_$][a-zA-Z0-9_$]*       FLOAT     1.5, .5, 5E3: greater than 0
 *   Key words in either case; comments are "--" to the end of a line, and C's.
 *
 * Grammar and meaning are those of RocketMQ 4.9's module `filter`, also where they surprise: NOT
 * binds closer than a comparison (`NOT a = 1` is `(NOT a) = 1`); a property by itself is false if
 * the message has it; 0.0 cannot be written; and text behind a complete expression is ignored, so
 * sql92_parse() says where that begins.
 *
 * Properties are texts.  One that is compared with a number is read as a number of that kind (32
 * bits, 64 bits, floating point).  If that fails, or if two texts that are no numbers are compared
 * by "<", the whole expression is not true.  A property that the message does not have is NULL, and
 * so is a comparison with it; AND, OR and NOT have three values, and only TRUE selects a message.
 *
 * Pure: no I/O, no locks.  A parsed expression never changes: any number of threads may
 * match with it.
 */
#ifndef MQFS_STORE_SQL92_H
#define MQFS_STORE_SQL92_H

#include <stdbool.h>
#include <stddef.h>

#define SQL92_TEXT_MAX (64 << 10)	/* bytes of an expression */
#define SQL92_DEPTH_MAX 200		/* parentheses, signs and NOTs within each other */
#define SQL92_CHAIN_MAX 2000		/* ORs, ANDs and comparisons one after the other */

struct sql92;

/* MQ_OK: *ret is the caller's, for sql92_free(); it does not refer to text.  *ret_used (may be NULL) is
 * the length of the expression with the blanks behind it: less than len if other text follows.
 * -EINVAL: text begins with no expression, noted with the place.  -ENOMEM. */
int sql92_parse(const char *text, size_t len, struct sql92 **ret, size_t *ret_used);
void sql92_free(struct sql92 *sql);	/* accepts NULL */

/* Is it TRUE for these properties (encoded as in a record)? */
bool sql92_matches(const struct sql92 *sql, const char *props, size_t props_len);

#endif
