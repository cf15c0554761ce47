#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "net/blob.h"

/* --- out ------------------------------------------------------------------------------- */

static size_t
pairs_bytes(json_t *ext)
{
	size_t bytes = 0;
	const char *name;
	json_t *value;

	json_object_foreach(ext, name, value)
		bytes += strlen(name) > INT16_MAX ? LINK_BLOB_MAX + 1 : 2 + strlen(name) + 4 + json_string_length(value);
	return bytes;
}

static void
put_pairs(char *at, json_t *ext)
{
	const char *name;
	json_t *value;

	json_object_foreach(ext, name, value) {
		size_t name_len = strlen(name), value_len = json_string_length(value);

		be16_put(at, (int16_t)name_len);
		memcpy(at + 2, name, name_len);
		at += 2 + name_len;
		be32_put(at, (int32_t)value_len);
		if (value_len > 0)
			memcpy(at + 4, json_string_value(value), value_len);
		at += 4 + value_len;
	}
}

int
blob_make(struct link_message *msg, const json_t *ext, const void *body, size_t body_len, int *ret_fd)
{
	json_t *fields = (json_t *)(uintptr_t)ext;
	size_t len = pairs_bytes(fields);
	AUTO_FREE char *pairs = len > 0 && len <= LINK_BLOB_MAX ? malloc(len) : NULL;

	if (len > LINK_BLOB_MAX)
		return err_note(-EMSGSIZE, "ext fields that are too long");
	if (len > 0 && !pairs)
		return -ENOMEM;
	put_pairs(pairs, fields);
	return link_blob_make(msg, pairs, len, body, body_len, ret_fd);
}

/* --- in -------------------------------------------------------------------------------- */

static json_t *
take_text(struct bytes *b, int32_t len)
{
	const char *at = len < 0 ? NULL : bytes_take(b, (size_t)len);
	json_t *text = at && !memchr(at, '\0', (size_t)len) ? json_stringn(at, (size_t)len) : NULL;

	if (!text)
		b->err = MQ_ECORRUPT;
	return text;
}

static void
take_pair(struct bytes *b, json_t *ext)
{
	json_t *name = take_text(b, bytes_get_i16(b)), *value = take_text(b, bytes_get_i32(b));

	if (name && value && json_object_set(ext, json_string_value(name), value) != 0)
		b->err = -ENOMEM;
	json_decref(name);
	json_decref(value);
}

static int
take_pairs(const char *bytes, size_t len, json_t **ret)
{
	struct bytes b = bytes_over(bytes, len);
	json_t *ext = len > 0 ? json_object() : NULL;

	while (b.left > 0 && b.err == MQ_OK)
		take_pair(&b, ext);
	if (b.err != MQ_OK) {
		json_decref(ext);
		return err_note(b.err, "link: ext fields that are no pairs of texts");
	}
	*ret = ext;
	return MQ_OK;
}

int
blob_read(int fd, const struct link_message *msg, json_t **ret_ext, char **ret_body, size_t *ret_len)
{
	AUTO_FREE char *buf = NULL;
	json_t *ext = NULL;
	size_t len = msg->len - msg->ext_len;
	int rc = MQ_OK;

	if (msg->len > 0)
		rc = link_blob_read(fd, msg, &buf);
	if (rc == MQ_OK)
		rc = take_pairs(buf, msg->ext_len, &ext);
	if (rc != MQ_OK)
		return rc;
	if (buf)
		memmove(buf, buf + msg->ext_len, len + 1);
	*ret_ext = ext;
	*ret_len = len;
	*ret_body = take_ptr(buf);
	return MQ_OK;
}
