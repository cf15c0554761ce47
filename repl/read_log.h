/* read_log.h - a slave that has lost bytes of its log asks its master for them.
 *
 * Request READ_LOG (0x6d72, mqfs's own):
 *
 *   ext fields   from    position in the log, where a record begins
 *                epoch   id of the epoch that it is in, 32 hex digits; absent: none
 *                at      within that record, if it is longer than an answer: its bytes
 *                        from there on are wanted; absent: `from`
 *   answer       whole records from there on, about a MiB, which the master has
 *                verified: positions, lengths, CRCs; or HEAL_BYTES of a record that is
 *                longer.  Or SYSTEM_ERROR and the reason
 *
 * The epoch shows that it is the same log; the slave verifies the whole answer again.
 * A slave whose log is to begin anew where its master's begins asks for the record there.
 */
#ifndef MQFS_REPL_READ_LOG_H
#define MQFS_REPL_READ_LOG_H

#include "conf/pos.h"
#include "offsets/epochs.h"
#include "repl/requests.h"

/* A row of requests.c. */
int read_log_serve(struct replication *r, const struct request *req, struct answer *ret);

/* Ask our master; *ret_n <= size.  Errors as replication_call()'s, noted, and
 * MQ_ECORRUPT for an invalid answer. */
int read_log(struct replication *r, mq_pos from, mq_pos at, void *buf, size_t size, size_t *ret_n);

/* Does our master, whose history is `theirs`, have a record that begins at `at`, in the epoch
 * that its history names?  Not MQ_OK, noted: it does not, or it did not answer. */
int read_log_check(struct replication *r, mq_pos at, const struct epochs *theirs);

#endif
