#include "config.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "fs/lanes.h"
#include "fs/session.h"

#define PROMISES 512
#define PROMISE_MS 50

/* A queue through which open files append. */
struct lanes_row {
	fuse_ino_t ino;		/* of lane 0 */
	uint32_t appenders;	/* in all lanes */
	uint32_t of_lane[NODE_LANES];
};

/* A lane is reserved for the thread that has looked it up. */
struct promise {
	fuse_ino_t ino;		/* of lane 0; 0: no promise */
	unsigned lane;
	pid_t thread;		/* of the caller */
	int64_t until_ms;
};

struct lanes {
	struct lock lock;	/* all below */
	void *rows;		/* tsearch(3), by inode number */
	struct promise promises[PROMISES];
	size_t next;		/* of them: the oldest */
	_Atomic unsigned used;
};

static int
row_compare(const void *a, const void *b)
{
	const struct lanes_row *ra = a, *rb = b;

	return ra->ino < rb->ino ? -1 : ra->ino > rb->ino;
}

static struct lanes_row *
row_find(struct lanes *ls, fuse_ino_t ino)
{
	struct lanes_row **at = tfind(&ino, &ls->rows, row_compare);

	MUST_HOLD(&ls->lock);
	return at ? *at : NULL;
}

/* NULL: no memory.  Lanes of that queue may be shared then. */
static struct lanes_row *
row_make(struct lanes *ls, fuse_ino_t ino)
{
	struct lanes_row *row = row_find(ls, ino);

	MUST_HOLD(&ls->lock);
	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->ino = ino;
	if (tsearch(row, &ls->rows, row_compare))
		return row;
	free(row);
	return NULL;
}

/* Mark the lanes that are promised to other threads.  Returns the promise that the calling thread has; NULL:
 * none. */
static struct promise *
promises_look(struct lanes *ls, fuse_ino_t ino, bool taken[NODE_LANES])
{
	int64_t now_ms = clock_mono_ms();
	pid_t thread = session_caller();
	struct promise *mine = NULL;

	MUST_HOLD(&ls->lock);
	for (size_t i = 0; i < PROMISES; i++) {
		struct promise *p = &ls->promises[i];

		if (p->ino != ino || p->until_ms <= now_ms)
			continue;
		if (p->thread == thread)
			mine = p;
		else
			taken[p->lane] = true;
	}
	return mine;
}

static void
promise(struct lanes *ls, struct promise *mine, fuse_ino_t ino, unsigned lane)
{
	MUST_HOLD(&ls->lock);
	if (!mine) {
		mine = &ls->promises[ls->next];
		ls->next = (ls->next + 1) % PROMISES;
	}
	*mine = (struct promise){
		.ino = ino, .lane = lane, .thread = session_caller(), .until_ms = clock_mono_ms() + PROMISE_MS,
	};
	if (lane >= atomic_load(&ls->used))
		atomic_store(&ls->used, lane + 1);
}

unsigned
lanes_choose(struct lanes *ls, fuse_ino_t ino)
{
	bool taken[NODE_LANES] = { false };
	const struct lanes_row *row;
	struct promise *mine;
	unsigned lane;

	LOCKED(&ls->lock);
	row = row_find(ls, ino);
	mine = promises_look(ls, ino, taken);
	for (lane = 0; lane < NODE_LANES && (taken[lane] || (row && row->of_lane[lane])); lane++)
		;
	if (lane == NODE_LANES)
		lane = (unsigned)session_caller() % NODE_LANES;
	promise(ls, mine, ino, lane);
	return lane;
}

void
lanes_begin(struct lanes *ls, fuse_ino_t ino)
{
	struct lanes_row *row;

	if (!ls)
		return;
	LOCKED(&ls->lock);
	row = row_make(ls, node_st_ino(ino));
	if (!row)
		return;
	row->appenders++;
	row->of_lane[node_lane(ino)]++;
}

void
lanes_end(struct lanes *ls, fuse_ino_t ino)
{
	struct lanes_row *row;

	if (!ls)
		return;
	LOCKED(&ls->lock);
	row = row_find(ls, node_st_ino(ino));
	if (!row || !row->of_lane[node_lane(ino)])
		return;
	row->of_lane[node_lane(ino)]--;
	if (--row->appenders > 0)
		return;
	tdelete(row, &ls->rows, row_compare);
	free(row);
}

unsigned
lanes_used(const struct lanes *ls)
{
	return atomic_load(&ls->used);
}

int
lanes_open(struct lanes **ret)
{
	struct lanes *ls = calloc(1, sizeof(*ls));

	if (!ls)
		return -ENOMEM;
	lock_init(&ls->lock, RANK_TABLE);
	*ret = ls;
	return MQ_OK;
}

void
lanes_close(struct lanes *ls)
{
	if (!ls)
		return;
	tdestroy(ls->rows, free);
	lock_destroy(&ls->lock);
	free(ls);
}
