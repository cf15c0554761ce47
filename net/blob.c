#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/blob.h"
#include "net/fields.h"
#include "net/values.h"

int
blob_make(struct link_message *msg, const json_t *ext, const char *body, size_t body_len, int *ret_fd)
{
	json_t *fields = (json_t *)(uintptr_t)ext;
	size_t len = fields_bytes(fields);
	AUTO_FREE char *pairs = len <= LINK_BLOB_MAX ? malloc(len + 1) : NULL;

	if (len > LINK_BLOB_MAX)
		return err_note(-EMSGSIZE, "ext fields that are too long");
	if (!pairs)
		return -ENOMEM;
	fields_put(pairs, fields);
	return link_blob_make(msg, pairs, len, body, body_len, ret_fd);
}

int
blob_make_values(struct link_message *msg, const json_t *ext, const char *text, size_t len, int *ret_fd)
{
	AUTO_FREE char *packed = NULL;
	int rc = values_pack(text ? text : "", len, &packed, &len);

	return rc == MQ_OK ? blob_make(msg, ext, packed, len, ret_fd) : rc;
}

int
blob_read(int fd, const struct link_message *msg, json_t **ret_ext, char **ret_body, size_t *ret_len)
{
	AUTO_FREE char *buf = NULL;
	json_t *ext = NULL;
	size_t len = msg->len - msg->ext_len;
	struct bytes b;
	int rc = MQ_OK;

	if (msg->len > 0)
		rc = link_blob_read(fd, msg, &buf);
	if (rc == MQ_OK)
		b = bytes_over(buf, msg->ext_len);
	if (rc == MQ_OK && !fields_take(&b, msg->ext_len, &ext))
		rc = err_note(b.err, "link: ext fields that are no pairs of texts");
	if (rc != MQ_OK)
		return rc;
	if (buf)
		memmove(buf, buf + msg->ext_len, len + 1);
	*ret_ext = ext;
	*ret_len = len;
	*ret_body = take_ptr(buf);
	return MQ_OK;
}
