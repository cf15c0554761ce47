#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/blob.h"

int
blob_make(struct link_message *msg, const json_t *ext, const void *body, size_t body_len, int *ret_fd)
{
	AUTO_FREE char *text = ext ? json_dumps(ext, JSON_COMPACT) : NULL;

	if (ext && !text)
		return err_note(-EINVAL, "ext fields that are no JSON");
	return link_blob_make(msg, text, text ? strlen(text) : 0, body, body_len, ret_fd);
}

static bool
is_of_strings(json_t *ext)
{
	const char *name;
	json_t *value;

	json_object_foreach(ext, name, value)
		if (!json_is_string(value))
			return false;
	return json_is_object(ext);
}

static int
parse_ext(const char *text, size_t len, json_t **ret)
{
	json_t *ext = len > 0 ? json_loadb(text, len, 0, NULL) : NULL;

	if (len > 0 && !is_of_strings(ext)) {
		json_decref(ext);
		return err_note(MQ_ECORRUPT, "link: ext fields that are no object of texts");
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
		rc = parse_ext(buf, msg->ext_len, &ext);
	if (rc != MQ_OK)
		return rc;
	if (buf)
		memmove(buf, buf + msg->ext_len, len + 1);
	*ret_ext = ext;
	*ret_len = len;
	*ret_body = take_ptr(buf);
	return MQ_OK;
}
