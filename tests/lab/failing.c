/* failing - a library that lets one system call on the files of a store fail, once.
 *
 *	LD_PRELOAD=failing.so FAILING_STORE=DIR FAILING_HOW=EIO|ENOSPC|short \
 *		FAILING_AT=N FAILING_TOLD=FILE mount.mqfs ...
 *
 * Calls on what lies below DIR are counted, those that can fail in this way: the
 * N-th does (0: none).  FILE gets "CALL PATH" when it does, and at the end of the
 * process "calls COUNT".
 *
 * close() is not among them: what matters has been synced before, and a disk's
 * file system never fails there.  EIO is for each of the others; ENOSPC for
 * those that may take space; with `short` a write writes the first half of its bytes.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { FAIL_EIO = 1, FAIL_ENOSPC = 2, FAIL_SHORT = 4 };

static char store[PATH_MAX], told[PATH_MAX];
static enum how how;
static long at;
static atomic_long calls;

/* The environment is for the broker only, not for what it starts. */
__attribute__((constructor)) static void
failing_start(void)
{
	const char *dir = getenv("FAILING_STORE"), *word = getenv("FAILING_HOW");
	const char *file = getenv("FAILING_TOLD"), *number = getenv("FAILING_AT");

	if (!dir || !word || !file || !number)
		return;
	how = strcmp(word, "short") == 0 ? FAIL_SHORT : strcmp(word, "ENOSPC") == 0 ? FAIL_ENOSPC : FAIL_EIO;
	at = atol(number);
	snprintf(told, sizeof(told), "%s", file);
	snprintf(store, sizeof(store), "%s", dir);
	unsetenv("LD_PRELOAD");
}

static void
tell(const char *what, const char *more)
{
	FILE *f = fopen(told, "ae");

	if (!f)
		abort();
	fprintf(f, "%s %s\n", what, more);
	fclose(f);
}

__attribute__((destructor)) static void
failing_end(void)
{
	char count[24];

	if (!store[0])
		return;
	snprintf(count, sizeof(count), "%ld", atomic_load(&calls));
	tell("calls", count);
}

static void *
real_of(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		abort();
	return f;
}
#define REAL(call) ((__typeof__(&call))real_of(#call))

static bool
is_below(const char *path)
{
	size_t len = strlen(store);

	return len > 0 && strncmp(path, store, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void
path_of_fd(int fd, char path[static PATH_MAX])
{
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	path[n < 0 ? 0 : n] = '\0';
}

/* Is it this call's turn?  `can` is how it can fail. */
static bool
due(const char *call, const char *path, int can)
{
	int saved = errno;

	if (!is_below(path) || !(can & (int)how) || atomic_fetch_add(&calls, 1) + 1 != at)
		return false;
	tell(call, path + strlen(store));
	errno = how == FAIL_SHORT ? saved : how == FAIL_ENOSPC ? ENOSPC : EIO;
	return true;
}

static bool
due_fd(const char *call, int fd, int can)
{
	char path[PATH_MAX];

	if (!store[0])
		return false;
	path_of_fd(fd, path);
	return due(call, path, can);
}

static bool
due_at(const char *call, int dirfd, const char *name, int can)
{
	char path[2 * PATH_MAX], dir[PATH_MAX] = "";

	if (!store[0])
		return false;
	if (name[0] != '/' && dirfd >= 0)
		path_of_fd(dirfd, dir);
	snprintf(path, sizeof(path), "%s%s%s", dir, dir[0] ? "/" : "", name);
	return due(call, path, can);
}

enum { READS = FAIL_EIO, TAKES_SPACE = FAIL_EIO | FAIL_ENOSPC, WRITES = TAKES_SPACE | FAIL_SHORT };

/* --- by descriptor --- */

#define BY_FD(type, failed, call, can, params, args)		\
	type call params					\
	{							\
		return due_fd(#call, fd, can) ? failed : REAL(call) args; \
	}

BY_FD(int, -1, fdatasync, READS, (int fd), (fd))
BY_FD(int, -1, fsync, READS, (int fd), (fd))
BY_FD(int, -1, syncfs, READS, (int fd), (fd))
BY_FD(int, -1, fstat, READS, (int fd, struct stat *st), (fd, st))
BY_FD(int, -1, fstatvfs, READS, (int fd, struct statvfs *st), (fd, st))
BY_FD(int, -1, futimens, READS, (int fd, const struct timespec t[2]), (fd, t))
BY_FD(off_t, -1, lseek, READS, (int fd, off_t off, int whence), (fd, off, whence))
BY_FD(int, -1, ftruncate, TAKES_SPACE, (int fd, off_t len), (fd, len))
BY_FD(int, -1, fallocate, TAKES_SPACE, (int fd, int mode, off_t off, off_t len), (fd, mode, off, len))
BY_FD(ssize_t, -1, read, READS, (int fd, void *buf, size_t len), (fd, buf, len))
BY_FD(ssize_t, -1, pread, READS, (int fd, void *buf, size_t len, off_t off), (fd, buf, len, off))
BY_FD(void *, MAP_FAILED, mmap, READS, (void *to, size_t len, int prot, int flags, int fd, off_t off),
      (to, len, prot, flags, fd, off))

#define WRITING(call, params, args, shorter)			\
	ssize_t call params					\
	{							\
		if (!due_fd(#call, fd, WRITES))			\
			return REAL(call) args;			\
		return how == FAIL_SHORT ? shorter : -1;	\
	}

WRITING(write, (int fd, const void *buf, size_t len), (fd, buf, len), REAL(write)(fd, buf, (len + 1) / 2))
WRITING(pwrite, (int fd, const void *buf, size_t len, off_t off), (fd, buf, len, off),
	REAL(pwrite)(fd, buf, (len + 1) / 2, off))
WRITING(writev, (int fd, const struct iovec *v, int n), (fd, v, n), REAL(writev)(fd, v, (n + 1) / 2))
WRITING(pwritev, (int fd, const struct iovec *v, int n, off_t off), (fd, v, n, off),
	REAL(pwritev)(fd, v, (n + 1) / 2, off))

/* --- by name --- */

#define BY_NAME(call, can, params, args)			\
	int call params						\
	{							\
		return due_at(#call, dir, name, can) ? -1 : REAL(call) args; \
	}

BY_NAME(unlinkat, READS, (int dir, const char *name, int flags), (dir, name, flags))
BY_NAME(mkdirat, TAKES_SPACE, (int dir, const char *name, mode_t mode), (dir, name, mode))
BY_NAME(fstatat, READS, (int dir, const char *name, struct stat *st, int flags), (dir, name, st, flags))
BY_NAME(renameat, TAKES_SPACE, (int dir, const char *name, int to_dir, const char *to),
	(dir, name, to_dir, to))
BY_NAME(linkat, TAKES_SPACE, (int dir, const char *name, int to_dir, const char *to, int flags),
	(dir, name, to_dir, to, flags))

static int
mode_of(int flags, va_list ap)
{
	return flags & O_CREAT ? va_arg(ap, int) : 0;
}

int
openat(int dir, const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (due_at("openat", dir, name, flags & O_CREAT ? TAKES_SPACE : READS))
		return -1;
	return REAL(openat)(dir, name, flags, mode);
}

int
open(const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (due_at("open", AT_FDCWD, name, flags & O_CREAT ? TAKES_SPACE : READS))
		return -1;
	return REAL(open)(name, flags, mode);
}
