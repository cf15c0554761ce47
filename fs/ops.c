#include "config.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/acl.h"
#include "fs/dir.h"
#include "fs/handle.h"
#include "fs/locks.h"
#include "fs/logged.h"
#include "fs/ops.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/session.h"
#include "fs/text.h"

#define MAX_WRITE_BYTES (1 << 20)
#define HELP_XATTR "user.mqfs.help"

/* --- init ------------------------------------------------------------------ */

/* So many RELEASEs and reads of the kernel's own read-ahead may be under way before it holds the next ones back: a RELEASE
 * that is held back comes later than requests that were sent after it (closing.h). */
#define BACKGROUND_MAX 4096

static void
op_init(void *arg, struct fuse_conn_info *conn)
{
	static const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS | FUSE_CAP_ASYNC_READ |
				       FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO |
				       FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_POSIX_ACL |
				       FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS;
	struct mount *m = arg;

	conn->want = conn->capable & wanted;
	if (m->estate)
		conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;	/* one write at a time: estate.h */
	if (conn->max_write > MAX_WRITE_BYTES)
		conn->max_write = MAX_WRITE_BYTES;
	m->max_write = conn->max_write;
	conn->max_background = BACKGROUND_MAX;
	conn->time_gran = 1000000;	/* store times are milliseconds */
}

/* --- refusing -------------------------------------------------------------- */

/* -EPERM, and in status/log what cannot be done to n, or to `name` in it. */
static int
refuse(const struct node *n, const char *name, const char *why)
{
	return node_note(n, name, err_note(-EPERM, "%s", why));
}

static void
refuse_in(fuse_req_t req, fuse_ino_t dir_ino, const char *name, const char *why)
{
	struct node dir;
	int rc = node_get(req_mount(req), dir_ino, &dir);

	reply_err(req, rc == MQ_OK ? refuse(&dir, name, why) : rc);
}

/* --- names ------------------------------------------------------------------- */

/* "." and ".." come for file handles (open_by_handle_at(2), NFS) whose inode the kernel
 * has forgotten. */
static int
lookup_in(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	if (strcmp(name, ".") == 0) {
		node_hold(m, dir->ino);
		*ret_child = *dir;
		return MQ_OK;
	}
	if (!dir->class->lookup)
		return -ENOTDIR;
	return strcmp(name, "..") == 0 ? node_parent(m, dir, ret_child) : dir->class->lookup(m, dir, name, ret_child);
}

static void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = req_mount(req);
	struct node dir, child;
	int rc = strlen(name) > NAME_MAX ? -ENAMETOOLONG : MQ_OK;	/* the kernel lets up to 1,024 bytes through */

	if (rc == MQ_OK)
		rc = offsets_follow(m->offsets);
	if (rc == MQ_OK)
		rc = node_get(m, parent, &dir);
	if (rc == MQ_OK)
		rc = node_note(&dir, name, lookup_in(m, &dir, name, &child));
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	dir_reply(m, req, &child);
	node_drop(m, child.ino, 1);
}

static void
op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	node_drop(req_mount(req), ino, nlookup);
	fuse_reply_none(req);
}

static void
op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_drop(req_mount(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void
op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct mount *m = req_mount(req);
	struct node dir, child;
	struct logged l = { 0 };
	int rc;

	rc = node_get(m, parent, &dir);
	if (rc == MQ_OK && !dir.class->unlogged)
		rc = logged_begin(m, &l);
	if (rc == MQ_OK)
		rc = dir.class->make_dir ?
			     dir.class->make_dir(m, &dir, name, mode & 07777, fuse_req_ctx(req), &child) :
			     refuse(&dir, name, "no directory can be made here");
	if (rc == -EEXIST && session_is_resent())	/* a broker that died has made it */
		rc = dir.class->lookup(m, &dir, name, &child);
	if (rc == MQ_OK)
		node_note_life(m, &child);
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	logged_reply_entry(m, req, &l, &child);
	node_drop(m, child.ino, 1);
}

static void
op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *m = req_mount(req);
	struct logged l = { 0 };
	struct node dir;
	int rc;

	rc = node_get(m, parent, &dir);
	if (rc == MQ_OK && !dir.class->unlogged)
		rc = logged_begin(m, &l);
	if (rc == MQ_OK)
		rc = dir.class->remove_dir ? dir.class->remove_dir(m, &dir, name) :
					     refuse(&dir, name, "no directory can be removed here");
	if (rc == -ENOENT && session_is_resent())
		rc = MQ_OK;
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	handles_note_stale(m);
	logged_reply_ok(m, req, &l, &dir);
}

