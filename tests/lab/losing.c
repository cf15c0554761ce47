/* losing - a file system that loses what was not synced, when its power is cut.
 *
 *	losing BACKING MOUNTPOINT [FUSE_OPTION...]
 *	echo SEED > MOUNTPOINT/.cut
 *
 * It shows the directory BACKING/tree, which always has what was written last; beside it
 * is remembered what the disk would still have: for each page that was written since the
 * last fsync(2) of its file its bytes before, for each file its length then, for each name
 * that was made, moved or removed since the last fsync(2) of its directory how to undo
 * that.  A cut takes back some of it, chosen at random, each page and each name for itself
 * (POSIX promises no order), and from then on every call fails with EIO.  Started again,
 * it serves what is left.  BACKING/lost has a line for each cut: "N of M" pages, names and
 * lengths are lost.
 *
 * One thread.  A write through O_DSYNC or O_SYNC is synced.  syncfs(2) does not reach it,
 * and O_TRUNC and unlink(2) are forgotten as writes and names are.
 */
#include "config.h"

#define FUSE_USE_VERSION 35

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGE 4096
#define BUCKETS 4096
#define CUT "/.cut"
#define PATH_BYTES 1024

/* --- what the disk would still have ---------------------------------------------------- */

/* A page that was written since its file was synced: what it was before. */
struct page {
	struct page *next;
	ino_t file;
	off_t at;
	char before[PAGE];
};

/* The length of such a file when it was synced. */
struct length {
	struct length *next;
	ino_t file;
	off_t bytes;
};

/* A name that was changed since its directory was synced. */
struct change {
	struct change *older;
	enum kind { MADE, MOVED, REMOVED } kind;
	bool is_dir;
	char path[PATH_BYTES];		/* below the tree: made, removed, or moved to here */
	char from[PATH_BYTES];		/* moved from here */
	char kept[32];			/* the file that was removed or replaced, in BACKING; "": none */
};

static struct page *pages[BUCKETS];
static struct length *lengths[BUCKETS];
static struct change *newest;
static unsigned long n_kept;
static int tree_fd, backing_fd, cut_fd;
static bool is_cut;

static bool
is_cut_file(const char *path)
{
	return path && strcmp(path, CUT) == 0;
}

static const char *
rel(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static size_t
page_bucket(ino_t file, off_t at)
{
	return (size_t)((uint64_t)file * 31 + (uint64_t)at / PAGE) % BUCKETS;
}

static bool
knows_page(ino_t file, off_t at)
{
	for (const struct page *p = pages[page_bucket(file, at)]; p; p = p->next)
		if (p->file == file && p->at == at)
			return true;
	return false;
}

static bool
knows_length(ino_t file)
{
	for (const struct length *l = lengths[file % BUCKETS]; l; l = l->next)
		if (l->file == file)
			return true;
	return false;
}

static void *
must_have(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* Bytes [from, to) of fd are about to change. */
static void
remember(int fd, off_t from, off_t to)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		abort();
	if (!knows_length(st.st_ino)) {
		struct length *l = must_have(malloc(sizeof(*l)));

		*l = (struct length){ lengths[st.st_ino % BUCKETS], st.st_ino, st.st_size };
		lengths[st.st_ino % BUCKETS] = l;
	}
	for (off_t at = from / PAGE * PAGE; at < to; at += PAGE) {
		struct page **bucket = &pages[page_bucket(st.st_ino, at)], *p;

		if (knows_page(st.st_ino, at))
			continue;
		p = must_have(calloc(1, sizeof(*p)));
		p->next = *bucket;
		p->file = st.st_ino;
		p->at = at;
		if (pread(fd, p->before, PAGE, at) < 0)
			abort();
		*bucket = p;
	}
}

/* What was written of [from, to) of that file is on the disk; `all`: its length, too. */
static void
forget(ino_t file, off_t from, off_t to, bool all)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct page **at = &pages[i]; *at;) {
			struct page *p = *at;

			if (p->file != file || p->at + PAGE <= from || p->at >= to) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			free(p);
		}
	for (struct length **at = &lengths[file % BUCKETS]; all && *at;) {
		struct length *l = *at;

		if (l->file != file) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		free(l);
	}
}

static struct change *
changed(enum kind kind, const char *path, bool is_dir)
{
	struct change *c = must_have(calloc(1, sizeof(*c)));

	c->older = newest;
	c->kind = kind;
	c->is_dir = is_dir;
	snprintf(c->path, sizeof(c->path), "%s", rel(path));
	newest = c;
	return c;
}

