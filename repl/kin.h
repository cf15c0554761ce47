/* kin.h - what a broker says of its log, and what follows from what two of them say.
 *
 * Their epochs tell where two logs part (offsets/epochs.h).  They trust that a log
 * only grows within an epoch, which a store put back from an old copy breaks: so the
 * last bytes of the slave's log are held against the master's, too.
 *
 * And a slave's log is only what it has got so far.  Where one ends says nothing
 * against the bytes that another slave has behind it.
 */
#ifndef MQFS_REPL_KIN_H
#define MQFS_REPL_KIN_H

#include "repl/hello.h"
#include "repl/requests.h"

/* What we have at this moment, and its history.  For hello_free().  It may wait for
 * the views. */
int kin_hello(struct replication *r, struct hello *ret);

/* May `slave` follow `master`, and from where (see epochs_compare(); FOLLOW, EMPTY,
 * DIVERGED or TOO_OLD)?  Not MQ_OK: no, for the reason noted, as the slave would say it. */
int kin_judge(const struct hello *slave, const struct hello *master, enum epochs_verdict *ret, mq_pos *ret_at);

/* Serve REQUEST_HELLO: a row of requests.c. */
int kin_serve(struct replication *r, const struct request *req, struct answer *ret);

#endif
