#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/scope.h"
#include "fs/dir.h"
#include "fs/reply.h"

#define ENTRY_FILE_SECONDS 1.0
#define ENTRY_DIR_SECONDS 60.0		/* directories go only through the mount ... */
#define ENTRY_DIR_SLAVE_SECONDS 1.0	/* ... except on a slave */

struct child {
	fuse_ino_t ino;
	size_t name_at;		/* in names */
};

struct lister {
	struct mount *m;
	struct child *children;
	size_t n, max;
	struct text names;	/* NUL-ended, one after another */
	int err;
};

void
lister_add(struct lister *l, const char *name, fuse_ino_t ino)
{
	if (l->err == MQ_OK)
		l->err = ARRAY_ROOM(l->children, l->max, l->n + 1);
	if (l->err != MQ_OK)
		return;
	l->children[l->n++] = (struct child){ .ino = ino, .name_at = l->names.len };
	node_hold(l->m, ino);
	text_add(&l->names, name, strlen(name) + 1);
	l->err = l->names.err;
}

static void
lister_free(struct lister *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		node_drop(l->m, l->children[i].ino, 1);
	free(l->children);
	text_free(&l->names);
	free(l);
}

static int
lister_make(struct mount *m, const struct node *dir, struct lister **ret)
{
	struct lister *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	l->m = m;
	lister_add(l, ".", dir->ino);
	lister_add(l, "..", FUSE_ROOT_ID);
	rc = dir->class->list(m, dir, l);
	if (rc == MQ_OK)
		rc = l->err;
	if (rc != MQ_OK) {
		lister_free(l);
		return rc;
	}
	*ret = l;
	return MQ_OK;
}

void
dir_release(struct handle *h)
{
	lister_free(h->own);
	h->own = NULL;
}

/* A queue's name means another file as soon as its head has moved, and a part's none, or
 * another one when the topic's format changes: it is asked each time. */
static double
entry_seconds(struct mount *m, const struct node *n, const struct stat *st)
{
	if (n->kind == NODE_QUEUE || n->kind == NODE_PART || node_is_unmade(n))
		return 0;
	if (!S_ISDIR(st->st_mode))
		return ENTRY_FILE_SECONDS;
	return m->settings->brokerRole == SLAVE ? ENTRY_DIR_SLAVE_SECONDS : ENTRY_DIR_SECONDS;
}

/* What lookup and readdirplus tell the kernel of a child; holds its name. */
static int
entry_of(struct mount *m, const struct node *child, struct fuse_entry_param *ret_e)
{
	/* the kernel remembers that it removed this inode; another generation is another one */
	struct fuse_entry_param e = { .ino = child->ino, .generation = child->life };
	int rc;

	rc = node_attr(m, child, &e.attr, &e.attr_timeout);
	if (rc != MQ_OK)
		return rc;
	e.entry_timeout = entry_seconds(m, child, &e.attr);
	node_hold(m, child->ino);
	*ret_e = e;
	return MQ_OK;
}

void
dir_reply(struct mount *m, fuse_req_t req, const struct node *child)
{
	struct fuse_entry_param e;
	int rc;

	rc = entry_of(m, child, &e);
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	if (fuse_reply_entry(req, &e) != 0)
		node_drop(m, e.ino, 1);
}

/* One child at out; 0 when it does not fit, or is gone and left out (*ret_skip). */
static size_t
dir_put(struct mount *m, fuse_req_t req, const struct lister *l, size_t i, char *out, size_t room, bool plus,
	bool *ret_skip)
{
	const char *name = l->names.buf + l->children[i].name_at;
	struct fuse_entry_param e = { .ino = l->children[i].ino };
	struct node child;
	size_t len;

	*ret_skip = node_get(m, e.ino, &child) != MQ_OK;
	if (*ret_skip)
		return 0;
	if (!plus || i < 2) {	/* "." and "..": the kernel takes no attributes */
		struct stat st = {
			.st_ino = e.ino,
			.st_mode = node_is_dir(&child) ? S_IFDIR : S_IFREG,
		};

		if (plus) {
			e = (struct fuse_entry_param){ .attr = st };
			len = fuse_add_direntry_plus(req, out, room, name, &e, (off_t)i + 1);
		} else {
			len = fuse_add_direntry(req, out, room, name, &st, (off_t)i + 1);
		}
		return len <= room ? len : 0;
	}
	*ret_skip = entry_of(m, &child, &e) != MQ_OK;
	if (*ret_skip)
		return 0;
	len = fuse_add_direntry_plus(req, out, room, name, &e, (off_t)i + 1);
	if (len <= room)
		return len;
	node_drop(m, e.ino, 1);
	return 0;
}

static size_t
dir_fill(struct mount *m, fuse_req_t req, const struct lister *l, size_t from, char *out, size_t size,
	 bool plus)
{
	size_t used = 0;

	for (size_t i = from; i < l->n; i++) {
		bool skip;
		size_t len = dir_put(m, req, l, i, out + used, size - used, plus, &skip);

		if (!len && !skip)
			break;
		used += len;
	}
	return used;
}

void
dir_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off, bool plus)
{
	AUTO_FREE char *out = malloc(size);
	size_t used;
	int rc = out ? MQ_OK : -ENOMEM;

	LOCKED(&h->lock);
	if (rc == MQ_OK && off != 0 && !h->own && h->inherited)
		rc = -ESTALE;		/* the list went with the broker that had made it */
	if (rc == MQ_OK && (off == 0 || !h->own)) {
		struct lister *l = NULL;

		rc = lister_make(m, &h->node, &l);
		if (rc == MQ_OK) {
			dir_release(h);
			h->own = l;
		}
	}
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	used = dir_fill(m, req, h->own, (size_t)off, out, size, plus);
	reply_data(req, out, used);
}
