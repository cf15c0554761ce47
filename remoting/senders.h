/* senders.h - who sends to which topic over the network: what topics/T/producers shows.
 *
 * A connection remembers the SENDERS_TOPICS topics that it has sent to last; all of it is forgotten with
 * the connection.  Memory of mqremoted's one thread.
 */
#ifndef MQFS_REMOTING_SENDERS_H
#define MQFS_REMOTING_SENDERS_H

#include "net/server.h"

#define SENDERS_TOPICS 16

struct senders;

int senders_open(struct senders **ret);
void senders_close(struct senders *s);		/* accepts NULL */

/* The connection sends to that topic, as a producer of that group.  Texts of so many bytes, which are
 * copied.  Without memory it is not noted. */
void senders_note(struct senders *s, struct server_peer *p, const char *topic, size_t topic_len, const char *group,
		  size_t group_len);

/* The connection has ended. */
void senders_gone(struct senders *s, const struct server_peer *p);

/* Each connection that sends to the topic, in no order. */
void senders_each(const struct senders *s, const char *topic,
		  void (*each)(void *arg, struct server_peer *p, const char *group), void *arg);

#endif
