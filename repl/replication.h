/* replication.h - the mount's side of mqrepld: starts it, watches it, writes what it brings.
 *
 *      marks          begin, written ──> the board (board.h), in any thread that moves them
 *      acks           the board ──> peers.h ──> the mark `replicated`, in threads that wait for it
 *      link thread    LINK_APPEND ──> store_append_raw
 *                     LINK_PEER ──> peers.h: what status/ shows, who is in sync
 *                     LINK_REQUEST, LINK_RESPONSE ──> exchange.h
 *                     mqrepld has ended ──> another one, later each time
 *      follow thread  slave: whether to follow the master, and from where (follow.h)
 *      commits thread slave: what is committed here, to the master (commits.h)
 */
#ifndef MQFS_REPL_REPLICATION_H
#define MQFS_REPL_REPLICATION_H

#include "conf/settings.h"
#include "net/link.h"
#include "offsets/epochs.h"
#include "offsets/offsets.h"
#include "repl/requests.h"
#include "store/store.h"

struct replication;

/* What replication needs of the broker.  Both calls take as long as they take (views
 * go back, files are synced): not from the link thread.  mqrepld does not run
 * meanwhile, so nothing is appended. */
struct replication_broker {
	struct store *store;
	struct offsets *offsets;

	/* The log ends at `at` from here on, which is a record's begin: what lay behind is
	 * in lost+found/ with a note that says `why` (one line: whose epoch it was), every
	 * view is back there.  MQ_OK, or nothing has changed yet and the next mount does
	 * it before anything else: -EAGAIN; other errors: the store is as it was. */
	int (*cut)(void *arg, mq_pos at, const char *why);

	/* The log is empty and begins at `begin`, where the master's does; its history is
	 * what `theirs` says of before.  What there was is in lost+found/: it is so old
	 * that the master has retired what would come next.  As above. */
	int (*reset)(void *arg, mq_pos begin, const struct epochs *theirs, const char *why);

	void *arg;
};

/* Is there anybody to follow, or to be followed by?  Else no mqrepld runs. */
bool replication_is_needed(const struct settings *s);

/* Are the files that its settings name there?  -errno of open(2), noted. */
int replication_check(const struct settings *s);

/* Start it.  `program`: mqrepld's path, NULL: see start.h. */
int replication_open(const struct settings *settings, const struct replication_broker *broker, const char *program,
		     struct replication **ret);
void replication_close(struct replication *r);	/* accepts NULL */

/* Until mqrepld listens, or has said why it does not, at most timeout_ms. */
void replication_wait_ready(struct replication *r, int timeout_ms);

/* No mqrepld runs from here on: when this returns, nothing of a master is written any
 * more.  Until replication_role_changed(). */
void replication_pause(struct replication *r);

/* The role, or the master, has changed in the settings: mqrepld starts anew as they
 * say.  When this returns, the former one is gone. */
void replication_role_changed(struct replication *r);

/* A slave of ours, or (number 0) our master. */
struct replication_peer {
	int32_t number;
	int32_t state;			/* enum link_peer_state */
	int64_t ack, sent;		/* bytes of the log */
	int64_t first;			/* slave: what it reported first */
	uint64_t turn;			/* master: of which LINK_FOLLOW that is */
	bool differs;			/* master: it has other bytes than our log */
	int64_t changed_ms;		/* wall clock: when the state changed */
	int64_t bytes_per_s;		/* lately */
	int64_t rate_ms, rate_sent;	/* what it was reckoned from */
	int64_t said_ms[4];		/* when the log was last told of each state */
	char address[LINK_TEXT_BYTES];	/* and, when it is gone, why */
	char broker[400], trouble[256];	/* what it said of itself, if it said hello */
};

#define REPLICATION_PEERS_MAX (LINK_PEERS_MAX + 1)

/* Those known now, at most REPLICATION_PEERS_MAX; returns how many. */
size_t replication_peers(struct replication *r, struct replication_peer *list);

/* What it is called: master, slave-N. */
#define REPLICATION_NAME_BYTES 32
void replication_peer_name(const struct replication_peer *p, char name[REPLICATION_NAME_BYTES]);

/* What it still needs (a slave of us, or we of the master) of a log that ends at `written`: bytes. */
int64_t replication_peer_behind(const struct replication_peer *p, mq_pos written);

/* The mark `replicated`: so much of the log is in inSyncReplicas - 1 slaves. */
struct mark *replication_replicated(struct replication *r);

/* Are there slaves enough for a SYNC_MASTER: connected, and not too far behind? */
bool replication_in_sync(struct replication *r);

/* Tell mqrepld what has changed in the settings; if need be, another one. */
void replication_refresh(struct replication *r);

/* On a slave: is there a master, and is it followed? */
bool replication_has_master(struct replication *r);

/* Ask our master, and wait: `ext` (an object of strings, or NULL) and body stay the
 * caller's.  Any thread but the link thread.
 *
 * MQ_OK         *ret is the answer, whatever its code; the caller clears it.
 * -ENOTCONN     we have no master, or mqrepld does not run.
 * -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EPROTO, ...   there is none (noted).
 * MQ_ECLOSED    replication_close() was called. */
int replication_call(struct replication *r, int code, const json_t *ext, const void *body, size_t body_len,
		     int timeout_ms, struct answer *ret);

/* A request that came another way than by mqrepld: mqremoted has the port.  *ret is an answer in
 * any case. */
void replication_serve(struct replication *r, const struct request *req, struct answer *ret);

struct replication_stats {
	int64_t starts;			/* of mqrepld */
	int32_t pid, port;		/* 0: it does not run, does not listen */
	char trouble[800];		/* why it does not get on: lines, or none */
};

void replication_stats(struct replication *r, struct replication_stats *ret);

#endif