/* --- what a log does not allow, as on a file with chattr +a ---------------------------- */

#define ONLY_GROWS "a queue only grows (echo purge > topics/TOPIC/ctl drops messages)"
#define NO_NEW_FILES "no file can be made here"

static void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	refuse_in(req, parent, name, "files cannot be removed: echo purge > topics/TOPIC/ctl drops "
		  "messages, rmdir removes a topic or a group");
}

static void
op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
	  unsigned int flags)
{
	(void)to_parent, (void)to_name, (void)flags;
	refuse_in(req, parent, name, "nothing can be renamed here; write into the file itself");
}

static void
op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t to_parent, const char *to_name)
{
	(void)ino;
	refuse_in(req, to_parent, to_name, NO_NEW_FILES);
}

static void
op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	refuse_in(req, parent, name, NO_NEW_FILES);
}

static void
op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)mode, (void)rdev;
	refuse_in(req, parent, name, NO_NEW_FILES);
}

static void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	(void)mode, (void)fi;
	refuse_in(req, parent, name, NO_NEW_FILES "; mkdir makes a topic, and `queues` in its config says how many "
		  "queues it has");
}

static void
op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct node n;
	int rc = node_get(req_mount(req), ino, &n);

	(void)mode, (void)off, (void)len, (void)fi;
	reply_err(req, rc == MQ_OK ? refuse(&n, NULL, "has no space to reserve or to punch: " ONLY_GROWS) : rc);
}

/* --- attributes ------------------------------------------------------------------ */

static void
op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct node n;
	int rc;

	(void)fi;
	rc = node_get(m, ino, &n);
	if (rc != MQ_OK)
		reply_err(req, rc);
	else
		reply_node_attr(m, req, &n);
}

/* Only a text can be made shorter. */
static int
set_size(struct mount *m, const struct node *n, off_t size, struct fuse_file_info *fi)
{
	struct handle *h;

	if (!n->class->accept)
		return refuse(n, NULL, "cannot be truncated: " ONLY_GROWS);
	h = fi ? handle_find(m, fi->fh) : NULL;
	if (h && h->broken)
		return h->broken;
	return h ? text_truncate(h, size) : MQ_OK;
}

/* Is the change a record of the log?  Owner and mode are; so is the time of qN.offset, which sets the offset. */
static bool
attr_is_logged(const struct node *n, int to_set)
{
	return (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) ||
	       (n->kind == NODE_GROUP_OFFSET && (to_set & FUSE_SET_ATTR_MTIME));
}

static void
op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct logged l;
	struct node n;
	bool logs;
	int rc;

	rc = node_get(m, ino, &n);
	if (rc == MQ_OK && (to_set & FUSE_SET_ATTR_SIZE)) {
		rc = set_size(m, &n, st->st_size, fi);
		to_set &= ~(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW |
			    FUSE_SET_ATTR_CTIME);
	}
	logs = rc == MQ_OK && attr_is_logged(&n, to_set);
	if (logs)
		rc = logged_begin(m, &l);
	if (rc == MQ_OK && to_set)
		rc = n.class->set_attr ? n.class->set_attr(m, &n, st, to_set) :
					 refuse(&n, NULL, "has an owner, a mode and times that cannot be changed");
	if (rc != MQ_OK)
		reply_err(req, rc);
	else if (logs)
		logged_reply_attr(m, req, &l, &n);
	else
		reply_node_attr(m, req, &n);
}

