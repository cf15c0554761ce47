/* remoting_client.h - requests of the mount to our master, by the remoting protocol.
 *
 * The connection is made for the first request, and kept for the next ones.  Requests are
 * sent at once, also while earlier ones are not answered.  A failure is passed to the
 * mount as the response: the mount decides about another try.
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

/* Send a LINK_REQUEST to the master; blob_fd (-1: none) is taken over.  A LINK_RESPONSE follows. */
void remoting_client_ask(struct remoting_client *c, const struct link_message *msg, int blob_fd);

/* Do what is due now.  Returns when to call again, 0: no need. */
int64_t remoting_client_tick(struct remoting_client *c);

#endif
