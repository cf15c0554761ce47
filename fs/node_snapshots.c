/* .snapshots/: moments of the store, each as a complete store.
 *
 *   .snapshots/S/commitlog/N    sealed segments as they are; the last one with its
 *                               bytes up to the mark and zeros behind them
 *               lmdb/, config/, snapshot
 *               MANIFEST        its length is known at once; a read waits
 *                               until it has been made
 *
 * mkdir takes one, rmdir drops one with all that is below it.  A snapshot has the messages
 * of all topics, so only the user who mounted may read it.  Modes have the owner's write
 * bit, because a copy keeps them and must be writable to be mounted.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/scope.h"
#include "fs/keeper.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/stored.h"
#include "fs/workers.h"
#include "store/file.h"

#define FIXED_SECONDS 60.0	/* files of a snapshot do not change */

static void
private_dir(const struct mount *m, struct stat *st)
{
	st->st_mode = S_IFDIR | 0700;
	st->st_nlink = 2;
	st->st_uid = m->uid;
	st->st_gid = m->gid;
}

static void
private_file(const struct mount *m, const struct node *n, int64_t size, struct stat *st)
{
	st->st_mode = S_IFREG | 0600;
	st->st_uid = m->uid;
	st->st_gid = m->gid;
	st->st_size = size;
	stat_set_ms(st, n->snapshot->taken_ms);
}

/* --- .snapshots/ ------------------------------------------------------------------- */

static int
snapshots_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	int64_t changed_ms = snapshots_changed_ms(m->snapshots);

	(void)n, (void)ret_timeout;
	private_dir(m, st);
	if (changed_ms)
		stat_set_ms(st, changed_ms);
	return MQ_OK;
}

static int
snapshots_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	const struct snapshot *s = snapshot_find(m->snapshots, name);

	(void)dir;
	return s ? node_make(m, NODE_SNAPSHOT, s->id, 0, 0, ret_child) : -ENOENT;
}

static int
snapshots_list(struct mount *m, const struct node *dir, struct lister *l)
{
	const struct snapshot *s;

	(void)dir;
	for (size_t i = 0; (s = snapshot_at(m->snapshots, i)); i++)
		lister_add(l, s->name, node_ino(NODE_SNAPSHOT, s->id, 0, 0));
	return MQ_OK;
}

/* Taking and dropping a snapshot wait for the disk, some milliseconds. */
static int
snapshots_make_dir(struct mount *m, const struct node *dir, const char *name, mode_t mode,
		   const struct fuse_ctx *who, struct node *ret_child)
{
	struct snapshot *s;
	int rc;

	(void)dir, (void)mode, (void)who;
	workers_wait_begin(m);
	rc = offsets_snapshot(m->offsets, m->snapshots, name, &s);
	workers_wait_end(m);
	keeper_look(m->keeper);
	return rc == MQ_OK ? node_make(m, NODE_SNAPSHOT, s->id, 0, 0, ret_child) : rc;
}

static int
snapshots_remove_dir(struct mount *m, const struct node *dir, const char *name)
{
	int rc;

	(void)dir;
	workers_wait_begin(m);
	rc = snapshot_drop(m->snapshots, name);
	workers_wait_end(m);
	keeper_look(m->keeper);
	return rc;
}

const struct node_class node_snapshots = {
	.attr = snapshots_attr,
	.lookup = snapshots_lookup,
	.list = snapshots_list,
	.make_dir = snapshots_make_dir,
	.remove_dir = snapshots_remove_dir,
	.unlogged = true,
};

/* --- .snapshots/S/ and its directories ------------------------------------------------ */

static const char *const dirs[] = { "commitlog", "config", "lmdb" };

#define N_DIRS (sizeof(dirs) / sizeof(dirs[0]))
#define COMMITLOG 0

static int
fixed_dir_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	private_dir(m, st);
	if (n->kind == NODE_SNAPSHOT)
		st->st_nlink = 2 + N_DIRS;
	stat_set_ms(st, n->snapshot->taken_ms);
	*ret_timeout = FIXED_SECONDS;
	return MQ_OK;
}

