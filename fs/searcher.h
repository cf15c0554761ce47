/* searcher.h - reads that skip many messages before they find one.
 *
 * A read of a filtered file, or one far into a json file, may look at a whole queue.  That must
 * not block a worker or other waiting readers, so view_read() stops after a slice of time and
 * returns MQ_ELATER; the request is then handed over to the threads of this file:
 *
 *     worker ──> read, a slice ──> answered
 *                    │ MQ_ELATER          ▲
 *                    ▼                    │
 *              ┌─ line of searches ─> read, a slice ─┐
 *              └──────────── MQ_ELATER ──────────────┘
 *
 * Two threads serve the line, a slice each, so a short search overtakes long ones.  A request
 * whose caller was interrupted ends with EINTR at its next turn.
 */
#ifndef MQFS_FS_SEARCHER_H
#define MQFS_FS_SEARCHER_H

#include "fs/handle.h"

struct searcher;

/* Continue a read, and answer it or hand it over again.  Called without the handle's lock. */
typedef void search_on(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);

int searcher_open(struct mount *m, search_on *on, struct searcher **ret);

/* End the threads; requests in the line, and later ones, are answered ENOTCONN.  Then searcher_close() frees it. */
void searcher_end(struct searcher *s);
void searcher_close(struct searcher *s);	/* accepts NULL */

/* Put req at the end of the line; it is answered later, with a reference on h until then. */
void searcher_take(struct searcher *s, fuse_req_t req, struct handle *h, size_t size, off_t off);

#endif
