/* board.h - the memory in which the mount and mqrepld see how far the other one is.
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
 * A round of a SYNC_MASTER goes through here: whoever appends wakes mqrepld, and mqrepld
 * wakes who waits for the acks.  Whatever else there is to say goes over the link.
 *
 * mqrepld sleeps in epoll, and is woken by an eventfd, if `sleeps` says that it wants to be.
 * The mount's threads sleep on the word `news` (futex.h).
 *
 * `marks` is the mount's: mqrepld cannot write it.  Of `acks` the mount believes:
 *
 *   sleeps, news     nothing: an eventfd is written, a thread looks once more, or sleeps
 *                    for a second too long (mark.c)
 *   of[]             the ack of slave i + 1, if `connection` is the one that a LINK_PEER
 *                    with that id has told of; what it then counts for: peers.h
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
	_Alignas(64) _Atomic uint32_t sleeps;	/* odd while it does */
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

/* The next mqrepld takes part, after its configuration; the last one is gone. */
int board_give(struct board *b, int link_fd);

/* The ack of slave `number` on that connection; 0: there is none. */
int64_t board_ack_of(const struct board_acks *acks, int32_t number, uint64_t connection);

/* --- mqrepld's side ------------------------------------------------------------------- */

struct board_seat {
	const struct board_marks *marks;
	struct board_acks *acks;
	int wake_fd;			/* an edge for epoll; need not be read */
};

/* What board_give() has sent. */
int board_take(int link_fd, struct board_seat *ret);

/* A slave has that number from now on, and has acknowledged nothing. */
void board_connected(const struct board_seat *seat, int32_t number, uint64_t connection);
void board_acked(const struct board_seat *seat, int32_t number, int64_t ack);

/* Who waits for acks is to look at them once more. */
void board_tell(const struct board_seat *seat);

/* About to sleep: true unless the log has grown beyond `written`; board_awake() afterwards
 * in any case. */
bool board_sleep(const struct board_seat *seat, int64_t written);
void board_awake(const struct board_seat *seat);

#endif
