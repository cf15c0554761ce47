/* Any line: what it parses to, rendered, parses to the same.  Any record:
 * renders to JSON, in slices as in one.
 *
 * Input: a line; or 0x00, the length of a body, a body, properties.
 */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "fs/framing.h"
#include "tests/fuzz/target.h"

/* The line, checked against its length and its halves. */
static char *
rendered(const struct record *rec, size_t *ret_len)
{
	size_t len = framing_length(FORMAT_JSON, rec), half = len / 2;
	char *line = malloc(len), *again = malloc(len);

	MUST(line && again);
	MUST(framing_render(FORMAT_JSON, rec, 0, line, len) == len);
	MUST(framing_render(FORMAT_JSON, rec, 0, again, half) == half);
	MUST(framing_render(FORMAT_JSON, rec, half, again + half, len) == len - half);
	MUST(memcmp(line, again, len) == 0);
	MUST(len <= framing_json_line_max((size_t)rec->body_len));
	free(again);
	*ret_len = len;
	return line;
}

static struct record
record_of(const void *body, size_t body_len, const char *props, size_t props_len)
{
	return (struct record){
		.body = body, .body_len = (int32_t)body_len, .props = props, .props_len = (int16_t)props_len,
		.topic = "T", .topic_len = 1, .born_ms = 1700000000000,
	};
}

static void
check_line(const uint8_t *data, size_t size)
{
	struct piece p = { .a = data, .a_len = size / 3, .b = data + size / 3, .b_len = size - size / 3 };
	struct json_message first, second;
	struct record rec;
	size_t len;
	char *line;

	if (framing_json_parse(&p, &first) != MQ_OK)
		return;
	MUST(first.props_len <= RECORD_PROPS_MAX);
	rec = record_of(first.body, first.body_len, first.props, first.props_len);
	rec.flag = first.flag;
	rec.born_ms = first.born_ms;
	line = rendered(&rec, &len);
	p = (struct piece){ .b = (unsigned char *)line, .b_len = len };
	MUST(framing_json_parse(&p, &second) == MQ_OK);
	MUST(second.body_len == first.body_len && second.props_len == first.props_len);
	MUST(first.body_len == 0 || memcmp(second.body, first.body, first.body_len) == 0);
	MUST(first.props_len == 0 || memcmp(second.props, first.props, first.props_len) == 0);
	MUST(second.flag == first.flag && second.born_ms == first.born_ms);
	json_message_free(&first);
	json_message_free(&second);
	free(line);
}

static void
check_record(const uint8_t *data, size_t size)
{
	size_t body_len = data[0] < size - 1 ? data[0] : size - 1;
	size_t props_len = size - 1 - body_len;
	struct record rec;
	json_t *root;
	size_t len;
	char *line;

	if (props_len > RECORD_PROPS_MAX)
		return;
	rec = record_of(data + 1, body_len, (const char *)data + 1 + body_len, props_len);
	line = rendered(&rec, &len);
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	MUST(root);
	json_decref(root);
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 2 && data[0] == 0)
		check_record(data + 1, size - 1);
	else
		check_line(data, size);
	return 0;
}