/* A file that loses a name can get it back. */
static void
keep(const char *path, char kept[32])
{
	snprintf(kept, 32, "kept.%lu", n_kept++);
	if (linkat(tree_fd, rel(path), backing_fd, kept, 0) != 0)
		kept[0] = '\0';
}

static bool
is_in(const char *path, const char *dir)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	return strcmp(dir, ".") == 0 ? !slash : slash && len == strlen(dir) && memcmp(path, dir, len) == 0;
}

/* The names in that directory are on the disk. */
static void
forget_names(const char *dir)
{
	for (struct change **at = &newest; *at;) {
		struct change *c = *at;

		if (!is_in(c->path, dir)) {
			at = &c->older;
			continue;
		}
		if (c->kept[0])
			unlinkat(backing_fd, c->kept, 0);
		*at = c->older;
		free(c);
	}
}

/* A directory has another name now. */
static void
rename_in(char path[PATH_BYTES], const char *from, const char *to)
{
	char old[PATH_BYTES];
	size_t len = strlen(from);

	if (strncmp(path, from, len) != 0 || path[len] != '/')
		return;
	memcpy(old, path, sizeof(old));
	if (snprintf(path, PATH_BYTES, "%s%s", to, old + len) >= PATH_BYTES)
		abort();
}

/* --- the cut ---------------------------------------------------------------------------- */

