/* file.h - small things done to files, each with its error noted. */
#ifndef MQFS_STORE_FILE_H
#define MQFS_STORE_FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All of it or an error; a file that ends early is MQ_EEND. */
int file_read(int fd, void *buf, size_t len, int64_t at, const char *what);

/* The same, but -EAGAIN, not noted, for what the disk would have to be asked for. */
int file_read_now(int fd, void *buf, size_t len, int64_t at);

int file_write(int fd, const void *buf, size_t len, int64_t at, const char *what);

/* Make sure of size_bytes: the file is that long and its blocks are allocated,
 * so that writing into it cannot fail for space.  Where a file system cannot
 * do that it is only made that long. */
int file_reserve(int fd, int64_t size_bytes);

int file_sync(int fd, const char *what);

/* Before file_sync() of several files, for each of them: begin to write it.  The first
 * sync then finds all their blocks allocated, and its commit is that of the others, too.
 * What fails here, the sync tells. */
void file_sync_begin(int fd);

/* Does syncfs(2) bring all of fd's file system to the disk, and tell what failed?  Only
 * of some kinds that is known: where a process serves it (FUSE), it is not even asked. */
bool file_system_syncs(int fd);

/* The first bytes of `from` into `to`, which has zeros there: what is a hole stays one. */
int file_copy(int from, int to, int64_t size, const char *what);

/* Replace a small file as a whole, durably: made as `tmp`, which is nobody else's,
 * and renamed. */
int file_replace(int dirfd, const char *name, const char *tmp, const void *bytes, size_t len);

/* The same for a caller that has written the file `tmp` (fd) by itself: sync it and rename it,
 * durably, unless rc, which is returned then, says that the writing failed.  On failure `tmp`
 * is removed. */
int file_place(int dirfd, int fd, const char *tmp, const char *name, int rc);

/* A file that has other names, too, becomes one of its own, with the same bytes, mode and
 * times: a change of it then changes no other file.  `tmp` as above. */
int file_unshare(int dirfd, const char *name, const char *tmp);

/* Make a directory and sync its parent; one that is there is fine. */
int dir_make(int dirfd, const char *name);
int dir_sync(int dirfd, const char *what);

/* Open a directory below dirfd, made first if `make`. */
int dir_open(int dirfd, const char *name, int make, int *ret_fd);

/* Call each() with the open directory `name` below dirfd and each name in it but those that
 * begin with a dot, in no order, until it returns something else than MQ_OK, which is
 * returned then.  What is missing, or no directory, has no names. */
typedef int dir_name(int dirfd, const char *name, void *arg);
int dir_each(int at_fd, const char *name, dir_name *each, void *arg);

/* The directory `name` for readdir(3); links are not followed.  NULL with errno. */
DIR *dir_names(int dirfd, const char *name);

/* Remove a file, or a directory with all that is in it; one that is missing is fine. */
int dir_remove(int at_fd, const char *name);

/* The number that a name of so many digits says; -1: it is another kind of name. */
int64_t name_number(const char *name, size_t digits);

/* Does `ending` follow at least one character? */
bool name_ends_with(const char *name, const char *ending);

/* The next stretch of fd in [from, to) that may hold anything but zeros; false:
 * there is none.  Where a file system cannot tell, all of it may. */
bool file_next_data(int fd, int64_t from, int64_t to, int64_t *ret_begin, int64_t *ret_end);

/* Behind the last byte of [from, to) that is not zero; `from` if all are. */
int file_last_data(int fd, int64_t from, int64_t to, int64_t *ret_last);

/* Bytes from `from` on are asked of the disk again: what is only in memory
 * because somebody read it (zeros of blocks never written) is no data any more.
 * Nor is anything read ahead on this descriptor, until file_read_ahead(). */
int file_drop_cache(int fd, int64_t from);

/* The same for a process that does not write the file: what is not on the disk yet stays data. */
void file_drop_clean(int fd, int64_t from);
void file_read_ahead(int fd);

/* Make bytes [from, to) of fd zero, durably. */
int file_zero(int fd, int64_t from, int64_t to);

/* For the begin of a program that writes a store: what an ordinary user's makes is for that
 * user alone (0600, 0700); what root's makes may be read by its group (0640, 0750). */
void file_umask(void);

#endif
