/* futex.h - a thread sleeps until a word of memory changes; see futex(2).
 *
 *      sleeper   seen = *word;  nothing has happened yet?  futex_wait(word, seen)
 *      waker     it happens;  ++*word;  futex_wake(word)
 *
 * A change between the sleeper's look and its sleep is not missed.  Sleepers also wake
 * for no reason, and look again.  A wake may come when the word's owner has gone on: it
 * then does nothing, or wakes another sleeper for no reason.
 */
#ifndef MQFS_CONF_FUTEX_H
#define MQFS_CONF_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* `shared`: the word is in memory of several processes.  timeout_ms -1: for ever. */
static inline void
futex_wait(const _Atomic uint32_t *word, bool shared, uint32_t seen, int timeout_ms)
{
	const struct timespec timeout = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };

	syscall(SYS_futex, word, shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, seen, timeout_ms < 0 ? NULL : &timeout,
		NULL, 0);
}

/* All who sleep on it. */
static inline void
futex_wake(const _Atomic uint32_t *word, bool shared)
{
	syscall(SYS_futex, word, shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

#endif
