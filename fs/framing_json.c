#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "fs/framing.h"
#include "store/base64.h"
#include "store/properties.h"

/* Escaped, each byte of text takes 6 characters at most ("\u0001"); and a
 * message's tags and keys may be there a second time, as properties. */
#define ESCAPED_BYTES_MAX 6
#define AROUND_BYTES_MAX (3 * ESCAPED_BYTES_MAX * (RECORD_PROPS_MAX + 1))

size_t
framing_json_line_max(size_t max_body)
{
	return ESCAPED_BYTES_MAX * max_body + AROUND_BYTES_MAX;
}

/* --- parsing -------------------------------------------------------------------- */

/* What a line may have; what the broker sets itself is let by. */
static const char *const members[] = {
	"body", "body64", "tags", "keys", "flag", "bornTimestamp", "properties",
	"topic", "queueId", "queueOffset", "phyOffset", "msgId", "storeTimestamp", "storeHost", "bornHost",
	"sysFlag", "reconsumeTimes", "packed", "preparedTransactionOffset",
};

static int
check_members(json_t *root)
{
	const char *name;
	json_t *value;

	json_object_foreach(root, name, value) {
		size_t i = 0;

		while (i < sizeof(members) / sizeof(members[0]) && strcmp(members[i], name) != 0)
			i++;
		if (i == sizeof(members) / sizeof(members[0]))
			return err_note(-EINVAL, "json: unknown member \"%.64s\"; known: body, body64, tags, "
					"keys, flag, bornTimestamp, properties", name);
	}
	return MQ_OK;
}

/* The member, NULL if it is absent or null. */
static json_t *
member_get(json_t *root, const char *name)
{
	json_t *value = json_object_get(root, name);

	return json_is_null(value) ? NULL : value;
}

static int
number_take(json_t *root, const char *name, int64_t min, int64_t max, int64_t *ret_n)
{
	json_t *value = member_get(root, name);

	if (!value)
		return MQ_OK;
	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
		return err_note(-EINVAL, "json: %s must be a number from %" PRId64 " to %" PRId64, name, min,
				max);
	*ret_n = json_integer_value(value);
	return MQ_OK;
}

static int
body_take(json_t *root, struct json_message *msg)
{
	json_t *body = member_get(root, "body"), *body64 = member_get(root, "body64");
	json_t *given = body ? body : body64;
	size_t len;

	if (body && body64)
		return err_note(-EINVAL, "json: body and body64 are both there");
	if (!given)
		return MQ_OK;
	if (!json_is_string(given))
		return err_note(-EINVAL, "json: %s must be a text", body ? "body" : "body64");
	len = json_string_length(given);
	msg->body = malloc(len + 1);
	if (!msg->body)
		return -ENOMEM;
	msg->body_len = len;
	if (body)
		memcpy(msg->body, json_string_value(given), len);
	else if (base64_decode(json_string_value(given), len, msg->body, &msg->body_len) != MQ_OK)
		return err_note(-EINVAL, "json: body64 is not base64");
	return MQ_OK;
}

/* keys as an array: each one a key.  *ret_text is the caller's to free. */
static int
keys_join(const json_t *keys, char **ret_text, size_t *ret_len)
{
	const json_t *key;
	size_t i, len = 0;
	char *text;

	json_array_foreach(keys, i, key) {
		if (!json_is_string(key) || json_string_length(key) == 0)
			return err_note(-EINVAL, "json: a key must be a text, not empty");
		if (memchr(json_string_value(key), ' ', json_string_length(key)))
			return err_note(-EINVAL, "json: a key cannot hold a space");
		len += json_string_length(key) + 1;
	}
	text = malloc(len + 1);
	if (!text)
		return -ENOMEM;
	len = 0;
	json_array_foreach(keys, i, key) {
		if (i > 0)
			text[len++] = ' ';
		memcpy(text + len, json_string_value(key), json_string_length(key));
		len += json_string_length(key);
	}
	*ret_text = text;
	*ret_len = len;
	return MQ_OK;
}

static int
props_text(struct properties *p, const char *name, const char *text, size_t len)
{
	int rc = properties_add(p, name, text, len);

	return rc == -EINVAL || rc == -EMSGSIZE ? err_note(rc, "json: %s", err_text(rc)) : rc;
}

