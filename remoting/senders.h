/* senders.h - which connections send to which topic, for topics/T/producers.
 *
 * For each connection the SENDERS_TOPICS topics that it has sent to last are kept in memory, until the
 * connection ends.  Used by mqremoted's one thread.
 */
#ifndef MQFS_REMOTING_SENDERS_H
#define MQFS_REMOTING_SENDERS_H

#include "net/server.h"

#define SENDERS_TOPICS 16

struct senders;

int senders_open(struct senders **ret);
void senders_close(struct senders *s);		/* accepts NULL */

/* Note that the connection sends to that topic, as a producer of that group.  The texts are copied.
 * Does nothing without memory. */
void senders_note(struct senders *s, struct server_peer *p, const char *topic, size_t topic_len, const char *group,
		  size_t group_len);

/* The connection has ended. */
void senders_gone(struct senders *s, const struct server_peer *p);

/* Each connection that sends to the topic, in no order. */
void senders_each(const struct senders *s, const char *topic,
		  void (*each)(void *arg, struct server_peer *p, const char *group), void *arg);

#endif
