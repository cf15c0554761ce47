/* peers.h - who is at the other end of the links of mqrepld, and what they have of the log.
 *
 * A connection of the HA protocol says nothing but positions.  One of them is an ack
 * that counts towards inSyncReplicas if
 *
 *   it is beyond the first one of its connection, so that bytes before it were sent
 *     on that connection (an mqfs slave has its last bytes sent once more, see
 *     receiver.h), and mqrepld has not heard of more than it has sent;
 *   and the peer is admitted: by haAllow or by its certificate; where neither is set,
 *     so that everybody may connect, by having said hello from the same address, of the
 *     same log;
 *   and it has not said, from the same address, that it is of another log.
 *
 * Peers that are not admitted are served, too, and shown in status/.
 *
 * The owner's lock is held in every call; the mark `replicated` needs none.
 */
#ifndef MQFS_REPL_PEERS_H
#define MQFS_REPL_PEERS_H

#include "conf/settings.h"
#include "repl/board.h"
#include "repl/hello.h"
#include "repl/replication.h"

#define PEERS_KNOWN_MAX 64

struct peers_known {
	char host[80];			/* its address, without the port */
	char broker[400], trouble[256];
	bool good;			/* of the same log */
	int64_t heard_ms;		/* wall clock */
	char said[320];			/* what the log was told of it last; and when */
	int64_t said_ms;
};

struct peers {
	const struct settings *settings;
	struct store *store;
	struct replication_peer list[REPLICATION_PEERS_MAX];
	size_t n;
	struct peers_known known[PEERS_KNOWN_MAX];
	size_t n_known;
	char master_broker[400];
	struct mark replicated;
};

void peers_init(struct peers *p, const struct settings *settings, struct store *store);
void peers_destroy(struct peers *p);

/* A LINK_PEER has come.  True: its state is another one now. */
bool peers_hear(struct peers *p, const struct link_message *msg);

/* What slaves have acknowledged meanwhile, on the connections that are known. */
void peers_look(struct peers *p, const struct board_acks *acks);

/* `address` has said that hello, and may follow our log as it is (`good`), or not, or
 * not yet.  `news`: what the log is to be told of it, "" if nothing. */
void peers_hello(struct peers *p, const char *address, const struct hello *h, bool good, const char *news);

/* Our master has said who it is. */
void peers_master_is(struct peers *p, const struct hello *h);

/* mqrepld has ended: nobody is connected.  What they have acknowledged they have. */
void peers_forget(struct peers *p);

/* The log was cut: what was acknowledged behind `end` was of another one. */
void peers_cut(struct peers *p, mq_pos end);

/* Our role is another one, or our master: what slaves have may be of another log. */
void peers_anew(struct peers *p);

bool peers_has_slaves(const struct peers *p);

/* Are there slaves enough for a SYNC_MASTER? */
bool peers_in_sync(const struct peers *p);

/* Our master, NULL: nothing has been heard of it. */
const struct replication_peer *peers_master(const struct peers *p);

/* With what is known of each.  Returns how many. */
size_t peers_list(const struct peers *p, struct replication_peer *list);

#endif
