#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/number.h"
#include "conf/scope.h"
#include "store/file.h"

static _Thread_local const struct file_waiting *waiting;

void
file_set_waiting(const struct file_waiting *w)
{
	waiting = w;
}

int
file_read_now(int fd, void *buf, size_t len, int64_t at)
{
	const struct iovec iov = { buf, len };

	return preadv2(fd, &iov, 1, at, RWF_NOWAIT) == (ssize_t)len ? MQ_OK : -EAGAIN;
}

static int
read_all(int fd, void *buf, size_t len, int64_t at, const char *what)
{
	size_t done = 0;
	bool again = false;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, at + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EIO && !again) {
			again = true;		/* bytes that cannot be read are taken for damage: ask twice */
			continue;
		}
		if (n < 0)
			return err_note(-errno, "%s: read at %" PRId64 ": %m", what, at + (int64_t)done);
		if (n == 0)
			return err_note(MQ_EEND, "%s: ends at %" PRId64, what, at + (int64_t)done);
		done += (size_t)n;
	}
	return MQ_OK;
}

int
file_read(int fd, void *buf, size_t len, int64_t at, const char *what)
{
	int rc;

	if (!waiting)
		return read_all(fd, buf, len, at, what);
	if (file_read_now(fd, buf, len, at) == MQ_OK)
		return MQ_OK;
	waiting->begin(waiting->arg);
	rc = read_all(fd, buf, len, at, what);
	waiting->end(waiting->arg);
	return rc;
}

int
file_write(int fd, const void *buf, size_t len, int64_t at, const char *what)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done, at + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_note(-errno, "%s: write at %" PRId64 ": %m", what, at + (int64_t)done);
		if (n == 0)
			return err_note(-EIO, "%s: write at %" PRId64 " took nothing", what, at + (int64_t)done);
		done += (size_t)n;
	}
	return MQ_OK;
}

int
file_reserve(int fd, int64_t size_bytes)
{
	int rc;

	do
		rc = fallocate(fd, 0, 0, size_bytes);
	while (rc != 0 && errno == EINTR);
	if (rc == 0)
		return MQ_OK;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return err_note(-errno, "allocate %" PRId64 " bytes: %m", size_bytes);
	if (ftruncate(fd, size_bytes) != 0)
		return err_note(-errno, "extend to %" PRId64 " bytes: %m", size_bytes);
	return MQ_OK;
}

int
file_sync(int fd, const char *what)
{
	if (fdatasync(fd) != 0)
		return err_note(-errno, "%s: sync: %m", what);
	return MQ_OK;
}

