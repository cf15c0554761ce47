/* searcher.h - reads that pass much over before they find something.
 *
 * A read of a filtered file, or one far into a json file, may look at a whole queue.  No worker
 * and no waiting reader shall stand behind that, so view_read() stops after a slice of time and
 * says MQ_ELATER; the request is then handed over here:
 *
 *     worker ──> read, a slice ──> answered
 *                    │ MQ_ELATER          ▲
 *                    ▼                    │
 *              ┌─ line of searches ─> read, a slice ─┐
 *              └──────────── MQ_ELATER ──────────────┘
 *
 * Two threads serve the line, a slice each, so a short search passes long ones.  What a caller
 * has interrupted ends with EINTR at its next turn.
 */
#ifndef MQFS_FS_SEARCHER_H
#define MQFS_FS_SEARCHER_H

#include "fs/handle.h"

struct searcher;

/* Go on with a read, and answer it or hand it over again.  Called without the handle's lock. */
typedef void search_on(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);

int searcher_open(struct mount *m, search_on *on, struct searcher **ret);

/* The threads end, and what is in the line and what comes is answered ENOTCONN; and: free it. */
void searcher_end(struct searcher *s);
void searcher_close(struct searcher *s);	/* accepts NULL */

/* To the end of the line; req is answered later, h referenced until then. */
void searcher_take(struct searcher *s, fuse_req_t req, struct handle *h, size_t size, off_t off);

#endif