static void
op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *m = req_mount(req);
	struct statvfs st;

	(void)ino;
	if (fstatvfs(m->dir.commitlog_fd, &st) < 0) {
		reply_err(req, -errno);
		return;
	}
	st.f_namemax = NAME_MAX;
	fuse_reply_statfs(req, &st);
}

/* --- open files ------------------------------------------------------------------ */

/* The open file that a request is for, with a reference; NULL: it was answered. */
static struct handle *
open_file(struct mount *m, fuse_req_t req, const struct fuse_file_info *fi)
{
	struct handle *h = handle_find(m, fi->fh);

	if (!h || h->broken) {
		reply_err(req, h ? h->broken : -ESTALE);
		return NULL;
	}
	handle_ref(h);
	return h;
}

/* Answer an open: from here on the kernel has h, until it sends its RELEASE. */
static void
open_answer(struct mount *m, fuse_req_t req, struct handle *h)
{
	handle_keep(h);
	handle_ref(h);		/* its RELEASE may come as soon as the answer is out */
	if (reply_open(req, h) != MQ_OK)
		handle_unref(m, h);	/* the caller is gone: no RELEASE comes */
	else if (h->kept)
		atomic_store(&h->kept->opening, 0);
	handle_unref(m, h);
}

/* If this OPEN was served by a broker that died before it answered, answer it.  False: it was not. */
static bool
open_was_done(struct mount *m, fuse_req_t req)
{
	struct handle *h = session_is_resent() ? handle_of_open(m, session_request()) : NULL;

	if (!h)
		return false;
	if (h->broken) {
		reply_err(req, h->broken);
		handle_unref(m, h);
	} else {
		open_answer(m, req, h);
	}
	return true;
}

static int
class_open(struct mount *m, const struct node *n, struct handle *h)
{
	const struct node_class *c = n->class;

	if (c->render || c->accept)
		return text_open(m, n, h);
	if (h->flags & O_TRUNC)
		return refuse(n, NULL, c->write ? "cannot be truncated: append with >> instead of >" : "cannot be truncated");
	if (handle_writes(h) && !c->write)
		return -EACCES;		/* root, whom modes do not stop */
	if (!c->open && c->read)
		h->fopen |= FOPEN_NOFLUSH;
	return c->open ? c->open(m, n, h) : c->read ? MQ_OK : -EACCES;
}

static void
op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct handle *h;
	struct node n;
	int rc;

	if (open_was_done(m, req))
		return;
	rc = node_get(m, ino, &n);
	if (rc == MQ_OK)
		rc = handle_make(m, &n, fi->flags, fuse_req_ctx(req), &h);
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	h->opening = req;
	rc = class_open(m, &n, h);
	h->opening = NULL;
	if (rc == MQ_OK) {
		h->opened = true;
		open_answer(m, req, h);
	} else {
		reply_err(req, rc);
		handle_unref(m, h);
	}
}

static void
op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	(void)ino;
	if (!h)
		return;
	atomic_store_explicit(&h->nonblock, (fi->flags & O_NONBLOCK) != 0, memory_order_relaxed);
	if (h->node.class->read)
		h->node.class->read(m, req, h, size, off);
	else
		text_read(req, h, size, off);
	handle_unref(m, h);
}

static void
op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	(void)ino;
	if (!h)
		return;
	if (h->node.class->write)
		h->node.class->write(m, req, h, buf, size, off, fi);
	else if (h->node.class->accept)
		text_write(m, req, h, buf, size, off, fi->flags);
	else
		reply_err(req, -EPERM);
	handle_unref(m, h);
}

/* Answer when all that was written so far is on the disk. */
static void
reply_durable(struct mount *m, fuse_req_t req)
{
	pending_park_durable(m->pending, req, mark_at(store_written(m->store)), -1, pending_needs_of_fsync(m));
}

