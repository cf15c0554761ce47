/* blob.h - ext fields and a body, as a blob beside a packet of the link (link.h).
 *
 * The ext fields are pairs, see fields.h.  JSON of a header is parsed by the process that has no rights; whoever writes the store
 * only has lengths to check.
 */
#ifndef MQFS_NET_BLOB_H
#define MQFS_NET_BLOB_H

#include <jansson.h>

#include "net/link.h"

/* The lengths go to *msg; *ret_fd is -1 if there is nothing to hold.  `ext`: NULL or
 * an object of strings.  -EMSGSIZE, noted: too much. */
int blob_make(struct link_message *msg, const json_t *ext, const void *body, size_t body_len, int *ret_fd);

/* All of it: the ext fields are an object of strings, or NULL (MQ_ECORRUPT, noted: they are
 * something else).  The body (to be freed) ends with a NUL that is not counted; NULL: there
 * is no blob. */
int blob_read(int fd, const struct link_message *msg, json_t **ret_ext, char **ret_body, size_t *ret_len);

#endif
