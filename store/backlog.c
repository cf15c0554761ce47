#include "config.h"

#include <stdatomic.h>
#include <unistd.h>

#include "store/backlog.h"

#define RAM_BYTES_UNKNOWN ((int64_t)24 << 30)	/* RocketMQ's guess */

static int64_t
ram_bytes(void)
{
	int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? pages * page : RAM_BYTES_UNKNOWN;
}

int64_t
backlog_memory(int64_t percent)
{
	static _Atomic int64_t bytes;		/* asked for once: it is a file of the kernel, or a system call */
	int64_t known = atomic_load_explicit(&bytes, memory_order_relaxed);

	if (known == 0) {
		known = ram_bytes();
		atomic_store_explicit(&bytes, known, memory_order_relaxed);
	}
	return known / 100 * percent;
}
