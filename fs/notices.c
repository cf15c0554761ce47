#include "config.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/thread.h"
#include "fs/lanes.h"
#include "fs/notices.h"
#include "fs/node_parts.h"

#define LOOK_MS 200
#define CLOSE_MS 1000
#define NOTICES_MAX 32		/* of one queue: the kernel knows one inode by the name, a recent one */
#define PARTS_MAX 4096		/* of one queue, at one time */

/* How often the head of a queue had moved at the last look. */
struct head {
	uint32_t topic, queue;
	uint32_t moves;
	int64_t part;		/* number of the first part that was there then */
};

struct notices {
	struct mount *m;
	struct thread thread;
	struct lock lock;
	pthread_cond_t changed;
	bool closing;
	bool busy;		/* a notice is on its way */
	void *heads;		/* tsearch(3): of queues whose head ever moved; the thread's */
	int64_t seen;		/* moves of all queues */
};

static int
head_compare(const void *a, const void *b)
{
	const struct head *ha = a, *hb = b;

	if (ha->topic != hb->topic)
		return ha->topic < hb->topic ? -1 : 1;
	return ha->queue < hb->queue ? -1 : ha->queue > hb->queue;
}

/* Set the head of a queue; returns what it was before. */
static struct head
head_set(struct notices *ns, const struct head *now)
{
	struct head *h = malloc(sizeof(*h)), **at, before;

	if (!h)
		return *now;		/* without memory its watchers are not notified */
	*h = (struct head){ .topic = now->topic, .queue = now->queue };
	at = tsearch(h, &ns->heads, head_compare);
	if (!at || *at != h) {
		free(h);
		if (!at)
			return *now;
	}
	before = **at;
	**at = *now;
	return before;
}

/* --- telling the kernel ----------------------------------------------------------- */

/* False: closing. */
static bool
notice_begin(struct notices *ns)
{
	LOCKED(&ns->lock);
	ns->busy = !ns->closing;
	return ns->busy;
}

static void
notice_end(struct notices *ns)
{
	LOCKED(&ns->lock);
	ns->busy = false;
	pthread_cond_broadcast(&ns->changed);
}

/* Notify the kernel of the inodes that the name had from `before` moves on, newest first.  It is no error if the
 * kernel does not know one of them. */
static void
notify_queue(struct notices *ns, const struct head *now, uint32_t before)
{
	fuse_ino_t dir = node_ino(NODE_TOPIC, now->topic, 0, 0);
	char name[16];
	int len = snprintf(name, sizeof(name), "q%u", now->queue);

	for (uint32_t part = now->moves; part > before && now->moves - part < NOTICES_MAX; part--) {
		unsigned lane = 0;

		do {
			if (!notice_begin(ns))
				return;
			fuse_lowlevel_notify_delete(ns->m->session, dir,
						    node_queue_ino(now->topic, now->queue, part - 1, lane), name,
						    (size_t)len);
			notice_end(ns);
		} while (++lane < lanes_used(ns->m->lanes));
	}
}

/* Notify the kernel of the parts that were removed with the head. */
static void
notify_parts(struct notices *ns, const struct head *now, int64_t before)
{
	fuse_ino_t dir = node_ino(NODE_PARTS, now->topic, now->queue, 0);
	char name[NODE_PART_NAME_SIZE];

	for (int64_t part = now->part; part > before && now->part - part < PARTS_MAX; part--) {
		node_part_name(part - 1, name);
		for (int format = FORMAT_LINES; format <= FORMAT_JSON; format++) {
			if (!notice_begin(ns))
				return;
			fuse_lowlevel_notify_delete(ns->m->session, dir,
						    node_part_ino(now->topic, now->queue, part - 1,
								  (enum topic_format)format), name, strlen(name));
			notice_end(ns);
		}
	}
}

/* --- looking ---------------------------------------------------------------------- */

static void
look_at_topic(struct notices *ns, struct topic *t, bool silent)
{
	int32_t n = topic_queues(ns->m->offsets, t);

	for (int32_t i = 0; i < n; i++) {
		struct queue *q = store_queue(ns->m->store, t->name, i);
		struct head now = { .topic = t->id, .queue = (uint32_t)i, .moves = q ? queue_head_moves(q) : 0 };
		struct head before;

		if (now.moves == 0)
			continue;
		now.part = queue_min(q).n / QUEUE_PART_MESSAGES;
		before = head_set(ns, &now);
		if (silent || before.moves >= now.moves)
			continue;
		notify_queue(ns, &now, before.moves);
		notify_parts(ns, &now, before.part);
	}
}

static void
look(struct notices *ns, bool silent)
{
	struct store_stats stats;

	store_stats(ns->m->store, &stats);
	if (!silent && stats.heads_moved == ns->seen)
		return;
	ns->seen = stats.heads_moved;
	for (struct topic *t = topic_next(ns->m->offsets, ""); t; t = topic_next(ns->m->offsets, t->name))
		look_at_topic(ns, t, silent);
}

static bool
pause_before_look(struct notices *ns)
{
	LOCKED(&ns->lock);
	if (!ns->closing)
		lock_wait(&ns->lock, &ns->changed, LOOK_MS);
	return !ns->closing;
}

static void *
notices_main(void *arg)
{
	struct notices *ns = arg;

	while (pause_before_look(ns))
		look(ns, false);
	return NULL;
}

void
notices_look(struct notices *ns)
{
	if (!ns)
		return;
	LOCKED(&ns->lock);
	pthread_cond_broadcast(&ns->changed);
}

/* --- begin and end ------------------------------------------------------------------ */

static void
notices_free(struct notices *ns)
{
	tdestroy(ns->heads, free);
	pthread_cond_destroy(&ns->changed);
	lock_destroy(&ns->lock);
	free(ns);
}

int
notices_open(struct mount *m, struct notices **ret)
{
	struct notices *ns = calloc(1, sizeof(*ns));
	int rc;

	if (!ns)
		return -ENOMEM;
	ns->m = m;
	lock_init(&ns->lock, RANK_MARK);
	cond_init(&ns->changed);
	look(ns, true);			/* the kernel knows no inode yet, or a dead broker has notified it */
	rc = thread_start(&ns->thread, "notices", notices_main, ns);
	if (rc != MQ_OK) {
		notices_free(ns);
		return rc;
	}
	*ret = ns;
	return MQ_OK;
}

/* A notice may wait for a request that nobody serves any more: then the connection is aborted, which ends the
 * mount a moment earlier. */
void
notices_close(struct notices *ns)
{
	bool stuck;

	if (!ns)
		return;
	lock_take(&ns->lock);
	ns->closing = true;
	pthread_cond_broadcast(&ns->changed);
	if (ns->busy)
		lock_wait(&ns->lock, &ns->changed, CLOSE_MS);
	stuck = ns->busy;
	lock_drop(&ns->lock);
	if (stuck && umount2(ns->m->mountpoint, MNT_FORCE) != 0 && errno != EBUSY)
		log_warn("%s: a notice to the kernel does not return", ns->m->mountpoint);
	thread_join(&ns->thread);
	notices_free(ns);
}