static int
props_add(struct properties *p, const char *name, const json_t *value)
{
	AUTO_FREE char *joined = NULL;
	size_t len = 0;
	int rc;

	if (json_is_array(value)) {
		rc = keys_join(value, &joined, &len);
		return rc == MQ_OK ? props_text(p, name, joined, len) : rc;
	}
	if (!json_is_string(value))
		return err_note(-EINVAL, "json: %.64s must be a text, not empty", name);
	return props_text(p, name, json_string_value(value), json_string_length(value));
}

/* Does tags or keys say anything?  An empty one is as good as none. */
static json_t *
given(json_t *root, const char *member, bool list)
{
	json_t *value = member_get(root, member);

	if (json_is_string(value) && json_string_length(value) == 0)
		return NULL;
	if (list && json_is_array(value) && json_array_size(value) == 0)
		return NULL;
	return value;
}

/* All properties in the order they are given; tags and keys in the place of
 * TAGS and KEYS, or behind. */
static int
props_fill(struct properties *p, json_t *root)
{
	json_t *all = member_get(root, "properties");
	json_t *tags = given(root, "tags", false), *keys = given(root, "keys", true);
	json_t *value;
	const char *name;
	int rc = MQ_OK;

	if (json_is_array(tags))
		return err_note(-EINVAL, "json: tags must be a text");
	if (all && !json_is_object(all))
		return err_note(-EINVAL, "json: properties must be an object");
	json_object_foreach(all, name, value) {
		bool is_tags = strcmp(name, "TAGS") == 0, is_keys = strcmp(name, "KEYS") == 0;

		if (json_is_array(value))
			return err_note(-EINVAL, "json: %.64s must be a text, not empty", name);
		rc = props_add(p, name, is_tags && tags ? tags : is_keys && keys ? keys : value);
		if (rc != MQ_OK)
			return rc;
	}
	if (tags && !json_object_get(all, "TAGS"))
		rc = props_add(p, "TAGS", tags);
	if (rc == MQ_OK && keys && !json_object_get(all, "KEYS"))
		rc = props_add(p, "KEYS", keys);
	return rc;
}

static int
props_take(json_t *root, struct json_message *msg)
{
	struct properties p = { .buf = malloc(RECORD_PROPS_MAX), .size = RECORD_PROPS_MAX };
	int rc;

	if (!p.buf)
		return -ENOMEM;
	rc = props_fill(&p, root);
	msg->props = p.buf;
	msg->props_len = p.len;
	return rc;
}

static int
message_take(json_t *root, struct json_message *msg)
{
	int64_t flag = 0;
	int rc;

	if (!json_is_object(root))
		return err_note(-EINVAL, "json: a line must be one object");
	rc = check_members(root);
	if (rc == MQ_OK)
		rc = number_take(root, "flag", INT32_MIN, INT32_MAX, &flag);
	if (rc == MQ_OK)
		rc = number_take(root, "bornTimestamp", 0, INT64_MAX, &msg->born_ms);
	if (rc == MQ_OK)
		rc = body_take(root, msg);
	if (rc == MQ_OK)
		rc = props_take(root, msg);
	msg->flag = (int32_t)flag;
	return rc;
}

/* Hands both pieces to jansson, one after the other. */
static size_t
piece_read(void *buf, size_t size, void *piece)
{
	struct piece *p = piece;
	size_t n;

	if (p->a_len == 0) {
		p->a = p->b;
		p->a_len = p->b_len;
		p->b_len = 0;
	}
	n = p->a_len < size ? p->a_len : size;
	if (n > 0) {
		memcpy(buf, p->a, n);
		p->a += n;
		p->a_len -= n;
	}
	return n;
}

int
framing_json_parse(const struct piece *line, struct json_message *ret_msg)
{
	struct json_message msg = { .born_ms = 0 };
	struct piece left = *line;
	json_error_t why;
	json_t *root;
	int rc;

	root = json_load_callback(piece_read, &left, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	if (!root)
		return err_note(-EINVAL, "json: %s (at byte %d)", why.text, why.position);
	rc = message_take(root, &msg);
	json_decref(root);
	if (rc != MQ_OK) {
		json_message_free(&msg);
		return rc;
	}
	*ret_msg = msg;
	return MQ_OK;
}

void
json_message_free(struct json_message *msg)
{
	free(msg->body);
	free(msg->props);
	msg->body = NULL;
	msg->props = NULL;
	msg->body_len = msg->props_len = 0;
}
