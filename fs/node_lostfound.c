/* lost+found/: what had to be cut from a log, read-only. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "fs/handle.h"
#include "fs/reply.h"

static int
lostfound_openat(struct mount *m, const char *name, int flags, int *ret_fd)
{
	AUTO_CLOSE int dir = openat(m->dir.fd, "lost+found", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	*ret_fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : MQ_OK;
}

/* Plain files only, and nothing above. */
static bool
is_shown(struct mount *m, const char *name, struct stat *ret_st)
{
	AUTO_CLOSE int fd = -1;

	return !strchr(name, '/') && lostfound_openat(m, name, O_RDONLY | O_NONBLOCK, &fd) == MQ_OK &&
	       fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode);
}

static int
lostfound_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct stat st;

	(void)dir;
	return is_shown(m, name, &st) ? node_make_named(m, NODE_LOSTFOUND_FILE, 0, name, ret_child) : -ENOENT;
}

static int
lostfound_add(struct mount *m, struct lister *l, const char *name)
{
	struct node child;
	struct stat st;
	int rc;

	if (!is_shown(m, name, &st))
		return MQ_OK;
	rc = node_make_named(m, NODE_LOSTFOUND_FILE, 0, name, &child);
	if (rc != MQ_OK)
		return rc;
	lister_add(l, name, child.ino);
	node_drop(m, child.ino, 1);
	return MQ_OK;
}

static int
lostfound_list(struct mount *m, const struct node *dir, struct lister *l)
{
	struct dirent **entries;
	int n, rc = MQ_OK;

	(void)dir;
	n = scandirat(m->dir.fd, "lost+found", &entries, NULL, alphasort);
	if (n < 0)
		return errno == ENOENT ? MQ_OK : -errno;
	for (int i = 0; i < n; i++) {
		if (rc == MQ_OK)
			rc = lostfound_add(m, l, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

const struct node_class node_lostfound = {
	.what = "lost+found",
	.attr = node_attr_dir,
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

	rc = lostfound_openat(m, n->name, O_RDONLY | O_NONBLOCK, &fd);
	if (rc != MQ_OK)
		return rc;
	h->fopen = FOPEN_DIRECT_IO | FOPEN_NOFLUSH;
	h->own = (void *)(intptr_t)fd;
	return MQ_OK;
}

static void
lostfound_file_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	AUTO_FREE char *buf = malloc(size);
	ssize_t n;

	(void)m;
	n = buf ? pread((int)(intptr_t)h->own, buf, size, off) : -1;
	if (n < 0)
		reply_err(req, buf ? err_note(-errno, "lost+found/%s: %m", h->node.name) : -ENOMEM);
	else
		reply_data(req, buf, (size_t)n);
}

static void
lostfound_file_release(struct mount *m, struct handle *h)
{
	(void)m;
	close((int)(intptr_t)h->own);
}

const struct node_class node_lostfound_file = {
	.what = "lost file",
	.attr = lostfound_file_attr,
	.open = lostfound_file_open,
	.read = lostfound_file_read,
	.release = lostfound_file_release,
};
