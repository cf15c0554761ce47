/* ring_server.h - the mount's side of the rings (ring.h): it checks everything from mqremoted. */
#ifndef MQFS_REMOTING_RING_SERVER_H
#define MQFS_REMOTING_RING_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/lock.h"
#include "remoting/ring.h"
#include "store/record.h"

struct ring_server {
	const struct ring_in *in;
	struct ring_out *out;
	int wake_us, wake_client;	/* eventfds */
	uint64_t taken;
	uint64_t data_end;		/* of the last submission taken */
	uint64_t data_free;
	_Atomic uint32_t under_way;	/* taken, not completed */
	struct lock lock;		/* RANK_RING: completions */
	uint64_t completed;
};

/* A submission that has been checked.  Texts are copies, and end with a NUL; a NUL may be
 * in `text`.  `body` and `signed_text` lie in the ring, where mqremoted may change them at
 * any time: they are to be read before ring_server_release(). */
struct ring_request {
	struct ring_submission s;
	char topic[RECORD_TOPIC_MAX + 1];	/* valid names, or "" where there may be none */
	char template[RECORD_TOPIC_MAX + 1];
	char group[RECORD_TOPIC_MAX + 1];
	char text[RECORD_PROPS_MAX + 1];
	char key[RING_KEY_MAX + 1];
	char signature[RING_SIGNATURE_MAX + 1];
	const unsigned char *signed_text;
	const unsigned char *body;
};

/* *ret_fds are mqremoted's half: the caller's, to be closed once mqremoted has them. */
int ring_server_open(struct ring_server *r, struct ring_fds *ret_fds);
void ring_server_close(struct ring_server *r);	/* accepts zeros */

/* Take the next submission.  -EAGAIN: there is none.  MQ_ECORRUPT, noted: it is invalid, and
 * neither it nor any later one may be acted on.  One thread. */
int ring_server_take(struct ring_server *r, struct ring_request *ret);

/* All bodies taken so far have been read. */
void ring_server_release(struct ring_server *r);

/* Wait for a submission, or for ring_server_nudge(), at most timeout_ms (-1: for ever).  Called
 * by the thread that takes. */
void ring_server_wait(struct ring_server *r, int timeout_ms);
void ring_server_nudge(struct ring_server *r);	/* any thread */

/* Where the pieces of a pull go, before its completion. */
static inline struct ring_piece *
ring_server_pieces(struct ring_server *r, uint32_t slot)
{
	return r->out->pieces[slot];
}

/* Where what was looked ahead for a pull goes. */
static inline struct ring_ahead *
ring_server_ahead(struct ring_server *r, uint32_t slot)
{
	return &r->out->aheads[slot];
}

/* Answer a submission; slot, kind and tag are the submission's.  Any thread. */
void ring_server_complete(struct ring_server *r, const struct ring_completion *c);

/* Set the end of a queue that mqremoted watches.  Any thread. */
void ring_server_set_end(struct ring_server *r, uint32_t watch, int64_t end);

/* Wake mqremoted, if it sleeps, for all that was completed and set since the last call. */
void ring_server_wake_client(struct ring_server *r);

/* The next item of a batch, from private memory: `*at` moves behind it.  Its properties and body
 * are in `body`, which has len bytes.  False: the item is invalid. */
bool ring_item_next(const unsigned char *body, size_t len, size_t *at, struct ring_item *ret);

#endif
