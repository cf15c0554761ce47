/* blob.h - ext fields and a body, as a blob beside a packet of the link (link.h).
 *
 * The ext fields are pairs, see fields.h.  JSON that a peer has sent, in a header or as a body,
 * is parsed by the daemon, which has no rights; the mount, which writes the store, checks lengths.
 */
#ifndef MQFS_NET_BLOB_H
#define MQFS_NET_BLOB_H

#include <jansson.h>

#include "net/link.h"

/* Make a blob.  The lengths go to *msg; *ret_fd is -1 if both are empty.  `ext`: NULL or
 * an object of strings.  -EMSGSIZE, noted: more than LINK_BLOB_MAX. */
int blob_make(struct link_message *msg, const json_t *ext, const char *body, size_t body_len, int *ret_fd);

/* The same with a body that is JSON a peer has sent: it is packed, see values.h.  MQ_ECORRUPT,
 * noted: it is not JSON. */
int blob_make_values(struct link_message *msg, const json_t *ext, const char *text, size_t len, int *ret_fd);

/* Read the whole blob: the ext fields are an object of strings, or NULL (MQ_ECORRUPT, noted:
 * they are invalid).  The body (to be freed) ends with a NUL that is not counted; NULL: there
 * is no blob. */
int blob_read(int fd, const struct link_message *msg, json_t **ret_ext, char **ret_body, size_t *ret_len);

#endif
