#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/dir.h"
#include "fs/handle.h"
#include "fs/text.h"

struct handles {
	struct lock lock;
	struct handle ring;	/* the list's head */
	int64_t count;
};

int
handles_open(struct handles **ret)
{
	struct handles *hs = calloc(1, sizeof(*hs));

	if (!hs)
		return -ENOMEM;
	lock_init(&hs->lock, RANK_TABLE);
	hs->ring.next = hs->ring.prev = &hs->ring;
	*ret = hs;
	return MQ_OK;
}

static void
handle_enlist(struct handles *hs, struct handle *h)
{
	LOCKED(&hs->lock);

	h->next = &hs->ring;
	h->prev = hs->ring.prev;
	h->prev->next = h;
	h->next->prev = h;
	hs->count++;
}

static void
handle_delist(struct handles *hs, struct handle *h)
{
	LOCKED(&hs->lock);

	h->prev->next = h->next;
	h->next->prev = h->prev;
	hs->count--;
}

int
handle_make(struct mount *m, const struct node *n, int flags, const struct fuse_ctx *who,
	    struct handle **ret)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	lock_init(&h->lock, RANK_HANDLE);
	h->node = *n;
	h->flags = flags;
	h->uid = who->uid;
	h->gid = who->gid;
	h->pid = who->pid;
	h->fopen = FOPEN_DIRECT_IO;
	h->refs = 1;
	node_hold(m, n->ino);
	handle_enlist(m->handles, h);
	*ret = h;
	return MQ_OK;
}

void
handle_ref(struct handle *h)
{
	atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
}

void
handle_is_of(struct mount *m, struct handle *h, const struct node *n)
{
	node_hold(m, n->ino);
	node_drop(m, h->node.ino, 1);
	h->node = *n;
}

int
handle_flush(struct mount *m, struct handle *h)
{
	const struct node_class *class = h->node.class;

	if (!h->opened)
		return MQ_OK;
	if (class->flush)
		return class->flush(m, h);
	return class->accept ? text_flush(m, h) : MQ_OK;
}

static void
handle_free(struct mount *m, struct handle *h)
{
	handle_delist(m->handles, h);
	text_free(&h->text);
	text_free(&h->written);
	node_drop(m, h->node.ino, 1);
	lock_destroy(&h->lock);
	free(h);
}

void
handle_unref(struct mount *m, struct handle *h)
{
	if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (node_is_dir(&h->node))
		dir_release(h);
	else if (h->opened && h->node.class->release)
		h->node.class->release(m, h);
	handle_free(m, h);
}

/* Only the kernel's references are left by now: nobody serves requests any more. */
void
handles_close(struct mount *m)
{
	struct handles *hs = m->handles;

	if (!hs)
		return;
	while (hs->ring.next != &hs->ring) {
		struct handle *h = hs->ring.next;

		handle_flush(m, h);
		handle_unref(m, h);
	}
	lock_destroy(&hs->lock);
	free(hs);
	m->handles = NULL;
}

int64_t
handles_count(struct handles *hs)
{
	LOCKED(&hs->lock);

	return hs->count;
}
