/* checks.h - producers are asked what became of their transactions.
 *
 *      open half (offsets/transactions.h) ──> CHECK_TRANSACTION_STATE ──> mqremoted ──> a producer of its group
 *                                                                                       │
 *      END_TRANSACTION, as of any producer <────────────────────────────────────────────┘
 *
 * A thread of the mount, every transactionCheckInterval while this broker is a master.  Nobody
 * waits for the producers' answers: a half that gets none is asked for again in the next round.
 */
#ifndef MQFS_REMOTING_CHECKS_H
#define MQFS_REMOTING_CHECKS_H

struct service;

/* The thread. */
void *checks_main(void *service);

#endif
