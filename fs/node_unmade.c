/* topics/T/ and topics/T/qN of a topic that is not there yet (autoCreateTopicEnable).
 *
 * The kernel looks a path up before it opens it, and a look-up must not make a topic.
 * So the look-up of an unknown topic finds a directory that is not listed and that the
 * kernel does not cache (its entries expire at once).  Opening a queue in it for
 * appending makes the topic, and the open file is one of the real queue.
 *
 * Owner and mode are those of topics/: a process that may make a topic may write here.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "fs/name.h"
#include "fs/open_queue.h"
#include "fs/pending.h"

/* The name of a node, in parts: the topic, and the queue ("" for the directory). */
struct unmade {
	char topic[RECORD_TOPIC_MAX + 1];
	const char *file;
};

static void
unmade_of(const struct node *n, struct unmade *ret)
{
	size_t len = strcspn(n->name, "/");

	memcpy(ret->topic, n->name, len);
	ret->topic[len] = '\0';
	ret->file = n->name[len] ? n->name + len + 1 : "";
}

/* The real node, once the topic is made; it is held.  -ENOENT: the topic is not made yet. */
static int
made(struct mount *m, const struct node *n, struct node *ret_real)
{
	struct unmade u;
	struct topic *t;
	struct node dir;
	int rc;

	unmade_of(n, &u);
	t = topic_find(m->offsets, u.topic);
	if (!t)
		return -ENOENT;
	rc = node_make(m, NODE_TOPIC, t->id, 0, 0, &dir);
	if (rc == MQ_OK && *u.file)
		rc = dir.class->lookup(m, &dir, u.file, ret_real);
	else if (rc == MQ_OK)
		*ret_real = dir;
	return rc;
}

static int
unmade_set_attr(struct mount *m, const struct node *n, const struct stat *st, int to_set)
{
	struct node real;
	int rc = made(m, n, &real);

	if (rc != MQ_OK)
		return rc == -ENOENT ? -EPERM : rc;
	rc = real.class->set_attr(m, &real, st, to_set);
	node_drop(m, real.ino, 1);
	return rc;
}

/* --- the directory --------------------------------------------------------------- */

static int
unmade_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	int rc = node_attr_dir(m, n, st, ret_timeout);

	*ret_timeout = 0;
	return rc;
}

static int
unmade_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	char text[RECORD_TOPIC_MAX + 256 + 2];
	struct name parsed = { 0 };
	struct unmade u;
	int rc = MQ_OK;

	if (made(m, dir, ret_child) == MQ_OK)
		return ret_child->class->lookup(m, ret_child, name, ret_child);
	if (!name_is_plain(name, &parsed.queue))
		rc = name_parse(name, &parsed);
	if (rc != MQ_OK)
		return rc;
	if (parsed.read_only || (!parsed.all && parsed.queue >= m->settings->defaultTopicQueueNums))
		return -ENOENT;
	unmade_of(dir, &u);
	snprintf(text, sizeof(text), "%s/%s", u.topic, name);
	return node_make_named(m, NODE_UNMADE_QUEUE, 0, text, ret_child);
}

const struct node_class node_unmade_topic = {
	.attr = unmade_attr,
	.lookup = unmade_lookup,
	.list = node_fixed_list,	/* of nothing */
	.set_attr = unmade_set_attr,
};

/* --- its queues ---------------------------------------------------------------------- */

static int
unmade_queue_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct node real;
	int rc;

	if (made(m, n, &real) == MQ_OK) {	/* the kernel asks by the number that it looked up */
		rc = real.class->attr(m, &real, st, ret_timeout);
		node_drop(m, real.ino, 1);
		return rc;
	}
	st->st_mode = S_IFREG;
	node_show_owner(m, n, st);
	st->st_mode &= ~(mode_t)0111;
	return MQ_OK;
}

static int
make_topic(struct mount *m, const struct node *n, const struct handle *h)
{
	struct node topics;
	struct unmade u;
	struct topic *t;
	int rc;

	rc = slaves_suffice(m);
	if (rc != MQ_OK)
		return rc;
	unmade_of(n, &u);
	rc = node_make(m, NODE_TOPICS, 0, 0, 0, &topics);
	if (rc != MQ_OK)
		return rc;
	rc = node_topic_make(m, &topics, u.topic, 0755, &(struct fuse_ctx){ .uid = h->uid, .gid = h->gid }, &t);
	return rc == -EEXIST ? MQ_OK : rc;	/* another request has made it */
}

static int
unmade_queue_open(struct mount *m, const struct node *n, struct handle *h)
{
	struct node real;
	int rc;

	rc = made(m, n, &real);
	if (rc == -ENOENT && handle_writes(h)) {
		rc = make_topic(m, n, h);
		if (rc == MQ_OK)
			rc = made(m, n, &real);
	}
	if (rc != MQ_OK)
		return rc;
	handle_set_node(m, h, &real);
	node_drop(m, real.ino, 1);
	return real.class->open(m, &real, h);
}

const struct node_class node_unmade_queue = {
	.attr = unmade_queue_attr,
	.set_attr = unmade_set_attr,
	.open = unmade_queue_open,
	.write = open_queue_write,	/* not called: the open file is of class node_queue */
};
