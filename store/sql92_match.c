#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/scope.h"
#include "store/record.h"
#include "store/sql92_priv.h"

/* --- numbers as Java reads them -------------------------------------------------------- */

/* Integer.valueOf() and Long.valueOf(): false where they throw. */
static bool
read_integer(struct sql92_value text, int64_t min, int64_t max, int64_t *ret)
{
	size_t at = text.len > 0 && (text.text[0] == '-' || text.text[0] == '+');
	bool negative = at == 1 && text.text[0] == '-';
	int64_t n = 0;

	if (at == text.len)
		return false;
	for (; at < text.len; at++) {
		int digit = text.text[at] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, digit, &n))	/* below 0, where there is room for the least */
			return false;
	}
	if (!negative && __builtin_sub_overflow(0, n, &n))
		return false;
	*ret = n;
	return n >= min && n <= max;
}

/* Could Double.valueOf() read it?  strtod() takes more words than NaN and Infinity. */
static bool
looks_like_double(const char *s)
{
	s += *s == '-' || *s == '+';
	if (strcmp(s, "NaN") == 0 || strcmp(s, "Infinity") == 0)
		return true;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return strpbrk(s, "pP") != NULL;
	return (*s >= '0' && *s <= '9') || *s == '.';
}

/* Double.valueOf(): blanks around it, and one letter for its type behind it, do not count. */
static bool
read_double(struct sql92_value text, double *ret)
{
	const char *from = text.text, *to = text.text + text.len;
	AUTO_FREE char *copy = NULL;
	char *end;

	while (from < to && (unsigned char)*from <= ' ')
		from++;
	while (to > from && (unsigned char)to[-1] <= ' ')
		to--;
	copy = strndup(from, (size_t)(to - from));
	if (!copy || !looks_like_double(copy))
		return false;
	*ret = strtod(copy, &end);
	if (end == copy)
		return false;
	if (*end && strchr("fFdD", *end) && strchr("0123456789.", end[-1]))
		end++;
	return *end == '\0';
}

/* Java's Double.compareTo(): NaN is above all, -0.0 below 0.0. */
static int
compare_doubles(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	if (a == 0 && b == 0)
		return !!signbit(b) - !!signbit(a);
	return (a > b) - (a < b);
}

/* --- comparing ------------------------------------------------------------------------- */

/* Read the text as a value of that type; false: it is none. */
static bool
read_as(struct sql92_value text, enum sql92_type type, struct sql92_value *ret)
{
	ret->type = type;
	switch (type) {
	case SQL92_BOOLEAN:
		ret->number = text.len == 4 && strncasecmp(text.text, "true", 4) == 0;
		return true;
	case SQL92_INT:
		return read_integer(text, INT32_MIN, INT32_MAX, &ret->number);
	case SQL92_LONG:
		return read_integer(text, INT64_MIN, INT64_MAX, &ret->number);
	default:
		return read_double(text, &ret->real);
	}
}

