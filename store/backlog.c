#include "config.h"

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
	return ram_bytes() / 100 * percent;
}