static void
op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	(void)ino;
	if (!h)
		return;
	locks_flush(m->locks, h, fi->lock_owner);
	if (h->node.class->accept)
		text_close(m, req, h);
	else
		reply_err(req, handle_flush(m, h));
	handle_unref(m, h);
}

static void
op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);
	int rc;

	(void)ino, (void)data_only;
	if (!h)
		return;
	if (h->node.class->fsync) {
		h->node.class->fsync(m, req, h);
	} else {
		rc = handle_flush(m, h);
		if (rc == MQ_OK && node_is_logged(&h->node) && h->node.class->accept)
			text_fsync(m, req, h);
		else
			reply_err(req, rc);
	}
	handle_unref(m, h);
}

static void
op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct handle *h = handle_find(m, fi->fh);

	(void)ino;
	locks_release(m->locks, fi->fh);
	if (h) {		/* else a broker that died has released it */
		if (h->node.class->poll)
			pending_forget_poll(m->pending, h);
		if (h->kept)		/* if this broker dies now, the next one does the work of the close */
			atomic_store(&h->kept->released, true);
		handle_release(m, h);
	}
	fuse_reply_err(req, 0);
}

static void
op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	(void)ino;
	if (!h)
		return;
	locks_get(m->locks, req, h, fi->lock_owner, lock);
	handle_unref(m, h);
}

static void
op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	(void)ino;
	if (!h)
		return;
	locks_set(m->locks, req, h, fi->lock_owner, lock, sleep != 0);
	handle_unref(m, h);
}

static void
op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	(void)ino;
	if (!h)
		return;
	locks_flock(m->locks, req, h, fi->lock_owner, op);
	handle_unref(m, h);
}

/* An io_uring write to a file that was opened without O_DIRECT sends 255 of these: a FUSE file has no
 * FMODE_NOWAIT, so the kernel polls it, tries, polls it again, and gives up after APOLL_MAX_RETRY (128)
 * tries; the task work that it queues between interrupts the poll that follows.  No answer avoids
 * that: "not ready" would leave the write waiting, ENOSYS ends poll(2) on every file of the mount.  (A
 * FUSE server that does nothing but answer "ready" gets the same 255, and with two threads
 * the INTERRUPTs, too; measured on 6.18.) */
static void
op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	(void)ino;
	if (!h) {
		if (ph)
			fuse_pollhandle_destroy(ph);
		return;
	}
	if (ph && h->kept)
		atomic_store(&h->kept->poll, session_poll_name());
	if (h->node.class->poll) {
		h->node.class->poll(m, req, h, ph);
	} else {
		if (ph)
			fuse_pollhandle_destroy(ph);
		fuse_reply_poll(req, POLLIN | POLLOUT);
	}
	handle_unref(m, h);
}

/* SEEK_DATA and SEEK_HOLE of a file that is data up to its hole, if it has one, or to its
 * end.  (The kernel sends no LSEEK for any file after one ENOSYS.) */
static void
op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct node n;
	struct stat st;
	double timeout;
	int64_t end;
	int rc;

	(void)fi;
	rc = node_get(m, ino, &n);
	if (rc == MQ_OK)
		rc = node_attr(m, &n, &st, &timeout);
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	end = n.class->data_end ? n.class->data_end(&n) : st.st_size;
	if (off < 0 || off >= st.st_size || (whence == SEEK_DATA && off >= end))
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, whence == SEEK_DATA || off >= end ? off : end);
}

/* ENOTTY and not 0, which would make the file a terminal (isatty(3)). */
static void
op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg, struct fuse_file_info *fi,
	 unsigned flags, const void *in_buf, size_t in_size, size_t out_size)
{
	(void)ino, (void)cmd, (void)arg, (void)fi, (void)flags, (void)in_buf, (void)in_size, (void)out_size;
	fuse_reply_err(req, ENOTTY);
}

