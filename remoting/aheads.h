/* aheads.h - pulls that mqremoted answers without asking the mount.
 *
 * A consumer that works through a backlog pulls again from where its last answer has ended, and at once.
 * For such a pull the mount looks ahead (struct ring_ahead), and the pulls that follow are answered from
 * that: without two wake-ups of a process each.
 *
 *      pull ──> aheads_stream() ──> aheads_answer() ── true ──> the client, aheads_given()
 *                                     │ false
 *                                     └─> PULL, with aheads_flags() ──> completion ──> aheads_note()
 *
 * A pull is answered from what was looked ahead only if it is the one that was expected in all it says,
 * and has nothing to commit that the last PULL of its stream had not.  What was answered is told to the
 * mount, which counts it (RING_TOOK): aheads_took().
 *
 * mqremoted's one thread.  Not used with access control, where the mount judges each signature.
 */
#ifndef MQFS_REMOTING_AHEADS_H
#define MQFS_REMOTING_AHEADS_H

#include "remoting/asks.h"
#include "remoting/ring.h"

struct aheads;
struct stream;				/* the pulls of a group from a queue */

int aheads_open(struct aheads **ret);
void aheads_close(struct aheads *a);	/* accepts NULL */

/* The stream of that PULL.  NULL: nothing is looked ahead for it. */
struct stream *aheads_stream(struct aheads *a, const struct ask *ask);

/* The answer and its ret->n pieces, which are valid until the stream's next aheads_note(); `version` is
 * ring_out's.  False: it is not known, the mount is to be asked. */
bool aheads_answer(const struct stream *s, const struct ask *ask, uint64_t version, int64_t now_us,
		   struct ring_completion *ret, const struct ring_piece **ret_pieces);

/* That answer is given. */
void aheads_given(struct stream *s, const struct ring_completion *c, int64_t now_us);

/* The PULL is submitted: flags for it, and what aheads_note() is to be called with. */
uint32_t aheads_flags(struct stream *s, const struct ask *ask, int64_t now_us, uint32_t *ret_use);

/* The mount has answered it. */
void aheads_note(struct stream *s, uint32_t use, const struct ring_completion *c, const struct ring_ahead *ahead,
		 const struct ring_piece *pieces, int64_t now_us);

/* Forget what was looked ahead for that group. */
void aheads_drop(struct aheads *a, const char *group);

/* Make a RING_TOOK of what was answered and not told yet.  False: there is nothing to tell.  Once that is
 * submitted: aheads_told(). */
bool aheads_took(const struct stream *s, struct ask *ret);
void aheads_told(struct aheads *a, struct stream *s);

/* A stream with something to tell that has answered nothing for RING_AHEAD_US; NULL: there is none. */
struct stream *aheads_silent(struct aheads *a, int64_t now_us);

/* Is there anything to tell? */
bool aheads_have_news(const struct aheads *a);

#endif
