#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "tests/fault.h"

static struct fault fault;
static atomic_int calls;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of fault: a store's threads look, too */

void
fault_set(struct fault f)
{
	pthread_mutex_lock(&lock);
	fault = f;
	pthread_mutex_unlock(&lock);
	atomic_store(&calls, 0);
}

void
fault_none(void)
{
	fault_set((struct fault){ 0 });
}

int
fault_calls(void)
{
	return atomic_load(&calls);
}

static bool
changes(const char *call)
{
	static const char *const others[] = { "pread", "preadv2", "fsync", "fdatasync", "syncfs" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(call, others[i]) == 0)
			return false;
	return true;
}

static bool
is_due(const char *call, bool is_change)
{
	struct fault f;
	int n;

	pthread_mutex_lock(&lock);
	f = fault;
	pthread_mutex_unlock(&lock);
	if ((f.call && strcmp(f.call, call) != 0) || (f.changes && !is_change))
		return false;
	n = atomic_fetch_add(&calls, 1) + 1;
	if (f.at == 0 || n < f.at || (n > f.at && !f.for_ever))
		return false;
	if (f.dies)
		_exit(f.dies);
	errno = f.number;
	return true;
}

bool
fault_due(const char *call)
{
	return is_due(call, changes(call));
}

#define WRAP(type, call, params, args)                  \
	type __real_##call params;                  \
	type __wrap_##call params;                  \
	type __wrap_##call params                   \
	{                                          \
		return fault_due(#call) ? -1 : __real_##call args; \
	}

WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, syncfs, (int fd), (fd))
WRAP(ssize_t, pread, (int fd, void *buf, size_t len, off_t at), (fd, buf, len, at))
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))
WRAP(int, ftruncate, (int fd, off_t len), (fd, len))
WRAP(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to))

int __real_openat(int dirfd, const char *name, int flags, ...);
int __wrap_openat(int dirfd, const char *name, int flags, ...);
int
__wrap_openat(int dirfd, const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, int) : 0;
	va_end(ap);
	return is_due("openat", flags & (O_CREAT | O_TRUNC)) ? -1 : __real_openat(dirfd, name, flags, mode);
}

/* A write that fails may have written some. */
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t
__wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	int number;

	if (!fault_due("pwrite"))
		return __real_pwrite(fd, buf, len, at);
	number = errno;
	if (len > 1)
		(void)!__real_pwrite(fd, buf, len / 2 + 1, at);
	errno = number;
	return -1;
}