/* Files of one directory ("" for the top). */
static int
file_lookup(struct mount *m, const struct node *n, const char *dir, const char *name, struct node *ret_child)
{
	for (uint32_t i = 0; snapshot_files[i].name; i++)
		if (strcmp(snapshot_files[i].dir, dir) == 0 && strcmp(snapshot_files[i].name, name) == 0 &&
		    n->snapshot->file_bytes[i] >= 0)
			return node_make(m, NODE_SNAPSHOT_FILE, n->id, 0, i, ret_child);
	return -ENOENT;
}

static void
files_list(const struct node *n, const char *dir, struct lister *l)
{
	for (uint32_t i = 0; snapshot_files[i].name; i++)
		if (strcmp(snapshot_files[i].dir, dir) == 0 && n->snapshot->file_bytes[i] >= 0)
			lister_add(l, snapshot_files[i].name, node_ino(NODE_SNAPSHOT_FILE, n->id, 0, i));
}

static int
snapshot_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	int rc;

	for (uint32_t i = 0; i < N_DIRS; i++)
		if (strcmp(dirs[i], name) == 0)
			return node_make(m, NODE_SNAPSHOT_DIR, dir->id, 0, i, ret_child);
	rc = file_lookup(m, dir, "", name, ret_child);
	return rc == -ENOENT ? node_fixed_lookup(m, dir, name, ret_child) : rc;
}

static int
snapshot_list(struct mount *m, const struct node *dir, struct lister *l)
{
	for (uint32_t i = 0; i < N_DIRS; i++)
		lister_add(l, dirs[i], node_ino(NODE_SNAPSHOT_DIR, dir->id, 0, i));
	files_list(dir, "", l);
	return node_fixed_list(m, dir, l);
}

const struct node_class node_snapshot = {
	.attr = fixed_dir_attr,
	.lookup = snapshot_lookup,
	.list = snapshot_list,
};

/* A segment's number is what its inode number holds: 34 bits in queue and part. */
fuse_ino_t
node_snapshot_segment_ino(const struct snapshot *s, int64_t base)
{
	uint64_t number = (uint64_t)(base / s->segment_bytes);

	return node_ino(NODE_SNAPSHOT_SEGMENT, s->id, (uint32_t)(number >> 20), (uint32_t)number & NODE_PART_MASK);
}

static int64_t
segment_base(const struct node *n)
{
	return ((int64_t)n->queue << 20 | n->part) * n->snapshot->segment_bytes;
}

static int
open_segment(struct mount *m, const struct node *n, int64_t base, int *ret_fd)
{
	char path[SNAPSHOT_PATH_SIZE];

	snapshot_segment_path(base, path);
	return snapshot_open_file(m->snapshots, n->snapshot, path, ret_fd);
}

static int
segment_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	const struct snapshot *s = dir->snapshot;
	AUTO_CLOSE int fd = -1;
	int64_t base = name_number(name, 20);
	int rc;

	if (base < 0 || base % s->segment_bytes || base >= s->mark.byte)
		return -ENOENT;
	rc = open_segment(m, dir, base, &fd);
	return rc == MQ_OK ? node_get(m, node_snapshot_segment_ino(dir->snapshot, base), ret_child) : rc;
}

static void
segments_list(struct mount *m, const struct node *dir, struct lister *l)
{
	const struct snapshot *s = dir->snapshot;
	char path[SNAPSHOT_PATH_SIZE];

	for (int64_t base = s->begin.byte; base < s->mark.byte; base += s->segment_bytes) {
		AUTO_CLOSE int fd = -1;

		if (open_segment(m, dir, base, &fd) != MQ_OK)
			continue;
		snapshot_segment_path(base, path);
		lister_add(l, strchr(path, '/') + 1, node_snapshot_segment_ino(dir->snapshot, base));
	}
}

static int
dir_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	if (dir->part == COMMITLOG)
		return segment_lookup(m, dir, name, ret_child);
	return dir->part < N_DIRS ? file_lookup(m, dir, dirs[dir->part], name, ret_child) : -ESTALE;
}

static int
dir_list(struct mount *m, const struct node *dir, struct lister *l)
{
	if (dir->part == COMMITLOG)
		segments_list(m, dir, l);
	else if (dir->part < N_DIRS)
		files_list(dir, dirs[dir->part], l);
	return MQ_OK;
}

const struct node_class node_snapshot_dir = {
	.attr = fixed_dir_attr,
	.lookup = dir_lookup,
	.list = dir_list,
};