/* --- directories -------------------------------------------------------------------- */

static void
op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = req_mount(req);
	struct handle *h;
	struct node n;
	int rc;

	if (open_was_done(m, req))
		return;
	rc = offsets_follow(m->offsets);
	if (rc == MQ_OK)
		rc = node_get(m, ino, &n);
	if (rc == MQ_OK && !node_is_dir(&n))
		rc = -ENOTDIR;
	if (rc == MQ_OK)
		rc = handle_make(m, &n, fi->flags, fuse_req_ctx(req), &h);
	if (rc != MQ_OK) {
		reply_err(req, rc);
		return;
	}
	h->fopen = 0;
	open_answer(m, req, h);
}

static void
dir_serve(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct mount *m = req_mount(req);
	struct handle *h = open_file(m, req, fi);

	if (!h)
		return;
	dir_read(m, req, h, size, off, plus);
	handle_unref(m, h);
}

static void
op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	dir_serve(req, size, off, fi, false);
}

static void
op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	dir_serve(req, size, off, fi, true);
}

/* A topic or group made by mkdir is durable when its directory was synced. */
static void
op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	(void)ino, (void)data_only, (void)fi;
	reply_durable(req_mount(req), req);
}

/* --- xattrs ------------------------------------------------------------------------- */

static void
reply_xattr(fuse_req_t req, struct text *t, int rc, size_t size)
{
	if (rc == MQ_OK)
		rc = t->err;
	if (rc != MQ_OK)
		reply_err(req, rc);
	else if (!size)
		fuse_reply_xattr(req, t->len);
	else if (t->len > size)
		reply_err(req, -ERANGE);
	else
		reply_data(req, t->buf, t->len);
	text_free(t);
}

static void
op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct mount *m = req_mount(req);
	struct text t = { 0 };
	struct node n;
	int rc;

	rc = node_get(m, ino, &n);
	if (rc == MQ_OK && strcmp(name, ACL_XATTR) == 0)
		rc = node_acl(m, &n, &t);
	else if (rc == MQ_OK && n.class->help && strcmp(name, HELP_XATTR) == 0)
		rc = n.class->help(m, &n, &t);
	else if (rc == MQ_OK)
		rc = n.class->get_xattr ? n.class->get_xattr(m, &n, name, &t) : -ENODATA;
	reply_xattr(req, &t, rc, size);
}

static void
op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct mount *m = req_mount(req);
	struct text t = { 0 };
	struct node n;
	int rc;

	rc = node_get(m, ino, &n);
	if (rc == MQ_OK && n.class->help)
		text_add(&t, HELP_XATTR, sizeof(HELP_XATTR));
	if (rc == MQ_OK && n.class->list_xattr)
		rc = n.class->list_xattr(m, &n, &t);
	reply_xattr(req, &t, rc, size);
}

/* Set or, with NULL, remove an access list.  Values of user.mqfs.* cannot be set. */
static void
set_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size)
{
	struct mount *m = req_mount(req);
	struct logged l;
	struct node n;
	int rc;

	rc = node_get(m, ino, &n);
	if (rc == MQ_OK && strcmp(name, ACL_XATTR) != 0)
		rc = -EOPNOTSUPP;
	if (rc == MQ_OK)
		rc = logged_begin(m, &l);
	if (rc == MQ_OK)
		rc = node_set_acl(m, &n, value, size);
	if (rc != MQ_OK)
		reply_err(req, rc);
	else
		logged_reply_ok(m, req, &l, &n);
}

static void
op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	(void)flags;
	set_xattr(req, ino, name, value, size);
}

static void
op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	set_xattr(req, ino, name, NULL, 0);
}

const struct fuse_lowlevel_ops mqfs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.fallocate = op_fallocate,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_release,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.ioctl = op_ioctl,
	.lseek = op_lseek,
	.poll = op_poll,
	.getlk = op_getlk,
	.setlk = op_setlk,
	.flock = op_flock,
};
