/* file.h - operations on files and directories.  Errors are noted, with the names that are passed. */
#ifndef MQFS_STORE_FILE_H
#define MQFS_STORE_FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What this thread does before file_read() waits for the disk, and after that: other threads may
 * have to do its work meanwhile.  NULL: nothing.  *w must outlive the thread's reads. */
struct file_waiting {
	void (*begin)(void *arg);
	void (*end)(void *arg);
	void *arg;
};
void file_set_waiting(const struct file_waiting *w);

/* Read or write all len bytes.  MQ_EEND: the file ends before. */
int file_read(int fd, void *buf, size_t len, int64_t at, const char *what);

/* The same, but -EAGAIN, not noted, for what the disk would have to be asked for. */
int file_read_now(int fd, void *buf, size_t len, int64_t at);

int file_write(int fd, const void *buf, size_t len, int64_t at, const char *what);

/* Make the file that long and allocate its blocks, so that writing into it cannot fail for space.
 * Where a file system cannot allocate, the file only gets its length. */
int file_reserve(int fd, int64_t size_bytes);

int file_sync(int fd, const char *what);

/* Begin to write the file to the disk: called for several files before file_sync() of each, so that the
 * first sync commits the blocks of all.  file_sync() reports errors. */
void file_sync_begin(int fd);

/* Does syncfs(2) write all of fd's file system to the disk, and report what failed?  True for a few
 * known kinds; a FUSE server, for example, is not even asked. */
bool file_system_syncs(int fd);

/* Copy the first `size` bytes of `from` to `to`, which has zeros there; holes stay holes. */
int file_copy(int from, int to, int64_t size, const char *what);

/* Replace a small file as a whole, durably: it is written as `tmp`, which only the caller uses, and
 * renamed. */
int file_replace(int dirfd, const char *name, const char *tmp, const void *bytes, size_t len);

/* The same for a caller that has written the file `tmp` (fd) by itself: sync it and rename it,
 * durably, unless rc, which is returned then, says that the writing failed.  On failure `tmp`
 * is removed. */
int file_place(int dirfd, int fd, const char *tmp, const char *name, int rc);

/* If the file has other hard links, replace it by a copy with the same bytes, mode and times.  `tmp` as
 * for file_replace(). */
int file_unshare(int dirfd, const char *name, const char *tmp);

/* Make a directory and sync its parent; MQ_OK also if it exists. */
int dir_make(int dirfd, const char *name);
int dir_sync(int dirfd, const char *what);

/* Open a directory below dirfd, made first if `make`. */
int dir_open(int dirfd, const char *name, int make, int *ret_fd);

/* Call each() with the open directory `name` below dirfd and each name in it that does not begin with
 * a dot, in no order, until it fails; its result is returned.  MQ_OK also if `name` is missing or
 * no directory. */
typedef int dir_name(int dirfd, const char *name, void *arg);
int dir_each(int at_fd, const char *name, dir_name *each, void *arg);

/* The directory `name` for readdir(3); links are not followed.  NULL with errno. */
DIR *dir_names(int dirfd, const char *name);

/* Remove a file, or a directory with all that is in it; one that is missing is fine. */
int dir_remove(int at_fd, const char *name);

/* The number in a name of exactly so many digits; -1: it is another kind of name. */
int64_t name_number(const char *name, size_t digits);

/* Does `ending` follow at least one character? */
bool name_ends_with(const char *name, const char *ending);

/* The next range of fd in [from, to) that may hold bytes other than zero; false: there is none.  If the
 * file system does not know its holes, it is all of [from, to). */
bool file_next_data(int fd, int64_t from, int64_t to, int64_t *ret_begin, int64_t *ret_end);

/* The position behind the last byte of [from, to) that is not zero; `from` if all are. */
int file_last_data(int fd, int64_t from, int64_t to, int64_t *ret_last);

/* Sync the file and drop its bytes from `from` on from the page cache: blocks that were never written,
 * and whose zeros were read, are holes again.  No bytes are read ahead on this descriptor until
 * file_read_ahead(). */
int file_drop_cache(int fd, int64_t from);

/* The same without the sync, for a process that does not write the file. */
void file_drop_clean(int fd, int64_t from);
void file_read_ahead(int fd);

/* Make bytes [from, to) of fd zero, durably. */
int file_zero(int fd, int64_t from, int64_t to);

/* Called at the start of a program that writes a store: files of an ordinary user are for that user
 * alone (0600, 0700), those of root may be read by root's group (0640, 0750). */
void file_umask(void);

#endif