void
file_sync_begin(int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

bool
file_system_syncs(int fd)
{
	static const long kinds[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (fs.f_type == kinds[i])
			return true;
	return false;
}

int
dir_sync(int dirfd, const char *what)
{
	if (fsync(dirfd) != 0)
		return err_note(-errno, "%s: sync: %m", what);
	return MQ_OK;
}

int
file_place(int dirfd, int fd, const char *tmp, const char *name, int rc)
{
	if (rc == MQ_OK)
		rc = file_sync(fd, tmp);
	if (rc == MQ_OK && renameat(dirfd, tmp, dirfd, name) != 0)
		rc = err_note(-errno, "%s: rename: %m", name);
	if (rc != MQ_OK)
		unlinkat(dirfd, tmp, 0);
	return rc == MQ_OK ? dir_sync(dirfd, name) : rc;
}

int
file_replace(int dirfd, const char *name, const char *tmp, const void *bytes, size_t len)
{
	AUTO_CLOSE int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	if (fd < 0)
		return err_note(-errno, "%s: %m", tmp);
	return file_place(dirfd, fd, tmp, name, file_write(fd, bytes, len, 0, tmp));
}

int
file_copy(int from, int to, int64_t size, const char *what)
{
	char buf[64 * 1024];
	int64_t at = 0, end;
	int rc = MQ_OK;

	while (rc == MQ_OK && file_next_data(from, at, size, &at, &end)) {
		size_t n = end - at < (int64_t)sizeof(buf) ? (size_t)(end - at) : sizeof(buf);

		rc = file_read(from, buf, n, at, what);
		if (rc == MQ_OK)
			rc = file_write(to, buf, n, at, what);
		at += (int64_t)n;
	}
	return rc;
}

int
file_unshare(int dirfd, const char *name, const char *tmp)
{
	AUTO_CLOSE int from = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int rc;

	if (from < 0 || fstat(from, &st) != 0)
		return err_note(-errno, "%s: %m", name);
	if (st.st_nlink == 1)
		return MQ_OK;
	AUTO_CLOSE int to = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (to < 0)
		return err_note(-errno, "%s: %m", tmp);
	rc = ftruncate(to, st.st_size) == 0 ? file_copy(from, to, st.st_size, name) : err_note(-errno, "%s: %m", tmp);
	if (rc == MQ_OK && (fchmod(to, st.st_mode & 07777) != 0 ||
			    futimens(to, (struct timespec[]){ st.st_atim, st.st_mtim }) != 0))
		rc = err_note(-errno, "%s: %m", tmp);
	return file_place(dirfd, to, tmp, name, rc);
}

int
dir_make(int dirfd, const char *name)
{
	if (mkdirat(dirfd, name, 0750) == 0)
		return dir_sync(dirfd, name);
	return errno == EEXIST ? MQ_OK : err_note(-errno, "%s: make directory: %m", name);
}

int
dir_open(int dirfd, const char *name, int make, int *ret_fd)
{
	int fd, rc;

	if (make) {
		rc = dir_make(dirfd, name);
		if (rc != MQ_OK)
			return rc;
	}
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_note(-errno, "%s: %m", name);
	*ret_fd = fd;
	return MQ_OK;
}

DIR *
dir_names(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

int
dir_each(int at_fd, const char *name, dir_name *each, void *arg)
{
	DIR *dir = dir_names(at_fd, name);
	const struct dirent *e;
	int rc = MQ_OK;

	if (!dir)
		return errno == ENOTDIR || errno == ENOENT || errno == ELOOP ? MQ_OK : err_note(-errno, "%s: %m", name);
	while (rc == MQ_OK && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			rc = each(dirfd(dir), e->d_name, arg);
	closedir(dir);
	return rc;
}

int
dir_remove(int at_fd, const char *name)
{
	const struct dirent *e;
	int rc = MQ_OK;
	DIR *dir;

	if (unlinkat(at_fd, name, 0) == 0 || errno == ENOENT)
		return MQ_OK;
	dir = errno == EISDIR ? dir_names(at_fd, name) : NULL;
	if (!dir)
		return err_note(-errno, "%s: remove: %m", name);
	while (rc == MQ_OK && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = dir_remove(dirfd(dir), e->d_name);
	closedir(dir);
	if (rc == MQ_OK && unlinkat(at_fd, name, AT_REMOVEDIR) != 0)
		rc = err_note(-errno, "%s: remove: %m", name);
	return rc;
}

int64_t
name_number(const char *name, size_t digits)
{
	int64_t number;

	return strlen(name) == digits && strspn(name, "0123456789") == digits &&
	       text_number(name, 0, INT64_MAX, &number) ? number : -1;
}

bool
name_ends_with(const char *name, const char *ending)
{
	size_t len = strlen(name), end_len = strlen(ending);

	return len >= end_len && strcmp(name + len - end_len, ending) == 0;
}

bool
file_next_data(int fd, int64_t from, int64_t to, int64_t *ret_begin, int64_t *ret_end)
{
	off_t begin = from, end = to;

	if (from >= to)
		return false;
	begin = lseek(fd, from, SEEK_DATA);
	if (begin < 0 && errno == ENXIO)
		return false;
	if (begin < 0)
		begin = from;
	else
		end = lseek(fd, begin, SEEK_HOLE);
	*ret_begin = begin;
	*ret_end = end < begin || end > to ? to : end;
	return begin < to;
}

int
file_last_data(int fd, int64_t from, int64_t to, int64_t *ret_last)
{
	char buf[64 * 1024];
	int64_t last = from, end;

	while (file_next_data(fd, from, to, &from, &end)) {
		size_t n = end - from < (int64_t)sizeof(buf) ? (size_t)(end - from) : sizeof(buf);
		int rc = file_read(fd, buf, n, from, "last data");

		if (rc != MQ_OK)
			return rc;
		for (size_t i = n; i > 0; i--)
			if (buf[i - 1]) {
				last = from + (int64_t)i;
				break;
			}
		from += (int64_t)n;
	}
	*ret_last = last;
	return MQ_OK;
}

int
file_drop_cache(int fd, int64_t from)
{
	int rc = file_sync(fd, "commitlog");

	if (rc == MQ_OK)
		file_drop_clean(fd, from);
	return rc;
}

void
file_drop_clean(int fd, int64_t from)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	(void)posix_fadvise(fd, from & ~INT64_C(4095), 0, POSIX_FADV_DONTNEED);
}

void
file_read_ahead(int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
}

int
file_zero(int fd, int64_t from, int64_t to)
{
	static const char zeros[64 * 1024];
	int rc;

	if (fallocate(fd, FALLOC_FL_ZERO_RANGE, from, to - from) != 0)
		for (int64_t at = from; at < to; at += (int64_t)sizeof(zeros)) {
			size_t n = to - at < (int64_t)sizeof(zeros) ? (size_t)(to - at) : sizeof(zeros);

			rc = file_write(fd, zeros, n, at, "zero");
			if (rc != MQ_OK)
				return rc;
		}
	return file_sync(fd, "zero");
}

void
file_umask(void)
{
	if (geteuid() != 0)
		(void)umask(077);
}
