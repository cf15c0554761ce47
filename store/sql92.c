#include "config.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/array.h"
#include "conf/err.h"
#include "store/sql92_priv.h"

/* --- words ------------------------------------------------------------------------- */

enum word {
	W_END, W_BAD,
	W_NOT, W_AND, W_OR, W_BETWEEN, W_IN, W_TRUE, W_FALSE, W_NULL, W_IS,
	W_PROPERTY, W_STRING, W_INTEGER, W_FLOAT,
	W_EQUAL, W_NOT_EQUAL, W_GREATER, W_GREATER_EQUAL, W_LESS, W_LESS_EQUAL,
	W_OPEN, W_CLOSE, W_COMMA, W_PLUS, W_MINUS,
};

static const struct {
	const char *text;
	enum word word;
} key_words[] = {
	{ "NOT", W_NOT },   { "AND", W_AND },	  { "OR", W_OR },     { "BETWEEN", W_BETWEEN }, { "IN", W_IN },
	{ "TRUE", W_TRUE }, { "FALSE", W_FALSE }, { "NULL", W_NULL }, { "IS", W_IS },
}, signs[] = {	/* longer ones before what they begin with */
	{ "<>", W_NOT_EQUAL }, { ">=", W_GREATER_EQUAL }, { "<=", W_LESS_EQUAL }, { "=", W_EQUAL },
	{ ">", W_GREATER },    { "<", W_LESS },		  { "(", W_OPEN },	  { ")", W_CLOSE },
	{ ",", W_COMMA },      { "+", W_PLUS },		  { "-", W_MINUS },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct token {
	enum word word;
	const char *at;
	size_t len;
};

/* The parser: one token is always read ahead, a second one is looked at where the
 * grammar asks for it.  The first error stays; after it every step is a no-op. */
struct parser {
	const char *text, *end;
	const char *next;		/* behind `token` */
	struct token token;
	const char *used;		/* behind the last token that was taken */
	struct sql92 *sql;
	char *texts;			/* free room of sql->texts */
	int depth;
	int rc;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

/* The position behind the comment that begins at `at`; `at` if there is none.  As in RocketMQ a line
 * comment must end with its line, and a block comment must be closed. */
static const char *
skip_comment(const char *at, const char *end)
{
	if (end - at < 2)
		return at;
	if (at[0] == '-' && at[1] == '-') {
		for (const char *p = at + 2; p < end; p++)
			if (*p == '\n' || *p == '\r')
				return p + 1;
	} else if (at[0] == '/' && at[1] == '*') {
		for (const char *p = at + 2; p + 1 < end; p++)
			if (p[0] == '*' && p[1] == '/')
				return p + 2;
	}
	return at;
}

static const char *
skip_blanks(const char *at, const char *end)
{
	for (;;) {
		const char *before = at;

		while (at < end && memchr(" \t\n\r\f", *at, 5))
			at++;
		at = skip_comment(at, end);
		if (at == before)
			return at;
	}
}

static const char *
skip_digits(const char *at, const char *end)
{
	while (at < end && is_digit(*at))
		at++;
	return at;
}

static const char *
skip_exponent(const char *at, const char *end)
{
	const char *digits = at + 1;

	if (at >= end || (*at != 'e' && *at != 'E'))
		return at;
	if (digits < end && (*digits == '+' || *digits == '-'))
		digits++;
	return digits < end && is_digit(*digits) ? skip_digits(digits, end) : at;
}

/* The longest number that begins at `at`, where a digit or a "." with a digit is. */
static struct token
read_number(const char *at, const char *end)
{
	const char *digits = skip_digits(at, end), *p = digits;

	if (p < end && *p == '.')
		p = skip_digits(p + 1, end);
	p = skip_exponent(p, end);
	if (p > digits)
		return (struct token){ W_FLOAT, at, (size_t)(p - at) };
	if (*at == '0')
		return (struct token){ W_INTEGER, at, 1 };
	if (p < end && (*p == 'l' || *p == 'L'))
		p++;
	return (struct token){ W_INTEGER, at, (size_t)(p - at) };
}

/* 'text', in which '' stands for one ' */
static struct token
read_string(const char *at, const char *end)
{
	for (const char *p = at + 1; p < end; p++) {
		if (*p != '\'')
			continue;
		if (p + 1 < end && p[1] == '\'')
			p++;
		else
			return (struct token){ W_STRING, at, (size_t)(p + 1 - at) };
	}
	return (struct token){ W_BAD, at, 1 };
}

static struct token
read_name(const char *at, const char *end)
{
	struct token t = { W_PROPERTY, at, 0 };

	while (at + t.len < end && (is_name(at[t.len]) || is_digit(at[t.len])))
		t.len++;
	for (size_t i = 0; i < COUNT(key_words); i++)
		if (t.len == strlen(key_words[i].text) && strncasecmp(at, key_words[i].text, t.len) == 0)
			t.word = key_words[i].word;
	return t;
}

static struct token
read_token(const char *at, const char *end)
{
	at = skip_blanks(at, end);
	if (at == end)
		return (struct token){ W_END, at, 0 };
	if (is_digit(*at) || (*at == '.' && at + 1 < end && is_digit(at[1])))
		return read_number(at, end);
	if (is_name(*at))
		return read_name(at, end);
	if (*at == '\'')
		return read_string(at, end);
	for (size_t i = 0; i < COUNT(signs); i++) {
		size_t len = strlen(signs[i].text);

		if ((size_t)(end - at) >= len && memcmp(at, signs[i].text, len) == 0)
			return (struct token){ signs[i].word, at, len };
	}
	return (struct token){ W_BAD, at, 1 };
}

/* --- the parser's steps ---------------------------------------------------------------- */

static void
look(struct parser *p)
{
	p->token = read_token(p->next, p->end);
	p->next = p->token.at + p->token.len;
}

static void
take(struct parser *p)
{
	p->used = p->next;
	look(p);
}

/* The word behind the one that is looked at. */
static enum word
second(const struct parser *p)
{
	return read_token(p->next, p->end).word;
}

static uint32_t
refuse(struct parser *p, const char *what)
{
	if (p->rc == MQ_OK)
		p->rc = err_note(-EINVAL, "the expression cannot be understood at byte %td: %s",
				 p->token.at - p->text + 1, what);
	return 0;
}

static bool
take_if(struct parser *p, enum word word)
{
	if (p->rc != MQ_OK || p->token.word != word)
		return false;
	take(p);
	return true;
}

static void
expect(struct parser *p, enum word word, const char *what)
{
	if (!take_if(p, word))
		(void)refuse(p, what);
}

/* --- nodes ----------------------------------------------------------------------------- */

static uint32_t
add(struct parser *p, struct sql92_node node)
{
	struct sql92 *sql = p->sql;

	if (p->rc == MQ_OK)
		p->rc = ARRAY_ROOM(sql->nodes, sql->max, sql->n + 1);
	if (p->rc != MQ_OK)
		return 0;
	sql->nodes[sql->n] = node;
	return (uint32_t)sql->n++;
}

static uint32_t
add_op(struct parser *p, enum sql92_op op, uint32_t left, uint32_t right)
{
	struct sql92_node node = { .op = op, .left = left, .right = right };

	if (p->rc != MQ_OK)
		return 0;
	node.depth = 1 + p->sql->nodes[left].depth;
	if (p->sql->nodes[right].depth >= node.depth)
		node.depth = 1 + p->sql->nodes[right].depth;
	if (node.depth > SQL92_CHAIN_MAX)
		return refuse(p, "too many comparisons");
	return add(p, node);
}

static uint32_t
add_constant(struct parser *p, struct sql92_value value)
{
	return add(p, (struct sql92_node){ .op = SQL92_CONSTANT, .value = value });
}

static const struct sql92_node *
node_at(const struct parser *p, uint32_t at)
{
	return &p->sql->nodes[at];
}

static bool
is_constant(const struct parser *p, uint32_t at)
{
	return p->rc == MQ_OK && node_at(p, at)->op == SQL92_CONSTANT;
}

static bool
is_number(const struct sql92_value *v)
{
	return v->type == SQL92_INT || v->type == SQL92_LONG || v->type == SQL92_DOUBLE;
}

/* Is the value of the node always TRUE, FALSE or NULL? */
static bool
is_boolean(const struct sql92_node *node)
{
	if (node->op == SQL92_CONSTANT)
		return node->value.type == SQL92_BOOLEAN || node->value.type == SQL92_NULL;
	return node->op <= SQL92_CAST;
}

/* The node as a boolean: a property is cast, another value refused. */
static uint32_t
boolean(struct parser *p, uint32_t at)
{
	if (p->rc != MQ_OK || is_boolean(node_at(p, at)))
		return at;
	if (node_at(p, at)->op == SQL92_PROPERTY)
		return add_op(p, SQL92_CAST, at, 0);
	return refuse(p, "what stands before it is neither true nor false");
}

static uint32_t
add_equal(struct parser *p, uint32_t left, uint32_t right)
{
	if (p->rc != MQ_OK)
		return 0;
	for (int side = 0; side < 2; side++) {
		uint32_t at = side ? right : left;

		if (is_constant(p, at) && node_at(p, at)->value.type == SQL92_NULL)
			return refuse(p, "NULL is not compared: IS NULL is meant");
	}
	if (is_constant(p, left) && is_constant(p, right) && is_boolean(node_at(p, left)) &&
	    !is_boolean(node_at(p, right)))
		return refuse(p, "TRUE and FALSE are not compared with another kind of value");
	return add_op(p, SQL92_EQUAL, left, right);
}

/* Only numbers have an order, and properties, which may be numbers. */
static void
check_ordered(struct parser *p, uint32_t at)
{
	if (p->rc != MQ_OK)
		return;
	if (is_constant(p, at) ? !is_number(&node_at(p, at)->value) : is_boolean(node_at(p, at)))
		(void)refuse(p, "only numbers are compared by order");
}

static uint32_t
add_ordered(struct parser *p, enum sql92_op op, uint32_t left, uint32_t right)
{
	check_ordered(p, left);
	check_ordered(p, right);
	return add_op(p, op, left, right);
}

static uint32_t
add_between(struct parser *p, uint32_t value, uint32_t low, uint32_t high, bool not)
{
	int order = 0;

	if (not)
		return add_op(p, SQL92_OR, add_ordered(p, SQL92_LESS, value, low),
			      add_ordered(p, SQL92_GREATER, value, high));
	check_ordered(p, low);
	check_ordered(p, high);
	if (is_constant(p, low) && is_constant(p, high) &&
	    (!sql92_compare(node_at(p, high)->value, node_at(p, low)->value, &order) || order < 0))
		return refuse(p, "BETWEEN has its greater number first");
	return add_op(p, SQL92_AND, add_ordered(p, SQL92_GREATER_EQUAL, value, low),
		      add_ordered(p, SQL92_LESS_EQUAL, value, high));
}

/* --- the grammar ------------------------------------------------------------------------- */

static uint32_t parse_or(struct parser *p);
static uint32_t parse_unary(struct parser *p);

/* sql->texts has room for all texts of the expression: see sql92_parse(). */
static uint32_t
take_text(struct parser *p, enum sql92_op op, const char *text, size_t len)
{
	struct sql92_node node = { .op = op, .value = { .type = SQL92_TEXT, .text = p->texts, .len = len } };

	memcpy(p->texts, text, len);
	p->texts += len;
	take(p);
	return add(p, node);
}

static uint32_t
take_string(struct parser *p)
{
	const char *from = p->token.at + 1, *end = p->token.at + p->token.len - 1;
	struct sql92_value v = { .type = SQL92_TEXT, .text = p->texts };

	if (p->token.word != W_STRING)
		return refuse(p, "a text in quotes is wanted");
	for (; from < end; from++) {
		*p->texts++ = *from;
		if (*from == '\'')
			from++;
	}
	v.len = (size_t)(p->texts - v.text);
	take(p);
	return add_constant(p, v);
}

static uint32_t
take_integer(struct parser *p)
{
	struct sql92_value v = { .type = SQL92_LONG };

	for (size_t i = 0; i < p->token.len && is_digit(p->token.at[i]); i++)
		if (__builtin_mul_overflow(v.number, 10, &v.number) ||
		    __builtin_add_overflow(v.number, p->token.at[i] - '0', &v.number))
			return refuse(p, "the number does not fit 64 bits");
	if (v.number <= INT32_MAX)
		v.type = SQL92_INT;
	take(p);
	return add_constant(p, v);
}

static uint32_t
take_float(struct parser *p)
{
	struct sql92_value v = { .type = SQL92_DOUBLE };
	char *digits = strndup(p->token.at, p->token.len);

	if (!digits) {
		p->rc = -ENOMEM;
		return 0;
	}
	v.real = strtod(digits, NULL);
	free(digits);
	if (!isfinite(v.real) || v.real <= 0)
		return refuse(p, "the number is too great, or not greater than 0");
	take(p);
	return add_constant(p, v);
}

static uint32_t
take_constant(struct parser *p, enum sql92_type type, bool value)
{
	take(p);
	return add_constant(p, (struct sql92_value){ .type = type, .number = value });
}

static uint32_t
parse_primary(struct parser *p)
{
	uint32_t at;

	if (p->rc != MQ_OK)
		return 0;
	switch (p->token.word) {
	case W_STRING:
		return take_string(p);
	case W_INTEGER:
		return take_integer(p);
	case W_FLOAT:
		return take_float(p);
	case W_TRUE:
		return take_constant(p, SQL92_BOOLEAN, true);
	case W_FALSE:
		return take_constant(p, SQL92_BOOLEAN, false);
	case W_NULL:
		return take_constant(p, SQL92_NULL, false);
	case W_PROPERTY:
		return take_text(p, SQL92_PROPERTY, p->token.at, p->token.len);
	case W_OPEN:
		take(p);
		at = parse_or(p);
		expect(p, W_CLOSE, "a ) is wanted");
		return at;
	default:
		return refuse(p, "a value is wanted");
	}
}

/* One level deeper: the depth is limited because the parser is recursive. */
static bool
go_down(struct parser *p)
{
	if (p->rc == MQ_OK && ++p->depth > SQL92_DEPTH_MAX)
		(void)refuse(p, "too much within each other");
	return p->rc == MQ_OK;
}

static uint32_t
parse_unary(struct parser *p)
{
	uint32_t at = 0;

	if (!go_down(p))
		return 0;
	if (take_if(p, W_PLUS))
		at = parse_unary(p);
	else if (take_if(p, W_MINUS))
		at = add_op(p, SQL92_NEGATE, parse_unary(p), 0);
	else if (take_if(p, W_NOT))
		at = add_op(p, SQL92_NOT, boolean(p, parse_unary(p)), 0);
	else
		at = parse_primary(p);
	p->depth--;
	return at;
}

static uint32_t
parse_in(struct parser *p, uint32_t left, bool not)
{
	uint32_t first, last, in;

	if (p->rc == MQ_OK && node_at(p, left)->op != SQL92_PROPERTY)
		return refuse(p, "IN is for a property");
	expect(p, W_OPEN, "a ( is wanted");
	first = last = p->rc == MQ_OK ? take_string(p) : 0;
	while (take_if(p, W_COMMA)) {
		uint32_t next = take_string(p);

		if (p->rc == MQ_OK)
			p->sql->nodes[last].right = next;
		last = next;
	}
	expect(p, W_CLOSE, "a ) is wanted");
	in = add_op(p, SQL92_IN, left, first);
	return not ? add_op(p, SQL92_NOT, in, 0) : in;
}

static uint32_t
parse_between(struct parser *p, uint32_t value, bool not)
{
	uint32_t low = parse_unary(p);

	expect(p, W_AND, "BETWEEN wants an AND");
	return add_between(p, value, low, parse_unary(p), not);
}

static uint32_t
parse_comparison(struct parser *p)
{
	static const struct {
		enum word word;
		enum sql92_op op;
	} orders[] = { { W_GREATER, SQL92_GREATER },	{ W_GREATER_EQUAL, SQL92_GREATER_EQUAL },
		       { W_LESS, SQL92_LESS },		{ W_LESS_EQUAL, SQL92_LESS_EQUAL } };
	uint32_t left = parse_unary(p);

	while (p->rc == MQ_OK) {
		size_t i = 0;
		bool not;

		while (i < COUNT(orders) && orders[i].word != p->token.word)
			i++;
		if (i < COUNT(orders)) {
			take(p);
			left = add_ordered(p, orders[i].op, left, parse_unary(p));
			continue;
		}
		not = p->token.word == W_NOT;
		if (not && second(p) != W_BETWEEN && second(p) != W_IN)
			return refuse(p, "NOT stands before BETWEEN or IN here");
		if (not)
			take(p);
		if (take_if(p, W_BETWEEN))
			left = parse_between(p, left, not);
		else if (take_if(p, W_IN))
			left = parse_in(p, left, not);
		else
			break;
	}
	return left;
}

static uint32_t
parse_is_null(struct parser *p, uint32_t left)
{
	bool not = take_if(p, W_NOT);
	uint32_t at;

	expect(p, W_NULL, "IS stands before NULL or NOT NULL");
	at = add_op(p, SQL92_EQUAL, left, add_constant(p, (struct sql92_value){ .type = SQL92_NULL }));
	return not ? add_op(p, SQL92_NOT, at, 0) : at;
}

static uint32_t
parse_equality(struct parser *p)
{
	uint32_t left = parse_comparison(p);

	while (p->rc == MQ_OK) {
		if (take_if(p, W_EQUAL))
			left = add_equal(p, left, parse_comparison(p));
		else if (take_if(p, W_NOT_EQUAL))
			left = add_op(p, SQL92_NOT, add_equal(p, left, parse_comparison(p)), 0);
		else if (take_if(p, W_IS))
			left = parse_is_null(p, left);
		else
			break;
	}
	return left;
}

static uint32_t
parse_and(struct parser *p)
{
	uint32_t left = parse_equality(p);

	while (take_if(p, W_AND)) {
		uint32_t right = parse_equality(p);

		left = add_op(p, SQL92_AND, boolean(p, left), boolean(p, right));
	}
	return left;
}

static uint32_t
parse_or(struct parser *p)
{
	uint32_t left = parse_and(p);

	while (take_if(p, W_OR)) {
		uint32_t right = parse_and(p);

		left = add_op(p, SQL92_OR, boolean(p, left), boolean(p, right));
	}
	return left;
}

/* --- the interface -------------------------------------------------------------------------- */

int
sql92_parse(const char *text, size_t len, struct sql92 **ret, size_t *ret_used)
{
	struct parser p = { .text = text, .end = text + len, .next = text, .used = text };

	if (len > SQL92_TEXT_MAX)
		return err_note(-EINVAL, "the expression is longer than %d bytes", SQL92_TEXT_MAX);
	p.sql = calloc(1, sizeof(*p.sql));
	if (p.sql)
		p.sql->texts = p.texts = malloc(len + 1);	/* no token's text is longer than the token */
	if (!p.sql || !p.texts) {
		sql92_free(p.sql);
		return -ENOMEM;
	}
	look(&p);
	p.sql->root = boolean(&p, parse_or(&p));
	if (p.rc == MQ_OK && p.token.word == W_BAD)
		(void)refuse(&p, "no word or sign begins like that");
	if (p.rc != MQ_OK) {
		sql92_free(p.sql);
		return p.rc;
	}
	if (ret_used)
		*ret_used = (size_t)(skip_blanks(p.used, p.end) - text);
	*ret = p.sql;
	return MQ_OK;
}

void
sql92_free(struct sql92 *sql)
{
	if (!sql)
		return;
	free(sql->nodes);
	free(sql->texts);
	free(sql);
}
