/* replication.h - the mount's side of mqrepld: it starts and watches mqrepld, and writes what it receives.
 *
 *      marks          begin, written ──> the board (board.h), in any thread that moves them
 *      acks           the board ──> peers.h ──> the mark `replicated`, in threads that wait for it
 *      child thread   LINK_APPEND ──> store_append_raw
 *      (child.h)      LINK_PEER ──> peers.h: what status/ shows, which slaves are in sync
 *                     LINK_REQUEST, LINK_RESPONSE ──> exchange.h
 *                     mqrepld has ended ──> another one is started, later each time
 *      follow thread  slave: whether to follow the master, and from where (follow.h)
 *      commits thread slave: sends commits of consumers here to the master (commits.h)
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

/* What replication needs of the broker.  Both calls may take long (views go back, files are
 * synced), so the child thread does not make them.  mqrepld does not run meanwhile, so
 * nothing is appended. */
struct replication_broker {
	struct store *store;
	struct offsets *offsets;

	/* Cut the log at `at`, where a record begins: the bytes behind it go to lost+found/
	 * with a note that contains `why` (one line: whose epoch it was), and every view goes
	 * back to there.  MQ_OK: it is done.  -EAGAIN: nothing has changed yet, and the next
	 * mount does it before anything else.  Other errors: the store is as it was. */
	int (*cut)(void *arg, mq_pos at, const char *why);

	/* Empty the log and let it begin at `begin`, where the master's begins, with the
	 * history that `theirs` has before that.  The old log goes to lost+found/: the master
	 * no longer retains the bytes that would follow it.  Results as above. */
	int (*reset)(void *arg, mq_pos begin, const struct epochs *theirs, const char *why);

	void *arg;
};

/* Is this broker a slave, or does it let slaves connect?  Else no mqrepld runs. */
bool replication_is_needed(const struct settings *s);

/* Can the files that tlsCert, tlsKey and tlsCa name be opened?  -errno of open(2), noted. */
int replication_check(const struct settings *s);

/* Start replication.  `program`: mqrepld's path, NULL: see start.h. */
int replication_open(const struct settings *settings, const struct replication_broker *broker, const char *program,
		     struct replication **ret);
void replication_close(struct replication *r);	/* accepts NULL */

/* Wait until mqrepld listens, or has told why it does not, at most timeout_ms. */
void replication_wait_ready(struct replication *r, int timeout_ms);

/* End mqrepld until replication_role_changed(): when this returns, nothing of a master is
 * written any more. */
void replication_pause(struct replication *r);

/* The role, or the master, has changed in the settings: a new mqrepld is started for
 * them.  When this returns, the former one has ended. */
void replication_role_changed(struct replication *r);

/* A slave of ours, or (number 0) our master. */
struct replication_peer {
	int32_t number;
	int32_t state;			/* enum link_peer_state */
	int64_t ack, sent;		/* bytes of the log */
	int64_t first;			/* slave: the position that it reported first */
	uint64_t turn;			/* id of its LINK_PEER: of the LINK_FOLLOW, or of the slave's connection */
	bool differs;			/* master: its log has other bytes than ours */
	int64_t changed_ms;		/* wall clock: when the state changed */
	int64_t bytes_per_s;		/* lately */
	int64_t rate_ms, rate_sent;	/* when, and from which `sent`, that was computed */
	int64_t said_ms[4];		/* when each state was logged last */
	char address[LINK_TEXT_BYTES];	/* and, when it was closed, the reason */
	char broker[400], trouble[256];	/* from its hello, if it sent one */
};

#define REPLICATION_PEERS_MAX (LINK_PEERS_MAX + 1)

/* Copy the peers known now to `list`, at most REPLICATION_PEERS_MAX; returns how many. */
size_t replication_peers(struct replication *r, struct replication_peer *list);

/* Its name in status/replication/: "master" or "slave-N". */
#define REPLICATION_NAME_BYTES 32
void replication_peer_name(const struct replication_peer *p, char name[REPLICATION_NAME_BYTES]);

/* Bytes of the log, which ends at `written` here, that the slave p (or we, of the master p) still need. */
int64_t replication_peer_behind(const struct replication_peer *p, mq_pos written);

/* The mark `replicated`: inSyncReplicas - 1 slaves have the log up to there. */
struct mark *replication_replicated(struct replication *r);

/* Are enough slaves for a SYNC_MASTER connected and not too far behind? */
bool replication_in_sync(struct replication *r);

/* Settings have changed: mqrepld is told of them, or is started anew where it must be. */
void replication_refresh(struct replication *r);

/* On a slave: does it follow its master now? */
bool replication_has_master(struct replication *r);

/* Ask our master, and wait: `ext` (an object of strings, or NULL) and body stay the
 * caller's.  Any thread but the child thread.
 *
 * MQ_OK         *ret is the answer, whatever its code; the caller clears it.
 * -ENOTCONN     we have no master, or mqrepld does not run.
 * -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EPROTO, ...   no answer has come (noted).
 * MQ_ECLOSED    replication_close() was called. */
int replication_call(struct replication *r, int code, const json_t *ext, const void *body, size_t body_len,
		     int timeout_ms, struct answer *ret);

/* Serve a request of a slave that came by mqremoted, where mqremoted listens on the remoting port.
 * *ret is an answer in any case. */
void replication_serve(struct replication *r, const struct request *req, struct answer *ret);

struct replication_stats {
	int32_t pid;			/* of mqrepld; 0: it does not run */
	char trouble[800];		/* why replication does not work: lines; "": it works */
};

void replication_stats(struct replication *r, struct replication_stats *ret);

#endif
