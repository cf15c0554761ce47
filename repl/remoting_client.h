/* remoting_client.h - what the mount asks our master by the remoting protocol.
 *
 * The connection is made when there is something to ask, and kept for the next
 * time; requests are sent as they come, whatever is not answered yet.  Whatever
 * goes wrong is the answer: the mount decides about another try.
 */
#ifndef MQFS_REPL_REMOTING_CLIENT_H
#define MQFS_REPL_REMOTING_CLIENT_H

#include "net/daemon.h"
#include "net/resolve.h"

struct remoting_client;

/* As receiver_open(), but of config.master_remoting. */
int remoting_client_open(struct daemon *d, int names_fd, const struct resolve_answer *master,
			 struct remoting_client **ret);
void remoting_client_close(struct remoting_client *c);		/* accepts NULL */

/* A LINK_REQUEST; blob_fd (-1: none) is taken over.  Its LINK_RESPONSE follows. */
void remoting_client_ask(struct remoting_client *c, const struct link_message *msg, int blob_fd);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t remoting_client_tick(struct remoting_client *c);

#endif
