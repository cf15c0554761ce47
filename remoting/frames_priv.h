/* frames_priv.h - what frames.c and frames_clients.c share. */
#ifndef MQFS_REMOTING_FRAMES_PRIV_H
#define MQFS_REMOTING_FRAMES_PRIV_H

#include "remoting/frames.h"

#define FRAMES_WAITING_MAX 64		/* unsent frames of a client; with more it is sent no notices */

/* The functions of requests.def in mqremoted: answer the request, or let the mount answer it. */
#define REQUEST(name, code, in_mqremoted, in_mount)                                                                    \
	enum server_served in_mqremoted(struct loop *l, struct server_peer *p, struct remoting_frame *f);
#include "remoting/requests.def"

/* A response to `to`; body (taken over) NULL: none.  Both return SERVER_DONE. */
enum server_served frames_respond(struct server_peer *p, const struct remoting_frame *to, json_t *body);
enum server_served frames_refuse(struct server_peer *p, const struct remoting_frame *to, int code, const char *remark);

/* Let the mount answer the request, with these ext fields (taken over) instead of its own, and no body. */
enum server_served frames_pass_with(struct remoting_frame *f, json_t *ext);

/* Parse the body, of 256 KiB at most, as a JSON object; NULL: it is not one. */
json_t *frames_body(const struct remoting_frame *f);

/* Set a field of a request to the mount (value NULL: remove it) that only mqremoted may set: one
 * whose name begins with "mqfs.". */
void frames_tell(struct remoting_frame *f, const char *name, const char *value);

#endif