static void
undo(const struct change *c)
{
	struct stat st;
	bool there = fstatat(tree_fd, c->path, &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (c->kind == MADE)
		unlinkat(tree_fd, c->path, c->is_dir ? AT_REMOVEDIR : 0);
	else if (c->kind == MOVED && there && fstatat(tree_fd, c->from, &st, AT_SYMLINK_NOFOLLOW) != 0)
		renameat(tree_fd, c->path, tree_fd, c->from);
	else if (c->kind == REMOVED && c->is_dir)
		mkdirat(tree_fd, c->path, 0750);
	if (c->kept[0])
		linkat(backing_fd, c->kept, tree_fd, c->path, 0);
}

/* The files of the tree, and what becomes of each. */
static void
each_file(int dirfd, void (*visit)(int fd, ino_t file))
{
	int own = openat(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *dir = must_have(fdopendir(own));
	struct dirent *e;

	while ((e = readdir(dir))) {
		struct stat st;
		int fd;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(own, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		fd = openat(own, e->d_name, S_ISDIR(st.st_mode) ? O_RDONLY | O_DIRECTORY : O_RDWR);
		if (fd >= 0 && S_ISDIR(st.st_mode))
			each_file(fd, visit);
		else if (fd >= 0)
			visit(fd, st.st_ino);
		if (fd >= 0)
			close(fd);
	}
	closedir(dir);
}

static int lost_percent;
static long n_unsynced, n_lost;

static bool
is_lost(void)
{
	bool lost = random() % 100 < lost_percent;

	n_unsynced++;
	n_lost += lost;
	return lost;
}

static void
lose_of_file(int fd, ino_t file)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		abort();
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct page *p = pages[i]; p; p = p->next)
			if (p->file == file && is_lost() && pwrite(fd, p->before, PAGE, p->at) != PAGE)
				abort();
	for (struct length *l = lengths[file % BUCKETS]; l; l = l->next)
		if (l->file == file && ftruncate(fd, is_lost() ? l->bytes : st.st_size) != 0)
			abort();
	forget(file, 0, INT64_MAX, true);	/* it may have more names */
}

/* For the test: how much there was to lose. */
static void
tell(void)
{
	int fd = openat(backing_fd, "lost", O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (fd < 0 || dprintf(fd, "%ld of %ld\n", n_lost, n_unsynced) < 0 || close(fd) != 0)
		abort();
}

static void
cut(unsigned seed)
{
	static const int percents[] = { 5, 30, 70, 100 };

	is_cut = true;
	srandom(seed);
	lost_percent = percents[random() % 4];
	for (struct change *c = newest; c; c = c->older)
		if (is_lost())
			undo(c);
	each_file(tree_fd, lose_of_file);
	tell();
}

/* --- the file system --------------------------------------------------------------------- */

#define UNLESS_CUT() do { if (is_cut) return -EIO; } while (0)
#define ANSWER(call) ((call) == 0 ? 0 : -errno)

static void *
fs_init(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
	/* Nobody else changes the tree.  And with it a reader beside a writer makes the kernel
	 * (6.18) drop pages that are being written: whole pages of a write became zeros. */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	cfg->use_ino = 1;
	cfg->nullpath_ok = 1;
	cfg->hard_remove = 1;
	cfg->attr_timeout = cfg->entry_timeout = cfg->negative_timeout = 0;
	return NULL;
}

static int
fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	UNLESS_CUT();
	if (is_cut_file(path)) {
		*st = (struct stat){ .st_mode = S_IFREG | 0200, .st_nlink = 1 };
		return 0;
	}
	return ANSWER(fi ? fstat((int)fi->fh, st) : fstatat(tree_fd, rel(path), st, AT_SYMLINK_NOFOLLOW));
}

static int
fs_opendir(const char *path, struct fuse_file_info *fi)
{
	int fd;

	UNLESS_CUT();
	fd = openat(tree_fd, rel(path), O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int
fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
	   enum fuse_readdir_flags flags)
{
	int fd = openat((int)fi->fh, ".", O_RDONLY | O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	(void)path, (void)off, (void)flags;
	if (!dir || is_cut) {
		int error = is_cut ? EIO : errno;

		if (dir)
			closedir(dir);
		else if (fd >= 0)
			close(fd);
		return -error;
	}
	while ((e = readdir(dir))) {
		struct stat st = { .st_ino = e->d_ino, .st_mode = (mode_t)e->d_type << 12 };

		fill(buf, e->d_name, &st, 0, 0);
	}
	closedir(dir);
	return 0;
}

/* The kernel appends by itself; the backing file is written where it says. */
static int
open_flags(const struct fuse_file_info *fi)
{
	int flags = fi->flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NOFOLLOW | O_DIRECT | O_SYNC | O_DSYNC);

	return (flags & O_ACCMODE) == O_WRONLY ? (flags & ~O_ACCMODE) | O_RDWR : flags;
}

static int
fs_open(const char *path, struct fuse_file_info *fi)
{
	int fd;

	UNLESS_CUT();
	fd = is_cut_file(path) ? cut_fd : openat(tree_fd, rel(path), open_flags(fi));
	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	struct stat st;
	int fd;

	UNLESS_CUT();
	fd = openat(tree_fd, rel(path), open_flags(fi) | O_CREAT | O_EXCL, mode);
	if (fd < 0 || fstat(fd, &st) != 0)
		return -errno;
	forget(st.st_ino, 0, INT64_MAX, true);	/* of a file that had its inode before */
	changed(MADE, path, false);
	fi->fh = (uint64_t)fd;
	return 0;
}

static int
fs_read(const char *path, char *buf, size_t len, off_t at, struct fuse_file_info *fi)
{
	ssize_t n;

	(void)path;
	UNLESS_CUT();
	n = pread((int)fi->fh, buf, len, at);
	return n < 0 ? -errno : (int)n;
}

static int
fs_write(const char *path, const char *buf, size_t len, off_t at, struct fuse_file_info *fi)
{
	struct stat st;
	ssize_t n;

	(void)path;
	UNLESS_CUT();
	if ((int)fi->fh == cut_fd) {
		char text[32] = "";

		memcpy(text, buf, len < sizeof(text) ? len : sizeof(text) - 1);
		cut((unsigned)strtoul(text, NULL, 10));
		return (int)len;
	}
	remember((int)fi->fh, at, at + (off_t)len);
	n = pwrite((int)fi->fh, buf, len, at);
	if (n < 0)
		return -errno;
	if (fi->flags & (O_SYNC | O_DSYNC) && fstat((int)fi->fh, &st) == 0)
		forget(st.st_ino, at, at + n, true);
	return (int)n;
}

static int
fs_truncate(const char *path, off_t len, struct fuse_file_info *fi)
{
	struct stat st;
	int fd, rc;

	UNLESS_CUT();
	if (is_cut_file(path))
		return 0;
	fd = fi ? (int)fi->fh : openat(tree_fd, rel(path), O_RDWR);
	if (fd < 0 || fstat(fd, &st) != 0)
		return -errno;
	remember(fd, len < st.st_size ? len : st.st_size, st.st_size);
	rc = ANSWER(ftruncate(fd, len));
	if (!fi)
		close(fd);
	return rc;
}

static int
fs_fallocate(const char *path, int mode, off_t at, off_t len, struct fuse_file_info *fi)
{
	struct stat st;

	(void)path;
	UNLESS_CUT();
	if (mode != 0 || fstat((int)fi->fh, &st) != 0)
		return -EOPNOTSUPP;
	remember((int)fi->fh, 0, 0);
	return ANSWER(at + len > st.st_size ? ftruncate((int)fi->fh, at + len) : 0);
}

static int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	struct stat st;

	(void)path, (void)data_only;
	UNLESS_CUT();
	if (fstat((int)fi->fh, &st) != 0)
		return -errno;
	forget(st.st_ino, 0, INT64_MAX, true);
	return 0;
}

static void
path_of(int fd, char path[PATH_BYTES])
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_BYTES - 1);
	if (n < 0)
		abort();
	path[n] = '\0';
}

