/* board.h - shared memory, in which the mount and mqrepld see each other's positions.
 *
 *      mount.mqfs                                         mqrepld (no privileges)
 *                     ┌──────────── marks ────────────┐
 *      marks          ──> begin, written: the log      ──> senders, receiver
 *      (mirrors)      ──> wanted: acks waited for      ──>
 *                     └───────────────────────────────┘
 *                     ┌──────────── acks ─────────────┐
 *      peers.h        <── of each slave: its ack       <── senders
 *      (a source)     <── news: acks beyond `wanted`   <──
 *                     └───────────────────────────────┘
 *
 * A round of a SYNC_MASTER uses only this memory: the thread that appends wakes mqrepld, and
 * mqrepld wakes the threads that wait for acks.  All other news goes over the link.
 *
 * mqrepld sleeps in epoll, and is woken by an eventfd while `sleeps` is odd.  The mount's
 * threads sleep on the word `news` (futex.h).
 *
 * mqrepld cannot write `marks`.  It can write anything into `acks`; a wrong value there has
 * this effect at most:
 *
 *   sleeps, news     the mount writes the eventfd once more; a thread of the mount wakes too
 *                    early, or sleeps for a second too long (mark.c)
 *   of[]             the mount takes it as the ack of slave i + 1, if a LINK_PEER has told of
 *                    that `connection`; peers.h says which acks count
 *
 * Host byte order: both sides are one build on one machine.
 */
#ifndef MQFS_REPL_BOARD_H
#define MQFS_REPL_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/link.h"
#include "store/mark.h"

struct board_marks {
	_Alignas(64) _Atomic int64_t begin;
	_Alignas(64) _Atomic int64_t written;
	_Alignas(64) _Atomic int64_t wanted;
};

struct board_acks {
	_Alignas(64) _Atomic uint32_t sleeps;	/* odd while mqrepld sleeps */
	_Alignas(64) _Atomic uint32_t news;
	_Alignas(64) struct board_ack {
		_Atomic uint64_t connection;
		_Atomic int64_t ack;
	} of[LINK_PEERS_MAX];
};

/* --- the mount's side ----------------------------------------------------------------- */

struct board {
	struct board_marks *marks;	/* NULL: closed */
	struct board_acks *acks;
	int fds[3];			/* passed to each mqrepld: of marks, of acks, its eventfd */
	int wake_fd;			/* wakes mqrepld */
	struct mark_mirror begin, written;
};

/* -errno, noted. */
int board_open(struct board *b);
void board_close(struct board *b);	/* accepts all zeros */

/* Pass the board to a new mqrepld, after its configuration; the former one has ended. */
int board_give(struct board *b, int link_fd);

/* The ack of slave `number` on that connection; 0: it has acknowledged nothing there. */
int64_t board_ack_of(const struct board_acks *acks, int32_t number, uint64_t connection);

/* --- mqrepld's side ------------------------------------------------------------------- */

struct board_seat {
	const struct board_marks *marks;
	struct board_acks *acks;
	int wake_fd;			/* an edge for epoll; need not be read */
};

/* Receive and map what board_give() has sent. */
int board_take(int link_fd, struct board_seat *ret);

/* A slave has that number from now on, and has acknowledged nothing. */
void board_connected(const struct board_seat *seat, int32_t number, uint64_t connection);
void board_acked(const struct board_seat *seat, int32_t number, int64_t ack);

/* Wake the mount's threads that wait for acks: they read the acks again. */
void board_tell(const struct board_seat *seat);

/* mqrepld is about to sleep.  False: it need not, because the log has grown beyond `written`.
 * The caller calls board_awake() afterwards in any case. */
bool board_sleep(const struct board_seat *seat, int64_t written);
void board_awake(const struct board_seat *seat);

#endif
