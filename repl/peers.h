/* peers.h - the peers of mqrepld (slaves, and the master), and how much of the log each has.
 *
 * A connection of the HA protocol says nothing but positions.  One of them is an ack
 * that counts towards inSyncReplicas if
 *
 *   it is beyond the first one of its connection, so that the bytes before it were sent
 *     on that connection (an mqfs slave has its last bytes sent once more, see
 *     receiver.h); it is not beyond the end of this log (mqrepld closes a connection
 *     whose ack is beyond what was sent there);
 *   the peer is admitted: by haAllow or by its certificate; where neither is set,
 *     so that everybody may connect, by a hello from the same address that names the
 *     same log;
 *   no hello from the same address has named another log;
 *   and the slave is connected, and at most haSlaveFallbehindMax bytes behind.
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
	bool good;			/* it has the same log */
	int64_t hello_ms;		/* wall clock of its last hello */
	char said[320];			/* the `news` that were logged last, and when */
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

/* A LINK_PEER was received.  True: the peer's state has changed. */
bool peers_on_message(struct peers *p, const struct link_message *msg);

/* Read from the board what slaves have acknowledged on the connections that are known. */
void peers_look(struct peers *p, const struct board_acks *acks);

/* `address` has sent that hello.  `good`: it may follow this log as it is.  `news` is logged,
 * unless it is "". */
void peers_hello(struct peers *p, const char *address, const struct hello *h, bool good, const char *news);

/* The master has sent its hello. */
void peers_master_is(struct peers *p, const struct hello *h);

/* mqrepld has ended: no peer is connected.  The mark `replicated` stays where it is. */
void peers_forget(struct peers *p);

/* The log was cut: acks behind `end` were of bytes that are not in the log any more. */
void peers_cut(struct peers *p, mq_pos end);

/* The role or the master has changed: slaves may have another log from now on. */
void peers_anew(struct peers *p);

/* Are enough slaves in sync for a SYNC_MASTER? */
bool peers_in_sync(const struct peers *p);

/* The master; NULL: mqrepld has not told of it yet. */
const struct replication_peer *peers_master(const struct peers *p);

/* Copy all peers to `list`, with what their hellos say.  Returns how many. */
size_t peers_list(const struct peers *p, struct replication_peer *list);

#endif