static int
compare_texts(struct sql92_value a, struct sql92_value b)
{
	int order = memcmp(a.text, b.text, a.len < b.len ? a.len : b.len);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static double
as_double(struct sql92_value v)
{
	return v.type == SQL92_DOUBLE ? v.real : (double)v.number;
}

bool
sql92_compare(struct sql92_value a, struct sql92_value b, int *ret)
{
	if (a.type == SQL92_TEXT && b.type == SQL92_TEXT) {
		*ret = compare_texts(a, b);
		return true;
	}
	if (a.type == SQL92_BOOLEAN && b.type == SQL92_TEXT)
		return false;		/* Java fails to cast it */
	if (a.type == SQL92_TEXT && !read_as(a, b.type, &a))
		return false;
	if (b.type == SQL92_TEXT && !read_as(b, a.type, &b))
		return false;
	if ((a.type == SQL92_BOOLEAN) != (b.type == SQL92_BOOLEAN))
		*ret = -1;
	else if (a.type == SQL92_DOUBLE || b.type == SQL92_DOUBLE)
		*ret = compare_doubles(as_double(a), as_double(b));
	else
		*ret = (a.number > b.number) - (a.number < b.number);
	return true;
}

/* --- walking the tree -------------------------------------------------------------------- */

struct match {
	const struct sql92 *sql;
	const char *props;
	size_t props_len;
};

/* Every step returns false where RocketMQ throws an exception: the message does not match then. */
static bool eval(const struct match *m, uint32_t at, struct sql92_value *ret);

static const struct sql92_value null_value = { .type = SQL92_NULL };

static struct sql92_value
truth(bool is)
{
	return (struct sql92_value){ .type = SQL92_BOOLEAN, .number = is };
}

static bool
is_truth(const struct sql92_value *v, bool which)
{
	return v->type == SQL92_BOOLEAN && (v->number != 0) == which;
}

/* The last property of that name counts, as in RocketMQ's map. */
static struct sql92_value
property(const struct match *m, const struct sql92_value *name)
{
	struct sql92_value found = null_value;
	const char *key, *value;
	size_t key_len, value_len, cursor = 0;

	while (record_property_next(m->props, m->props_len, &cursor, &key, &key_len, &value, &value_len))
		if (key_len == name->len && memcmp(key, name->text, key_len) == 0)
			found = (struct sql92_value){ .type = SQL92_TEXT, .text = value, .len = value_len };
	return found;
}

/* AND ends at the first FALSE, OR at the first TRUE; without one a NULL decides. */
static bool
eval_logic(const struct match *m, const struct sql92_node *node, struct sql92_value *ret)
{
	bool decides = node->op == SQL92_OR;
	struct sql92_value left, right;

	if (!eval(m, node->left, &left))
		return false;
	if (!is_truth(&left, decides)) {
		if (!eval(m, node->right, &right))
			return false;
		if (!is_truth(&right, decides)) {
			*ret = left.type == SQL92_NULL || right.type == SQL92_NULL ? null_value : truth(!decides);
			return true;
		}
	}
	*ret = truth(decides);
	return true;
}

static bool
eval_equal(const struct match *m, const struct sql92_node *node, struct sql92_value *ret)
{
	struct sql92_value left, right;
	int order = 0;

	if (!eval(m, node->left, &left) || !eval(m, node->right, &right))
		return false;
	if (left.type == SQL92_NULL)
		*ret = right.type == SQL92_NULL ? truth(true) : null_value;
	else if (right.type == SQL92_NULL)
		*ret = truth(false);
	else if (!sql92_compare(left, right, &order))
		return false;
	else
		*ret = truth(order == 0);
	return true;
}

static bool
eval_ordered(const struct match *m, const struct sql92_node *node, struct sql92_value *ret)
{
	struct sql92_value left, right;
	int order = 0;

	*ret = null_value;
	if (!eval(m, node->left, &left))
		return false;
	if (left.type == SQL92_NULL)
		return true;
	if (!eval(m, node->right, &right))
		return false;
	if (right.type == SQL92_NULL)
		return true;
	if (left.type == SQL92_TEXT && right.type == SQL92_TEXT && !read_as(left, SQL92_DOUBLE, &left))
		return false;
	if (!sql92_compare(left, right, &order))
		return false;
	*ret = truth(node->op == SQL92_GREATER	       ? order > 0 :
		     node->op == SQL92_GREATER_EQUAL ? order >= 0 :
		     node->op == SQL92_LESS	       ? order < 0 :
						       order <= 0);
	return true;
}

static struct sql92_value
eval_in(const struct match *m, const struct sql92_node *node)
{
	struct sql92_value left = property(m, &m->sql->nodes[node->left].value);

	if (left.type == SQL92_NULL)
		return left;
	for (uint32_t at = node->right; at != 0; at = m->sql->nodes[at].right)
		if (compare_texts(left, m->sql->nodes[at].value) == 0)
			return truth(true);
	return truth(false);
}

/* A minus sign before a value: NULL unless it is a number. */
static struct sql92_value
negated(struct sql92_value v)
{
	if (v.type == SQL92_DOUBLE)
		v.real = -v.real;
	else if (v.type == SQL92_INT || v.type == SQL92_LONG)
		v.number = -v.number;	/* no constant is the least one */
	else
		v = null_value;
	return v;
}

static bool
eval(const struct match *m, uint32_t at, struct sql92_value *ret)
{
	const struct sql92_node *node = &m->sql->nodes[at];

	switch (node->op) {
	case SQL92_OR:
	case SQL92_AND:
		return eval_logic(m, node, ret);
	case SQL92_EQUAL:
		return eval_equal(m, node, ret);
	case SQL92_GREATER:
	case SQL92_GREATER_EQUAL:
	case SQL92_LESS:
	case SQL92_LESS_EQUAL:
		return eval_ordered(m, node, ret);
	case SQL92_IN:
		*ret = eval_in(m, node);
		return true;
	case SQL92_NOT:
		if (!eval(m, node->left, ret))
			return false;
		if (ret->type == SQL92_BOOLEAN)
			ret->number = !ret->number;
		return true;
	case SQL92_CAST:	/* a text is never Java's Boolean */
		if (!eval(m, node->left, ret))
			return false;
		if (ret->type != SQL92_NULL)
			*ret = truth(false);
		return true;
	case SQL92_NEGATE:
		if (!eval(m, node->left, ret))
			return false;
		*ret = negated(*ret);
		return true;
	case SQL92_PROPERTY:
		*ret = property(m, &node->value);
		return true;
	case SQL92_CONSTANT:
		*ret = node->value;
		return true;
	}
	return false;
}

bool
sql92_matches(const struct sql92 *sql, const char *props, size_t props_len)
{
	struct match m = { .sql = sql, .props = props, .props_len = props_len };
	struct sql92_value v;

	return eval(&m, sql->root, &v) && is_truth(&v, true);
}
