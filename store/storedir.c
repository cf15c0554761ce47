#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/storedir.h"

#define CHECKPOINT_BYTES 4096
#define LOCK_POLL_MS 50
#define STALE "views.stale"
#define FORMAT "views.format"
#define FORMAT_TEXT "2\n"	/* 2: byteindex/ counts LZ4 and Zstandard bodies as they were sent */
#define FUSE_ROOT_INO 1
#define MQFS_TYPE "fuse.mqfs"

/* --- the directory ----------------------------------------------------------------- */

/* The directory at path cannot be made: which of those above it is missing? */
static int
refuse_missing(const char *path)
{
	char above[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
		if (access(above, F_OK) != 0)
			return err_note(-ENOENT, "store %s: there is no directory %s", path, above);
	}
	return err_note(-ENOENT, "store %s: make directory: %m", path);
}

/* Make the directory at path, and let its name survive a power cut.  Those above it must be there: else a
 * mistyped path would make a store where nobody looks for it. */
static int
make_dir(const char *path)
{
	char above[PATH_MAX + 4];

	if (mkdir(path, 0750) != 0) {
		if (errno == EEXIST)
			return MQ_OK;
		if (errno == ENOENT)
			return refuse_missing(path);
		return err_note(-errno, "store %s: make directory: %m", path);
	}
	snprintf(above, sizeof(above), "%s/..", path);
	AUTO_CLOSE int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* a parent that one may not read is one that was there before */
	return fd >= 0 ? dir_sync(fd, above) : MQ_OK;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* STORE/snapshots/NAME itself, not a copy of it: its last segment is the log's own, and a broker
 * that used it would cut and overwrite the log of the store. */
static int
refuse_in_place(const struct storedir *dir)
{
	struct stat above, snapshots;

	if (!dir->is_copy || fstatat(dir->fd, "..", &above, 0) != 0 ||
	    fstatat(dir->fd, "../../snapshots", &snapshots, 0) != 0 || !same_file(&above, &snapshots))
		return MQ_OK;
	return err_note(-EINVAL, "%s is a snapshot in its store: copy .snapshots/NAME of the mounted store, and mount "
			"the copy", dir->path);
}

static bool
has_name(const struct storedir *dir, const char *name)
{
	return faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A directory without a log and queues may hold these: a mount that was killed, RocketMQ or mkfs
 * has left them. */
static bool
is_of_a_store(const char *name)
{
	static const char *const names[] = {
		".",	 "..",		 "lock",	"abort", "checkpoint",
		"index", "byteindex",	 "lmdb",	"config", "lost+found", "snapshots", "sums", STALE, FORMAT,
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* A store is made in a directory that holds nothing else. */
static int
refuse_strange(const struct storedir *dir)
{
	struct dirent **entries;
	int n, rc = MQ_OK;

	if (has_name(dir, "commitlog") || has_name(dir, "consumequeue"))
		return MQ_OK;
	n = scandirat(dir->fd, ".", &entries, NULL, alphasort);
	if (n < 0)
		return err_note(-errno, "store %s: %m", dir->path);
	for (int i = 0; i < n; i++) {
		if (rc == MQ_OK && !is_of_a_store(entries[i]->d_name))
			rc = err_note(-EINVAL, "%s is not a store and holds something else (%s): a store is made "
				      "in a new or an empty directory", dir->path, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

/* "MAJOR:MINOR" */
static bool
is_device(const char *text, dev_t dev)
{
	unsigned int major_number, minor_number;

	return sscanf(text, "%u:%u", &major_number, &minor_number) == 2 &&
	       makedev(major_number, minor_number) == dev;
}

/* The root of a mounted mqfs looks like a store. */
static int
refuse_mount_point(const struct storedir *dir)
{
	char store[PATH_MAX], line[2 * PATH_MAX], device[32];
	struct stat st;
	int rc = MQ_OK;
	FILE *mounts;

	if (fstat(dir->fd, &st) != 0 || st.st_ino != FUSE_ROOT_INO)
		return MQ_OK;
	mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts)
		return MQ_OK;
	while (rc == MQ_OK && fgets(line, sizeof(line), mounts)) {
		const char *type = strstr(line, " - " MQFS_TYPE " ");

		if (type && sscanf(line, "%*d %*d %31s", device) == 1 && is_device(device, st.st_dev) &&
		    sscanf(type, " - %*s %4095s", store) == 1)
			rc = err_note(-EINVAL, "%s is a mount point of mqfs; the store that is mounted there is %s",
				      dir->path, store);
	}
	fclose(mounts);
	return rc;
}

/* What the store is: known once the lock is held, as the last holder changes it until it lets go. */
static void
look(struct storedir *dir)
{
	dir->is_copy = has_name(dir, "snapshot");
	dir->is_new = !has_name(dir, "commitlog") && !has_name(dir, "consumequeue");
}

static int
open_dir(struct storedir *dir)
{
	int rc = MQ_OK;

	if (!dir->read_only)
		rc = make_dir(dir->path);
	if (rc != MQ_OK)
		return rc;
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0)
		return err_note(-errno, "store %s: %m", dir->path);
	look(dir);
	rc = refuse_mount_point(dir);
	if (rc == MQ_OK)
		rc = refuse_strange(dir);
	return rc == MQ_OK ? refuse_in_place(dir) : rc;
}

/* --- the lock ----------------------------------------------------------------------- */

static int
try_lock(int fd, short type)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

	/* of this open file, not of the process: a library that opens and
	 * closes the file must not drop it; RocketMQ's process lock conflicts
	 * with it all the same */
	return fcntl(fd, F_OFD_SETLK, &range) == 0 ? MQ_OK : -errno;
}

/* Does the file `fdinfo` of /proc tell of a lock on `lock`, "MAJOR:MINOR:INODE"? */
static bool
tells_of(const char *fdinfo, const char *lock)
{
	FILE *lines = fopen(fdinfo, "re");
	char line[256];
	bool told = false;

	while (lines && !told && fgets(line, sizeof(line), lines))
		told = strncmp(line, "lock:", 5) == 0 && strstr(line, lock);
	if (lines)
		fclose(lines);
	return told;
}

/* A read-only mount does not write into `lock` who it is, and a lock of an open file has no process id for
 * fcntl(2): /proc is searched for the process.  0: it is on another host, or somebody else's. */
static int
find_reader(int lock_fd)
{
	char lock[80];
	glob_t files;
	struct stat st;
	int pid = 0;

	if (fstat(lock_fd, &st) != 0 || glob("/proc/[0-9]*/fdinfo/*", GLOB_NOSORT, NULL, &files) != 0)
		return 0;
	snprintf(lock, sizeof(lock), " %02x:%02x:%ju ", major(st.st_dev), minor(st.st_dev), (uintmax_t)st.st_ino);
	for (size_t i = 0; pid == 0 && i < files.gl_pathc; i++)
		if (tells_of(files.gl_pathv[i], lock))
			pid = atoi(files.gl_pathv[i] + strlen("/proc/"));
	globfree(&files);
	return pid;
}

static int
busy_with_reader(const struct storedir *dir, int lock_fd)
{
	char host[256] = "localhost";
	int pid = find_reader(lock_fd);

	gethostname(host, sizeof(host) - 1);
	if (pid == 0)
		return err_note(-EBUSY, "store %s is mounted read-only by another process", dir->path);
	return err_note(-EBUSY, "store %s is mounted read-only by process %d on %s", dir->path, pid, host);
}

static int
busy(const struct storedir *dir, int fd, short type)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
	char holder[256] = "", host[200];
	ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);
	int pid;

	if (fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type == F_RDLCK)
		return busy_with_reader(dir, fd);
	holder[n > 0 ? n : 0] = '\0';
	if (sscanf(holder, "%d %199s", &pid, host) == 2)
		return err_note(-EBUSY, "store %s is in use by process %d on %s", dir->path, pid, host);
	return err_note(-EBUSY, "store %s is in use by another process", dir->path);
}

/* A mount leaves its process id in `lock`, RocketMQ a word. */
static bool
is_rocketmqs(int lock_fd)
{
	char word[4];

	return pread(lock_fd, word, sizeof(word), 0) == sizeof(word) && memcmp(word, "lock", sizeof(word)) == 0;
}

static int
take_lock(struct storedir *dir, int wait_ms)
{
	short type = dir->read_only ? F_RDLCK : F_WRLCK;
	int rc;

	dir->lock_fd = openat(dir->fd, "lock", dir->read_only ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC,
			      0640);
	if (dir->lock_fd < 0 && dir->read_only && errno == ENOENT)
		return MQ_OK;		/* no process has ever locked it */
	if (dir->lock_fd < 0)
		return err_note(-errno, "store %s: lock: %m", dir->path);
	while ((rc = try_lock(dir->lock_fd, type)) == -EAGAIN || rc == -EACCES) {
		if (wait_ms <= 0)
			return busy(dir, dir->lock_fd, type);
		poll(NULL, 0, LOCK_POLL_MS);
		wait_ms -= LOCK_POLL_MS;
	}
	if (rc != MQ_OK)
		return err_note(rc, "store %s: lock: %m", dir->path);
	dir->was_rocketmqs = is_rocketmqs(dir->lock_fd);
	return MQ_OK;
}

/* The process id and the host of who has the lock.  At last, so that what RocketMQ has left there is still there
 * after an attempt that has failed. */
static int
write_holder(const struct storedir *dir)
{
	char holder[300], host[256] = "localhost";
	int len;

	gethostname(host, sizeof(host) - 1);
	len = snprintf(holder, sizeof(holder), "%d %s\n", (int)getpid(), host);
	if (ftruncate(dir->lock_fd, 0) != 0)
		return err_note(-errno, "store %s: lock: %m", dir->path);
	return file_write(dir->lock_fd, holder, (size_t)len, 0, "lock");
}

/* --- a place for views that may not be written into the store -------------------------- */

static int
make_private(struct storedir *dir)
{
	const char *tmp = getenv("TMPDIR");

	if (asprintf(&dir->derived_path, "%s/mqfs-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0) {
		dir->derived_path = NULL;
		return -ENOMEM;
	}
	if (!mkdtemp(dir->derived_path)) {
		int rc = err_note(-errno, "%s: %m", dir->derived_path);

		free(dir->derived_path);
		dir->derived_path = NULL;
		return rc;
	}
	dir->derived_fd = open(dir->derived_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir->derived_fd < 0 ? err_note(-errno, "%s: %m", dir->derived_path) : MQ_OK;
}

/* It is gone when the process ends, so its name need not survive a power cut. */
static int
make_private_dir(const struct storedir *dir, const char *name)
{
	if (mkdirat(dir->derived_fd, name, 0700) != 0)
		return err_note(-errno, "%s/%s: make directory: %m", dir->derived_path, name);
	return MQ_OK;
}

static int
make_subdirs(const struct storedir *dir)
{
	static const char *const names[] = { "consumequeue", "byteindex", "index",
					     "lmdb",	     "config",	  "lost+found" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int rc = dir->read_only ? make_private_dir(dir, names[i]) : dir_make(dir->fd, names[i]);

		if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}

/* --- the commit log, which may be elsewhere ------------------------------------------------- */

static bool
is_segment(const char *name)
{
	return strspn(name, "0123456789") == strlen(name);
}

static int
note_last(int dirfd, const char *name, void *arg)
{
	char *last = arg;

	(void)dirfd;
	if (is_segment(name) && strcmp(name, last) > 0)
		snprintf(last, NAME_MAX + 1, "%s", name);
	return MQ_OK;
}

/* The last segment's name; "" without one. */
static int
last_segment(int commitlog_fd, char last[NAME_MAX + 1])
{
	*last = '\0';
	return dir_each(commitlog_fd, ".", note_last, last);
}

/* Does STORE/commitlog, which may be a link, hold segments? */
static int
has_own_log(const struct storedir *dir, bool *ret)
{
	AUTO_CLOSE int fd = openat(dir->fd, "commitlog", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char last[NAME_MAX + 1] = "";
	int rc = fd >= 0 ? last_segment(fd, last) : MQ_OK;

	*ret = *last != '\0';
	return rc;
}

/* Is `commitlog` the path of STORE/commitlog itself, or of what that is a link to? */
static bool
is_own_place(const struct storedir *dir, const char *commitlog)
{
	AUTO_FREE char *above = strdup(commitlog);
	struct stat a, b;
	char *slash;

	if (stat(commitlog, &a) == 0)
		return fstatat(dir->fd, "commitlog", &b, 0) == 0 && same_file(&a, &b);
	if (!above)
		return false;
	for (size_t len = strlen(above); len > 1 && above[len - 1] == '/'; len--)
		above[len - 1] = '\0';
	slash = strrchr(above, '/');
	if (!slash || strcmp(slash, "/commitlog") != 0)
		return false;
	*slash = '\0';
	return stat(*above ? above : "/", &a) == 0 && fstat(dir->fd, &b) == 0 && same_file(&a, &b);
}

/* Two stores that append to one log would destroy it, and each has a lock of its own. */
static int
lock_elsewhere(struct storedir *dir, const char *commitlog, int wait_ms)
{
	dir->elsewhere_fd = open(commitlog, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->elsewhere_fd < 0)
		return err_note(-errno, "storePathCommitLog=%s: %m", commitlog);
	while (flock(dir->elsewhere_fd, (dir->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)	/* a file system without such locks */
			return MQ_OK;
		if (wait_ms <= 0)
			return err_note(-EBUSY, "the commit log %s is in use by another store", commitlog);
		poll(NULL, 0, LOCK_POLL_MS);
		wait_ms -= LOCK_POLL_MS;
	}
	return MQ_OK;
}

/* STORE/commitlog, which holds no segment, becomes a link. */
static int
link_elsewhere(const struct storedir *dir, const char *commitlog)
{
	if (unlinkat(dir->fd, "commitlog", 0) != 0 && errno != ENOENT &&
	    (errno != EISDIR || unlinkat(dir->fd, "commitlog", AT_REMOVEDIR) != 0))
		return err_note(-errno, "store %s: commitlog: %m", dir->path);
	if (symlinkat(commitlog, dir->fd, "commitlog") != 0)
		return err_note(-errno, "store %s: commitlog: link to %s: %m", dir->path, commitlog);
	return dir_sync(dir->fd, dir->path);
}

/* `commitlog` is to be used, and is not STORE/commitlog. */
static int
take_elsewhere(struct storedir *dir, const char *commitlog, int wait_ms)
{
	bool has_own;
	int rc = has_own_log(dir, &has_own);

	if (rc != MQ_OK)
		return rc;
	if (has_own)
		return err_note(-EINVAL, "storePathCommitLog=%s: the store %s has a commit log already, in commitlog",
				commitlog, dir->path);
	if (dir->is_new && !dir->read_only)
		rc = make_dir(commitlog);
	if (rc == MQ_OK)
		rc = lock_elsewhere(dir, commitlog, wait_ms);
	if (rc != MQ_OK)
		return rc;
	if (!dir->read_only)
		return link_elsewhere(dir, commitlog);
	dir->commitlog_fd = fcntl(dir->elsewhere_fd, F_DUPFD_CLOEXEC, 0);
	return dir->commitlog_fd < 0 ? err_note(-errno, "%s: %m", commitlog) : MQ_OK;
}

/* Find the commit log's directory: dir->commitlog_fd.  `commitlog` "": not set. */
static int
find_log(struct storedir *dir, const char *commitlog, int wait_ms)
{
	struct stat st;
	bool is_link = fstatat(dir->fd, "commitlog", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
	int rc = MQ_OK;

	if (*commitlog && !is_own_place(dir, commitlog)) {
		rc = take_elsewhere(dir, commitlog, wait_ms);
	} else if (is_link) {
		AUTO_FREE char *path = NULL;

		rc = asprintf(&path, "%s/commitlog", dir->path) < 0 ? -ENOMEM : lock_elsewhere(dir, path, wait_ms);
	} else if (!dir->read_only) {
		rc = dir_make(dir->fd, "commitlog");
	}
	if (rc == MQ_OK && dir->commitlog_fd < 0)
		rc = dir_open(dir->fd, "commitlog", 0, &dir->commitlog_fd);
	return rc;
}

/* --- who may read the log ------------------------------------------------------------------ */

/* `group` may read `name`, which gets the mode bits `more`, too.  Where that is not allowed (of a
 * network file system, say) a daemon says that it cannot read the log. */
static void
let_group(int dirfd, const char *name, gid_t group, mode_t more)
{
	mode_t bits = S_IRGRP | more;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISLNK(st.st_mode) ||
	    (st.st_gid == group && (st.st_mode & bits) == bits))
		return;
	if (st.st_gid != group)
		(void)fchownat(dirfd, name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW);
	(void)fchmodat(dirfd, name, (st.st_mode | bits) & 07777, 0);
}

static int
let_group_segment(int dirfd, const char *name, void *group)
{
	if (is_segment(name))
		let_group(dirfd, name, *(gid_t *)group, 0);
	return MQ_OK;
}

/* What root makes later is of root's group, or of the directory's if that says so. */
static int
let_group_read(const struct storedir *dir)
{
	struct stat st;

	if (geteuid() != 0)
		return MQ_OK;
	if (fstat(dir->commitlog_fd, &st) != 0)
		return err_note(-errno, "commitlog: %m");
	let_group(dir->commitlog_fd, ".", st.st_gid, S_IXGRP | (st.st_gid != getegid() ? S_ISGID : 0));
	return dir_each(dir->commitlog_fd, ".", let_group_segment, &st.st_gid);
}

/* --- a copy that shares its files with others ---------------------------------------------- */

static int
unshare(const struct storedir *dir)
{
	AUTO_CLOSE int lmdb_fd = -1;
	char last[NAME_MAX + 1];
	int rc = last_segment(dir->commitlog_fd, last);

	if (rc == MQ_OK && *last)
		rc = file_unshare(dir->commitlog_fd, last, "new");
	if (rc == MQ_OK)
		rc = dir_open(dir->fd, "lmdb", 0, &lmdb_fd);
	if (rc == MQ_OK && faccessat(lmdb_fd, "data.mdb", F_OK, 0) == 0)
		rc = file_unshare(lmdb_fd, "data.mdb", "data.new");
	return rc;
}

/* Were the views made by a version that counts as we do? */
static bool
views_are_ours(const struct storedir *dir)
{
	AUTO_CLOSE int fd = openat(dir->fd, FORMAT, O_RDONLY | O_CLOEXEC);
	char text[sizeof(FORMAT_TEXT)];

	return fd >= 0 && read(fd, text, sizeof(text)) == (ssize_t)strlen(FORMAT_TEXT) &&
	       memcmp(text, FORMAT_TEXT, strlen(FORMAT_TEXT)) == 0;
}

static const struct storedir closed = {
	.fd = -1, .derived_fd = -1, .commitlog_fd = -1, .lock_fd = -1, .elsewhere_fd = -1,
};

/* A snapshot has an `abort` for RocketMQ, which is not empty as those of a mount are. */
static bool
abort_is_none(const struct storedir *dir)
{
	struct stat st;

	return fstatat(dir->fd, "abort", &st, AT_SYMLINK_NOFOLLOW) != 0 || (dir->is_copy && st.st_size > 0);
}

int
storedir_open(const char *path, const char *commitlog, bool read_only, int wait_ms, struct storedir *ret_dir)
{
	struct storedir dir = closed;
	int rc;

	dir.read_only = read_only;
	dir.path = strdup(path);
	rc = !dir.path ? -ENOMEM : *path ? open_dir(&dir) : err_note(-ENOENT, "the path of the store is empty");
	if (rc == MQ_OK)
		rc = take_lock(&dir, wait_ms);
	if (rc == MQ_OK)
		look(&dir);
	if (rc == MQ_OK)
		rc = find_log(&dir, commitlog, wait_ms);
	if (rc == MQ_OK && read_only)
		rc = make_private(&dir);
	if (rc == MQ_OK)
		rc = make_subdirs(&dir);
	if (rc == MQ_OK && dir.is_copy && !read_only)
		rc = unshare(&dir);
	if (rc == MQ_OK && !read_only)
		rc = let_group_read(&dir);
	if (rc == MQ_OK && !read_only)
		rc = write_holder(&dir);
	if (rc != MQ_OK) {
		storedir_close(&dir);
		return rc;
	}
	if (!read_only)
		dir.derived_fd = dir.fd;
	dir.was_clean = abort_is_none(&dir);
	dir.views_stale = faccessat(dir.fd, STALE, F_OK, 0) == 0;
	dir.views_foreign = !views_are_ours(&dir);
	*ret_dir = dir;
	return MQ_OK;
}

/* --- marks of a clean exit, and of the views ------------------------------------------------------- */

/* Write the file `name`, made if it is not there. */
static int
write_file(const struct storedir *dir, const char *name, const void *bytes, size_t len)
{
	AUTO_CLOSE int fd = openat(dir->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

	return fd < 0 ? err_note(-errno, "store %s: %s: %m", dir->path, name) : file_write(fd, bytes, len, 0, name);
}

/* Remove the file `name`, if it is there. */
static int
remove_file(const struct storedir *dir, const char *name)
{
	return unlinkat(dir->fd, name, 0) == 0 || errno == ENOENT
		       ? MQ_OK : err_note(-errno, "store %s: %s: %m", dir->path, name);
}

int
storedir_begin(struct storedir *dir)
{
	int rc = MQ_OK;

	if (dir->read_only)
		return MQ_OK;
	if (abort_is_none(dir))		/* that of a snapshot may be a hard link to other backups' */
		rc = remove_file(dir, "abort");
	if (rc == MQ_OK)
		rc = write_file(dir, "abort", "", 0);
	return rc == MQ_OK ? dir_sync(dir->fd, dir->path) : rc;
}

int
storedir_end(struct storedir *dir)
{
	int rc = dir->read_only ? MQ_OK : remove_file(dir, "abort");

	return rc == MQ_OK && !dir->read_only ? dir_sync(dir->fd, dir->path) : rc;
}

int
storedir_is_own(struct storedir *dir)
{
	int rc = remove_file(dir, "MANIFEST");

	if (rc == MQ_OK)
		rc = remove_file(dir, "snapshot");
	if (rc != MQ_OK)
		return rc;
	dir->is_copy = false;
	return dir_sync(dir->fd, dir->path);
}

int
storedir_views_are_stale(struct storedir *dir)
{
	int rc = write_file(dir, STALE, "", 0);

	if (rc != MQ_OK)
		return rc;
	dir->views_stale = false;	/* the views that this mount has made are stale, too */
	return dir_sync(dir->fd, dir->path);
}

int
storedir_views_are_fresh(struct storedir *dir)
{
	int rc = MQ_OK;

	if (dir->read_only || (!dir->views_stale && !dir->views_foreign))
		return MQ_OK;
	if (dir->views_foreign)
		rc = write_file(dir, FORMAT, FORMAT_TEXT, strlen(FORMAT_TEXT));
	if (rc == MQ_OK && dir->views_stale)
		rc = remove_file(dir, STALE);
	if (rc != MQ_OK)
		return rc;
	dir->views_stale = dir->views_foreign = false;
	return dir_sync(dir->fd, dir->path);
}

int
storedir_write_checkpoint(struct storedir *dir, int64_t physic_ms, int64_t logics_ms, int64_t index_ms)
{
	unsigned char raw[CHECKPOINT_BYTES] = { 0 };

	be64_put(raw, physic_ms);
	be64_put(raw + 8, logics_ms);
	be64_put(raw + 16, index_ms);
	return dir->read_only ? MQ_OK : write_file(dir, "checkpoint", raw, sizeof(raw));
}

/* --- closing ----------------------------------------------------------------------------- */

void
storedir_close(struct storedir *dir)
{
	if (dir->derived_path) {
		if (dir->derived_fd >= 0)
			close(dir->derived_fd);
		if (dir_remove(AT_FDCWD, dir->derived_path) != MQ_OK)
			err_clear();
		free(dir->derived_path);
	}
	const int fds[] = { dir->elsewhere_fd, dir->commitlog_fd, dir->lock_fd, dir->fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(dir->path);
	*dir = closed;
}
