#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conf/err.h"
#include "store/mapped.h"

#define PAGES_MAX 128		/* asked for at once */

/* --- pages that cannot be read -------------------------------------------------------- */

static _Thread_local sigjmp_buf *volatile guard;	/* of the mapped_try() that this thread is in */

static void
on_sigbus(int sig)
{
	if (guard)
		siglongjmp(*guard, 1);
	signal(sig, SIG_DFL);		/* the instruction is repeated, and ends the process */
}

void
mapped_begin(void)
{
	struct sigaction sa = { .sa_handler = on_sigbus };

	MUST(sigaction(SIGBUS, &sa, NULL) == 0);
}

/* The handler was left by a jump, so the signal is still blocked; another page may be bad, too. */
static void
unblock_sigbus(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}

int
mapped_try(void (*body)(void *arg), void *arg)
{
	sigjmp_buf here;

	MUST(!guard);
	if (sigsetjmp(here, 0) != 0) {
		guard = NULL;
		unblock_sigbus();
		return -EIO;
	}
	guard = &here;
	body(arg);
	guard = NULL;
	return MQ_OK;
}

/* --- mappings -------------------------------------------------------------------------- */

/* A mapping is of a whole segment, 1 GiB as a rule, and stays.  Where addresses are few the rest of the process
 * would soon get no memory. */
static bool
has_addresses(void)
{
	struct rlimit most;

	return sizeof(void *) > 4 && getrlimit(RLIMIT_AS, &most) == 0 && most.rlim_cur == RLIM_INFINITY;
}

const unsigned char *
mapped_open(int fd, size_t len)
{
	void *map = has_addresses() ? mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (map == MAP_FAILED)
		return NULL;
	(void)madvise(map, len, MADV_RANDOM);	/* a page that is touched brings no other ones from the disk */
	return map;
}

void
mapped_close(const unsigned char *map, size_t len)
{
	if (map)
		munmap((void *)(uintptr_t)map, len);
}

bool
mapped_is_cached(const unsigned char *at, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), most = PAGES_MAX * page;
	uintptr_t from = (uintptr_t)at & ~(uintptr_t)(page - 1), end = (uintptr_t)at + len;
	unsigned char cached[PAGES_MAX];

	for (; from < end; from += most) {
		size_t some = end - from < most ? end - from : most;

		if (mincore((void *)from, some, cached) != 0)
			return false;
		for (size_t i = 0; i < (some + page - 1) / page; i++)
			if (!(cached[i] & 1))
				return false;
	}
	return true;
}
