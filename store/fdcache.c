#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "store/fdcache.h"

#define BUCKETS 1024		/* a power of two */

struct fdref {
	const void *owner;
	int64_t number;
	int fd;
	int refs;
	bool forgotten;
	bool kept;			/* one of refs is fdcache_keep()'s */
	_Atomic bool unsynced;
	struct fdref *chain;		/* same bucket */
	struct fdref *older, *newer;	/* by last use */
};

struct fdcache {
	struct lock lock;
	struct fdref *bucket[BUCKETS];
	struct fdref *oldest, *newest;
	size_t n, max;
	bool closed_unsynced;
};

int
fdcache_open(size_t max, struct fdcache **ret)
{
	struct fdcache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, RANK_FILES);
	c->max = max;
	*ret = c;
	return MQ_OK;
}

static struct fdref **
bucket_of(struct fdcache *c, const void *owner, int64_t number)
{
	uint64_t h = ((uint64_t)(uintptr_t)owner >> 4) * 0x9e3779b97f4a7c15u + (uint64_t)number;

	h *= 0xff51afd7ed558ccdu;
	return &c->bucket[(h >> 40) & (BUCKETS - 1)];
}

static void
lru_remove(struct fdcache *c, struct fdref *r)
{
	*(r->older ? &r->older->newer : &c->oldest) = r->newer;
	*(r->newer ? &r->newer->older : &c->newest) = r->older;
	r->older = r->newer = NULL;
}

static void
lru_add(struct fdcache *c, struct fdref *r)
{
	r->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = r;
	c->newest = r;
}

static void
chain_remove(struct fdcache *c, struct fdref *r)
{
	struct fdref **at = bucket_of(c, r->owner, r->number);

	while (*at != r)
		at = &(*at)->chain;
	*at = r->chain;
}

/* Take r out of the cache.  It is closed and freed now, or by the last fdcache_put(). */
static void
drop(struct fdcache *c, struct fdref *r)
{
	MUST_HOLD(&c->lock);
	chain_remove(c, r);
	lru_remove(c, r);
	c->n--;
	r->forgotten = true;
	r->refs -= r->kept;
	r->kept = false;
	if (r->refs == 0) {
		close(r->fd);
		free(r);
	}
}

static struct fdref *
find(struct fdcache *c, const void *owner, int64_t number)
{
	struct fdref *r = *bucket_of(c, owner, number);

	while (r && (r->owner != owner || r->number != number))
		r = r->chain;
	return r;
}

static void
use(struct fdcache *c, struct fdref *r)
{
	r->refs++;
	if (c->newest != r) {
		lru_remove(c, r);
		lru_add(c, r);
	}
}

struct fdref *
fdcache_get(struct fdcache *c, const void *owner, int64_t number)
{
	struct fdref *r;

	LOCKED(&c->lock);
	r = find(c, owner, number);
	if (r)
		use(c, r);
	return r;
}

static void
make_room(struct fdcache *c)
{
	struct fdref *next;

	for (struct fdref *r = c->oldest; r && c->n >= c->max; r = next) {
		next = r->newer;
		if (r->refs > 0)
			continue;
		c->closed_unsynced |= atomic_load(&r->unsynced);
		drop(c, r);
	}
}

struct fdref *
fdcache_add(struct fdcache *c, const void *owner, int64_t number, int fd)
{
	struct fdref *r, **at;

	LOCKED(&c->lock);
	r = find(c, owner, number);
	if (r) {
		close(fd);
		use(c, r);
		return r;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		close(fd);
		return NULL;
	}
	make_room(c);
	r->owner = owner;
	r->number = number;
	r->fd = fd;
	r->refs = 1;
	at = bucket_of(c, owner, number);
	r->chain = *at;
	*at = r;
	lru_add(c, r);
	c->n++;
	return r;
}

int
fdref_fd(const struct fdref *ref)
{
	return ref->fd;
}

static void
put(struct fdcache *c, struct fdref *r)
{
	MUST_HOLD(&c->lock);
	MUST(r->refs > 0);
	if (--r->refs == 0 && r->forgotten) {
		close(r->fd);
		free(r);
	}
}

void
fdcache_put(struct fdcache *c, struct fdref *r)
{
	if (!r)
		return;
	LOCKED(&c->lock);
	put(c, r);
}

void
fdcache_keep(struct fdcache *c, struct fdref *r)
{
	LOCKED(&c->lock);
	if (r->forgotten || r->kept)
		put(c, r);
	else
		r->kept = true;
}

void
fdcache_let_go(struct fdcache *c, const void *owner, int64_t number)
{
	struct fdref *r;

	LOCKED(&c->lock);
	r = find(c, owner, number);
	if (!r)
		return;
	r->refs -= r->kept;
	r->kept = false;
}

void
fdref_writes(struct fdref *r)
{
	atomic_store(&r->unsynced, true);
}

void
fdref_syncs(struct fdref *r)
{
	atomic_store(&r->unsynced, false);
}

bool
fdcache_closed_unsynced(struct fdcache *c)
{
	bool any;

	LOCKED(&c->lock);
	any = c->closed_unsynced;
	c->closed_unsynced = false;
	return any;
}

void
fdcache_forget(struct fdcache *c, const void *owner, int64_t number)
{
	struct fdref *r;

	LOCKED(&c->lock);
	r = find(c, owner, number);
	if (r)
		drop(c, r);
}

void
fdcache_close(struct fdcache *c)
{
	if (!c)
		return;
	lock_take(&c->lock);
	while (c->oldest) {
		MUST(c->oldest->refs == c->oldest->kept);
		drop(c, c->oldest);
	}
	lock_drop(&c->lock);
	lock_destroy(&c->lock);
	free(c);
}