static int
fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
	char tree[PATH_BYTES], dir[PATH_BYTES];

	(void)path, (void)data_only;
	UNLESS_CUT();
	path_of(tree_fd, tree);
	path_of((int)fi->fh, dir);		/* it may have been renamed since it was opened */
	forget_names(dir[strlen(tree)] ? dir + strlen(tree) + 1 : ".");
	return 0;
}

static int
fs_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	if ((int)fi->fh != cut_fd)
		close((int)fi->fh);
	return 0;
}

static int
fs_mkdir(const char *path, mode_t mode)
{
	UNLESS_CUT();
	if (mkdirat(tree_fd, rel(path), mode) != 0)
		return -errno;
	changed(MADE, path, true);
	return 0;
}

static int
fs_rmdir(const char *path)
{
	UNLESS_CUT();
	if (unlinkat(tree_fd, rel(path), AT_REMOVEDIR) != 0)
		return -errno;
	changed(REMOVED, path, true);
	return 0;
}

static int
fs_unlink(const char *path)
{
	char kept[32];

	UNLESS_CUT();
	keep(path, kept);
	if (unlinkat(tree_fd, rel(path), 0) != 0)
		return -errno;
	memcpy(changed(REMOVED, path, false)->kept, kept, sizeof(kept));
	return 0;
}

static int
fs_link(const char *from, const char *to)
{
	UNLESS_CUT();
	if (linkat(tree_fd, rel(from), tree_fd, rel(to), 0) != 0)
		return -errno;
	changed(MADE, to, false);
	return 0;
}

static int
fs_rename(const char *from, const char *to, unsigned flags)
{
	struct change *c;
	char kept[32];

	UNLESS_CUT();
	if (flags)
		return -EINVAL;
	keep(to, kept);
	if (renameat(tree_fd, rel(from), tree_fd, rel(to)) != 0)
		return -errno;
	for (c = newest; c; c = c->older) {
		rename_in(c->path, rel(from), rel(to));
		rename_in(c->from, rel(from), rel(to));
	}
	c = changed(MOVED, to, false);
	snprintf(c->from, sizeof(c->from), "%s", rel(from));
	memcpy(c->kept, kept, sizeof(kept));
	return 0;
}

static int
fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	(void)fi;
	UNLESS_CUT();
	return ANSWER(fchmodat(tree_fd, rel(path), mode, 0));
}

static int
fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	(void)fi;
	UNLESS_CUT();
	return ANSWER(fchownat(tree_fd, rel(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int
fs_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
	(void)fi;
	UNLESS_CUT();
	return ANSWER(utimensat(tree_fd, rel(path), times, AT_SYMLINK_NOFOLLOW));
}

static int
fs_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	UNLESS_CUT();
	return ANSWER(fstatvfs(tree_fd, st));
}

static const struct fuse_operations operations = {
	.init = fs_init,
	.getattr = fs_getattr,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.releasedir = fs_release,
	.open = fs_open,
	.create = fs_create,
	.read = fs_read,
	.write = fs_write,
	.truncate = fs_truncate,
	.fallocate = fs_fallocate,
	.fsync = fs_fsync,
	.fsyncdir = fs_fsyncdir,
	.release = fs_release,
	.mkdir = fs_mkdir,
	.rmdir = fs_rmdir,
	.unlink = fs_unlink,
	.link = fs_link,
	.rename = fs_rename,
	.chmod = fs_chmod,
	.chown = fs_chown,
	.utimens = fs_utimens,
	.statfs = fs_statfs,
};

int
main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: losing BACKING MOUNTPOINT [FUSE_OPTION...]\n");
		return 2;
	}
	backing_fd = open(argv[1], O_RDONLY | O_DIRECTORY);
	mkdirat(backing_fd, "tree", 0755);
	tree_fd = openat(backing_fd, "tree", O_RDONLY | O_DIRECTORY);
	cut_fd = open("/dev/null", O_RDWR);	/* an open file has no path here: it is known by this */
	if (tree_fd < 0 || cut_fd < 0) {
		perror(argv[1]);
		return 2;
	}
	umask(0);
	argv[1] = argv[0];
	return fuse_main(argc - 1, argv + 1, &operations, NULL);
}