/* --- .snapshots/S/commitlog/N ------------------------------------------------------------ */

/* A dropped snapshot answers, too: its files may be open. */
static int
segment_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	int64_t data = snapshot_segment_data(n->snapshot, segment_base(n));
	AUTO_CLOSE int fd = -1;
	struct stat file;

	private_file(m, n, n->snapshot->segment_bytes, st);
	if (data == n->snapshot->segment_bytes && open_segment(m, n, segment_base(n), &fd) == MQ_OK &&
	    fstat(fd, &file) == 0)		/* sealed: a backup knows it again */
		st->st_mtim = st->st_ctim = st->st_atim = file.st_mtim;
	st->st_blocks = (data + 511) / 512;
	st->st_blksize = 1 << 20;
	*ret_timeout = FIXED_SECONDS;
	return MQ_OK;
}

static int
segment_open(struct mount *m, const struct node *n, struct handle *h)
{
	bool sealed = snapshot_segment_data(n->snapshot, segment_base(n)) == n->snapshot->segment_bytes;
	int fd, rc = open_segment(m, n, segment_base(n), &fd);

	if (rc != MQ_OK)
		return rc == -ENOENT ? -ESTALE : rc;
	return stored_open(m, fd, sealed, h);
}

static void
segment_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	const struct snapshot *s = h->node.snapshot;

	(void)m;
	stored_read(req, h, size, off, snapshot_segment_data(s, segment_base(&h->node)), s->segment_bytes);
}

static int64_t
segment_data_end(const struct node *n)
{
	return snapshot_segment_data(n->snapshot, segment_base(n));
}

const struct node_class node_snapshot_segment = {
	.data_end = segment_data_end,
	.attr = segment_attr,
	.open = segment_open,
	.read = segment_read,
	.release = stored_release,
};

/* --- .snapshots/S/lmdb/data.mdb, config/..., snapshot ---------------------------------------- */

static int
snapshot_file_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	private_file(m, n, n->snapshot->file_bytes[n->part], st);
	*ret_timeout = FIXED_SECONDS;
	return MQ_OK;
}

static int
snapshot_file_open(struct mount *m, const struct node *n, struct handle *h)
{
	const struct snapshot_file *f = &snapshot_files[n->part];
	char path[SNAPSHOT_PATH_SIZE];
	int fd, rc;

	snprintf(path, sizeof(path), "%s%s%s", f->dir, *f->dir ? "/" : "", f->name);
	rc = snapshot_open_file(m->snapshots, n->snapshot, path, &fd);
	if (rc != MQ_OK)
		return rc == -ENOENT ? -ESTALE : rc;
	return stored_open(m, fd, true, h);
}

const struct node_class node_snapshot_file = {
	.attr = snapshot_file_attr,
	.open = snapshot_file_open,
	.read = stored_read_whole,
	.release = stored_release,
};

/* --- .snapshots/S/MANIFEST --------------------------------------------------------------------- */

static int
manifest_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	private_file(m, n, (int64_t)n->snapshot->manifest_len, st);
	*ret_timeout = FIXED_SECONDS;
	return MQ_OK;
}

static bool
manifest_ready(struct mount *m, struct handle *h, off_t off)
{
	const struct snapshot *s = h->node.snapshot;

	(void)m;
	return s->hashed || s->unsummed || s->gone || off >= (off_t)s->manifest_len;
}

static void
manifest_answer(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	const struct snapshot *s = h->node.snapshot;

	(void)m;
	if (s->hashed)
		reply_slice(req, s->manifest, s->manifest_len, size, off);
	else if (off >= (off_t)s->manifest_len)
		reply_data(req, NULL, 0);
	else
		reply_err(req, s->gone ? -ESTALE :
					 err_note(-EIO, "snapshot %s could not be summed up", s->name));
}

static void
manifest_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	static const struct pending_read kind = { .ready = manifest_ready, .answer = manifest_answer };

	if (manifest_ready(m, h, off))
		manifest_answer(m, req, h, size, off);
	else		/* also with O_NONBLOCK, with which tar(1) opens all files */
		pending_park_read(m->pending, req, h, size, off, &kind);
}

const struct node_class node_snapshot_manifest = {
	.attr = manifest_attr,
	.read = manifest_read,
};
