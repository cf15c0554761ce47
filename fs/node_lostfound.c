/* lost+found/: what had to be cut from a log, read-only. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "conf/scope.h"
#include "fs/handle.h"
#include "fs/stored.h"
#include "store/file.h"

static int
lostfound_open(struct mount *m, const char *name, int *ret_fd)
{
	AUTO_CLOSE int dir = openat(m->dir.fd, "lost+found", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	*ret_fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : MQ_OK;
}

/* Only regular files in lost+found itself are shown. */
static bool
is_shown(struct mount *m, const char *name, struct stat *ret_st)
{
	AUTO_CLOSE int fd = -1;

	return !strchr(name, '/') && lostfound_open(m, name, &fd) == MQ_OK &&
	       fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode);
}

static int
lostfound_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct stat st;

	(void)dir;
	return is_shown(m, name, &st) ? node_make_named(m, NODE_LOSTFOUND_FILE, 0, name, ret_child) : -ENOENT;
}

struct listing {
	struct mount *m;
	struct lister *lister;
};

static int
lostfound_add(int dirfd, const char *name, void *arg)
{
	const struct listing *l = arg;
	struct node child;
	struct stat st;
	int rc;

	(void)dirfd;
	if (!is_shown(l->m, name, &st))
		return MQ_OK;
	rc = node_make_named(l->m, NODE_LOSTFOUND_FILE, 0, name, &child);
	if (rc != MQ_OK)
		return rc;
	lister_add(l->lister, name, child.ino);
	node_drop(l->m, child.ino, 1);
	return MQ_OK;
}

static int
lostfound_list(struct mount *m, const struct node *dir, struct lister *l)
{
	struct listing listing = { .m = m, .lister = l };

	(void)dir;
	return dir_each(m->dir.fd, "lost+found", lostfound_add, &listing);
}

const struct node_class node_lostfound = {
	.lookup = lostfound_lookup,
	.list = lostfound_list,
	.set_attr = node_set_owner,
};

static int
lostfound_file_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct stat file;

	(void)ret_timeout;
	if (!is_shown(m, n->name, &file))
		return -ESTALE;
	st->st_mode = S_IFREG;
	node_show_owner(m, n, st);
	st->st_size = file.st_size;
	st->st_blocks = file.st_blocks;
	st->st_mtim = st->st_ctim = st->st_atim = file.st_mtim;
	return MQ_OK;
}

static int
lostfound_file_open(struct mount *m, const struct node *n, struct handle *h)
{
	int fd, rc;

	rc = lostfound_open(m, n->name, &fd);
	return rc == MQ_OK ? stored_open(m, fd, false, h) : rc;
}

const struct node_class node_lostfound_file = {
	.attr = lostfound_file_attr,
	.open = lostfound_file_open,
	.read = stored_read_whole,
	.release = stored_release,
};
