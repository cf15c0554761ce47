/* remoting_server.h - who asks this broker by the remoting protocol.
 *
 *      a frame ──> LINK_REQUEST ──> (the mount)
 *      the frame's response <── LINK_RESPONSE ──┘
 *
 * mqrepld understands nothing of what is asked; it sees to it that who asks too
 * much gets no more than a part of it: connections, requests under way, bytes of
 * memory and time are all counted, and the longest useless connection makes room
 * for a new one.
 */
#ifndef MQFS_REPL_REMOTING_SERVER_H
#define MQFS_REPL_REMOTING_SERVER_H

#include "net/daemon.h"
#include "net/resolve.h"

#define REMOTING_CONNECTIONS_MAX 64

struct remoting_server;

/* Listens on both ports of d->config, at the addresses `on` (which stay). */
int remoting_server_open(struct daemon *d, const struct resolve_answer *on, struct remoting_server **ret);
void remoting_server_close(struct remoting_server *s);		/* accepts NULL */

/* The ports in use; 0: it does not listen. */
int remoting_server_port(const struct remoting_server *s);
int remoting_server_vip_port(const struct remoting_server *s);

/* The mount's answer; blob_fd (-1: none) stays the caller's.  MQ_ECORRUPT, noted: to what
 * nobody asked. */
int remoting_server_answer(struct remoting_server *s, const struct link_message *msg, int blob_fd);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t remoting_server_tick(struct remoting_server *s);

#endif
