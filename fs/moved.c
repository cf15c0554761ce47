#include "config.h"

#include <errno.h>
#include <search.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "fs/lanes.h"
#include "fs/moved.h"
#include "fs/node_parts.h"

#define LOOK_MS 200
#define CLOSE_MS 1000
#define NOTICES_MAX 32		/* of one queue: the kernel knows one inode by the name, a recent one */
#define PARTS_MAX 4096		/* of one queue, at one time */

/* How often the head of a queue had moved when we looked last. */
struct head {
	uint32_t topic, queue;
	uint32_t moves;
	int64_t part;		/* number of the first part that was there then */
};

struct moved {
	struct mount *m;
	pthread_t thread;
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
head_set(struct moved *mv, const struct head *now)
{
	struct head *h = malloc(sizeof(*h)), **at, before;

	if (!h)
		return *now;		/* watchers of this one hear nothing */
	*h = (struct head){ .topic = now->topic, .queue = now->queue };
	at = tsearch(h, &mv->heads, head_compare);
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
notice_begin(struct moved *mv)
{
	LOCKED(&mv->lock);
	mv->busy = !mv->closing;
	return mv->busy;
}

static void
notice_end(struct moved *mv)
{
	LOCKED(&mv->lock);
	mv->busy = false;
	pthread_cond_broadcast(&mv->changed);
}

/* The inodes that the name had from `before` moves on, newest first.  That the kernel does
 * not know one of them is no error. */
static void
tell(struct moved *mv, const struct head *now, uint32_t before)
{
	fuse_ino_t dir = node_ino(NODE_TOPIC, now->topic, 0, 0);
	char name[16];
	int len = snprintf(name, sizeof(name), "q%u", now->queue);

	for (uint32_t part = now->moves; part > before && now->moves - part < NOTICES_MAX; part--) {
		unsigned lane = 0;

		do {
			if (!notice_begin(mv))
				return;
			fuse_lowlevel_notify_delete(mv->m->session, dir,
						    node_queue_ino(now->topic, now->queue, part - 1, lane), name,
						    (size_t)len);
			notice_end(mv);
		} while (++lane < lanes_used(mv->m->lanes));
	}
}

/* Parts that went with the head. */
static void
tell_parts(struct moved *mv, const struct head *now, int64_t before)
{
	fuse_ino_t dir = node_ino(NODE_PARTS, now->topic, now->queue, 0);
	char name[NODE_PART_NAME_SIZE];

	for (int64_t part = now->part; part > before && now->part - part < PARTS_MAX; part--) {
		node_part_name(part - 1, name);
		for (int format = FORMAT_LINES; format <= FORMAT_JSON; format++) {
			if (!notice_begin(mv))
				return;
			fuse_lowlevel_notify_delete(mv->m->session, dir,
						    node_part_ino(now->topic, now->queue, part - 1,
								  (enum topic_format)format), name, strlen(name));
			notice_end(mv);
		}
	}
}

/* --- looking ---------------------------------------------------------------------- */

static void
look_at_topic(struct moved *mv, struct topic *t, bool silent)
{
	int32_t n = topic_queues(mv->m->offsets, t);

	for (int32_t i = 0; i < n; i++) {
		struct queue *q = store_queue(mv->m->store, t->name, i);
		struct head now = { .topic = t->id, .queue = (uint32_t)i, .moves = q ? queue_head_moves(q) : 0 };
		struct head before;

		if (now.moves == 0)
			continue;
		now.part = queue_min(q).n / QUEUE_PART_MESSAGES;
		before = head_set(mv, &now);
		if (silent || before.moves >= now.moves)
			continue;
		tell(mv, &now, before.moves);
		tell_parts(mv, &now, before.part);
	}
}

static void
look(struct moved *mv, bool silent)
{
	struct store_stats stats;

	store_stats(mv->m->store, &stats);
	if (!silent && stats.heads_moved == mv->seen)
		return;
	mv->seen = stats.heads_moved;
	for (struct topic *t = topic_next(mv->m->offsets, ""); t; t = topic_next(mv->m->offsets, t->name))
		look_at_topic(mv, t, silent);
}

static bool
pause_before_look(struct moved *mv)
{
	LOCKED(&mv->lock);
	if (!mv->closing)
		lock_wait(&mv->lock, &mv->changed, LOOK_MS);
	return !mv->closing;
}

static void *
moved_main(void *arg)
{
	struct moved *mv = arg;

	while (pause_before_look(mv))
		look(mv, false);
	return NULL;
}

void
moved_look(struct moved *mv)
{
	if (!mv)
		return;
	LOCKED(&mv->lock);
	pthread_cond_broadcast(&mv->changed);
}

/* --- begin and end ------------------------------------------------------------------ */

static void
moved_free(struct moved *mv)
{
	tdestroy(mv->heads, free);
	pthread_cond_destroy(&mv->changed);
	lock_destroy(&mv->lock);
	free(mv);
}

int
moved_open(struct mount *m, struct moved **ret)
{
	struct moved *mv = calloc(1, sizeof(*mv));
	int rc;

	if (!mv)
		return -ENOMEM;
	mv->m = m;
	lock_init(&mv->lock, RANK_MARK);
	cond_init(&mv->changed);
	look(mv, true);			/* nothing is known to the kernel yet, or a dead broker has told it */
	rc = -pthread_create(&mv->thread, NULL, moved_main, mv);
	if (rc != MQ_OK) {
		moved_free(mv);
		return err_note(rc, "thread: %m");
	}
	*ret = mv;
	return MQ_OK;
}

/* A notice may wait for a request that nobody serves any more: the connection is cut, as
 * it would be in a moment. */
void
moved_close(struct moved *mv)
{
	bool stuck;

	if (!mv)
		return;
	lock_take(&mv->lock);
	mv->closing = true;
	pthread_cond_broadcast(&mv->changed);
	if (mv->busy)
		lock_wait(&mv->lock, &mv->changed, CLOSE_MS);
	stuck = mv->busy;
	lock_drop(&mv->lock);
	if (stuck && umount2(mv->m->mountpoint, MNT_FORCE) != 0 && errno != EBUSY)
		log_warn("%s: a notice to the kernel does not end", mv->m->mountpoint);
	pthread_join(mv->thread, NULL);
	moved_free(mv);
}
