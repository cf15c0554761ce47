/* checks.h - the broker asks producers for the outcome of their open transactions.
 *
 *      open half (offsets/transactions.h) ──> CHECK_TRANSACTION_STATE ──> mqremoted ──> a producer of its group
 *                                                                                       │
 *      END_TRANSACTION, as of any producer <────────────────────────────────────────────┘
 *
 * A thread of the mount, every transactionCheckInterval while this broker is a master.  The thread
 * does not wait for answers: a half whose producer does not answer is asked for in the next round.
 */
#ifndef MQFS_REMOTING_CHECKS_H
#define MQFS_REMOTING_CHECKS_H

/* The thread. */
void *checks_main(void *service);

#endif
