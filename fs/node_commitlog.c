/* commitlog/: RocketMQ's segment files, read-only.
 *
 * A sealed segment never changes: the kernel may read it by itself, or keep it
 * in its cache.  The last one grows: it ends at `written`, and every read of it
 * comes here.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "conf/scope.h"
#include "fs/handle.h"
#include "fs/stored.h"
#include "store/file.h"

#define SEGMENT_NAME_LEN 20

static bool
segment_name(const char *name, uint64_t *ret_base)
{
	int64_t base = name_number(name, SEGMENT_NAME_LEN);

	*ret_base = (uint64_t)base;
	return base >= 0 && *ret_base <= NODE_WIDE_MASK;
}

static int
segment_openat(struct mount *m, uint64_t base, int *ret_fd)
{
	char name[SEGMENT_NAME_LEN + 1];

	snprintf(name, sizeof(name), "%020" PRIu64, base);
	*ret_fd = openat(m->dir.commitlog_fd, name, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : MQ_OK;
}

/* How long the segment is for its readers, and whether it stays so. */
static int64_t
segment_length(struct mount *m, uint64_t base, const struct stat *file, bool *ret_sealed)
{
	int64_t written = mark_at(store_written(m->store)).byte;

	*ret_sealed = (int64_t)base + file->st_size <= written;
	if (*ret_sealed)
		return file->st_size;
	return written > (int64_t)base ? written - (int64_t)base : 0;
}

/* --- commitlog/ --------------------------------------------------------------------- */

static int
commitlog_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	AUTO_CLOSE int fd = -1;
	uint64_t base;
	int rc;

	(void)dir;
	if (!segment_name(name, &base))
		return -ENOENT;
	rc = segment_openat(m, base, &fd);
	return rc == MQ_OK ? node_make_wide(m, NODE_SEGMENT, base, ret_child) : rc;
}

/* A list of segments that is being made. */
struct listing {
	struct lister *lister;
	int64_t written;
};

/* A segment made ahead of its first record is not listed. */
static int
commitlog_add(int dirfd, const char *name, void *arg)
{
	const struct listing *l = arg;
	uint64_t base;

	(void)dirfd;
	if (segment_name(name, &base) && (base == 0 || (int64_t)base < l->written))
		lister_add(l->lister, name, node_ino_wide(NODE_SEGMENT, base));
	return MQ_OK;
}

static int
commitlog_list(struct mount *m, const struct node *dir, struct lister *l)
{
	struct listing listing = { .lister = l, .written = mark_at(store_written(m->store)).byte };

	(void)dir;
	return dir_each(m->dir.commitlog_fd, ".", commitlog_add, &listing);
}

const struct node_class node_commitlog = {
	.lookup = commitlog_lookup,
	.list = commitlog_list,
	.set_attr = node_set_owner,
};

/* --- commitlog/N ---------------------------------------------------------------------- */

static int
segment_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	AUTO_CLOSE int fd = -1;
	struct stat file;
	bool sealed;
	int rc;

	rc = segment_openat(m, n->wide, &fd);
	if (rc != MQ_OK)
		return rc == -ENOENT ? -ESTALE : rc;
	if (fstat(fd, &file) < 0)
		return -errno;
	st->st_mode = S_IFREG;
	node_show_owner(m, n, st);
	st->st_size = segment_length(m, n->wide, &file, &sealed);
	st->st_mtim = file.st_mtim;
	st->st_ctim = file.st_ctim;
	st->st_atim = file.st_atim;
	st->st_blksize = 1 << 20;
	*ret_timeout = sealed ? 1.0 : 0;
	return MQ_OK;
}

static int
segment_open(struct mount *m, const struct node *n, struct handle *h)
{
	bool sealed = false;
	struct stat file;
	int fd, rc;

	rc = segment_openat(m, n->wide, &fd);
	if (rc != MQ_OK)
		return rc == -ENOENT ? -ESTALE : rc;
	if (fstat(fd, &file) == 0)
		segment_length(m, n->wide, &file, &sealed);
	/* after a cut the kernel may have cached bytes of a segment that it removed */
	sealed = sealed && (int64_t)n->wide + file.st_size <= store_steady(m->store).byte;
	return stored_open(m, fd, sealed, h);
}

/* Nothing beyond what is written. */
static void
segment_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	int64_t written = mark_at(store_written(m->store)).byte - (int64_t)h->node.wide;

	stored_read(req, h, size, off, written, written);
}

const struct node_class node_segment = {
	.attr = segment_attr,
	.open = segment_open,
	.read = segment_read,
	.release = stored_release,
};
