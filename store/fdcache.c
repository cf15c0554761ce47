#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "store/fdcache.h"
#include "store/mapped.h"

#define BUCKETS 1024		/* a power of two */

/* A reader of the log gets and puts its segment for each piece, so neither takes the lock when
 * the descriptor is open.  Instead:
 *
 *   refs      >= 0: this many users.  CLOSED: none, and none may come; only then, and with the
 *             lock held, the fdref gets another descriptor and another name
 *   a getter  counts itself first, and then looks whether the fdref is still the one it wants
 *
 * An fdref is not freed before the cache is, because a getter may look at it at any time. */
#define CLOSED (-1)

struct fdref {
	_Atomic int refs;
	_Atomic bool used;		/* since make_room() has passed it */
	_Atomic bool forgotten;
	_Atomic bool unsynced;
	bool kept;			/* one of refs is fdcache_keep()'s */
	int fd;
	_Atomic size_t map_len;
	const unsigned char *_Atomic map; /* NULL: not mapped yet */
	const void *owner;
	int64_t number;
	struct fdref *_Atomic chain;	/* same bucket; closed: the next in `spare` */
	TAILQ_ENTRY(fdref) entry;
};

struct fdcache {
	struct lock lock;		/* for all changes but those of refs and used */
	struct fdref *_Atomic bucket[BUCKETS];
	TAILQ_HEAD(, fdref) list;	/* the oldest first, by their last use, as far as make_room() has seen it */
	struct fdref *spare;
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
	TAILQ_INIT(&c->list);
	c->max = max;
	*ret = c;
	return MQ_OK;
}

static struct fdref *_Atomic *
bucket_of(struct fdcache *c, const void *owner, int64_t number)
{
	uint64_t h = ((uint64_t)(uintptr_t)owner >> 4) * 0x9e3779b97f4a7c15u + (uint64_t)number;

	h *= 0xff51afd7ed558ccdu;
	return &c->bucket[(h >> 40) & (BUCKETS - 1)];
}

static void
chain_remove(struct fdcache *c, struct fdref *r)
{
	struct fdref *_Atomic *at = bucket_of(c, r->owner, r->number);

	while (*at != r)
		at = &(*at)->chain;
	*at = atomic_load(&r->chain);
}

/* --- users ---------------------------------------------------------------------------- */

/* False: it is in use, or closed already. */
static bool
try_close(struct fdcache *c, struct fdref *r)
{
	int none = 0;

	MUST_HOLD(&c->lock);
	if (!atomic_compare_exchange_strong(&r->refs, &none, CLOSED))
		return false;
	mapped_close(atomic_load(&r->map), r->map_len);
	close(r->fd);
	return true;
}

static void
make_spare(struct fdcache *c, struct fdref *r)
{
	MUST_HOLD(&c->lock);
	atomic_store(&r->chain, c->spare);
	c->spare = r;
}

static bool
try_use(struct fdref *r)
{
	int n = atomic_load(&r->refs);

	while (n != CLOSED)
		if (atomic_compare_exchange_weak(&r->refs, &n, n + 1))
			return true;
	return false;
}

void
fdcache_put(struct fdcache *c, struct fdref *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) > 1 || !atomic_load(&r->forgotten))
		return;
	LOCKED(&c->lock);
	if (atomic_load(&r->forgotten) && try_close(c, r))	/* another thread may have done so */
		make_spare(c, r);
}

/* Without the lock the chain may change meanwhile, so that what is there is not found: the
 * caller opens its file then, and fdcache_add() finds it. */
struct fdref *
fdcache_get(struct fdcache *c, const void *owner, int64_t number)
{
	for (struct fdref *r = atomic_load(bucket_of(c, owner, number)); r; r = atomic_load(&r->chain)) {
		if (!try_use(r))
			continue;
		if (r->owner == owner && r->number == number && !atomic_load(&r->forgotten)) {
			if (!atomic_load_explicit(&r->used, memory_order_relaxed))
				atomic_store_explicit(&r->used, true, memory_order_relaxed);
			return r;
		}
		fdcache_put(c, r);
	}
	return NULL;
}

/* --- names ---------------------------------------------------------------------------- */

static struct fdref *
find(struct fdcache *c, const void *owner, int64_t number)
{
	struct fdref *r = *bucket_of(c, owner, number);

	MUST_HOLD(&c->lock);
	while (r && (r->owner != owner || r->number != number))
		r = r->chain;
	return r;
}

static void
unname(struct fdcache *c, struct fdref *r)
{
	MUST_HOLD(&c->lock);
	chain_remove(c, r);
	TAILQ_REMOVE(&c->list, r, entry);
	c->n--;
}

/* Close the oldest ones that are not in use, and were not since this was done last. */
static void
make_room(struct fdcache *c)
{
	for (size_t looks = 2 * c->n; looks > 0 && c->n >= c->max; looks--) {
		struct fdref *r = TAILQ_FIRST(&c->list);

		if (!atomic_exchange(&r->used, false) && try_close(c, r)) {
			c->closed_unsynced |= atomic_load(&r->unsynced);
			unname(c, r);
			make_spare(c, r);
		} else {
			TAILQ_REMOVE(&c->list, r, entry);
			TAILQ_INSERT_TAIL(&c->list, r, entry);
		}
	}
}

/* The last user closes it, or there is none. */
static void
forget(struct fdcache *c, struct fdref *r)
{
	MUST_HOLD(&c->lock);
	unname(c, r);
	atomic_store(&r->forgotten, true);
	atomic_fetch_sub(&r->refs, r->kept);
	r->kept = false;
	if (try_close(c, r))
		make_spare(c, r);
}

static struct fdref *
take_spare(struct fdcache *c)
{
	struct fdref *r = c->spare;

	MUST_HOLD(&c->lock);
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (r)
			atomic_store(&r->refs, CLOSED);
		return r;
	}
	c->spare = atomic_load(&r->chain);
	return r;
}

struct fdref *
fdcache_add(struct fdcache *c, const void *owner, int64_t number, int fd)
{
	struct fdref *r, *_Atomic *at = bucket_of(c, owner, number);

	LOCKED(&c->lock);
	r = find(c, owner, number);
	if (r && try_use(r)) {
		close(fd);
		return r;
	}
	make_room(c);
	r = take_spare(c);
	if (!r) {
		close(fd);
		return NULL;
	}
	r->owner = owner;
	r->number = number;
	r->fd = fd;
	atomic_store(&r->map, NULL);
	atomic_store(&r->forgotten, false);
	atomic_store(&r->unsynced, false);
	atomic_store(&r->used, false);
	atomic_store(&r->chain, *at);
	atomic_store(&r->refs, 1);
	atomic_store(at, r);
	TAILQ_INSERT_TAIL(&c->list, r, entry);
	c->n++;
	return r;
}

int
fdref_fd(const struct fdref *ref)
{
	return ref->fd;
}

const unsigned char *
fdref_map(struct fdref *r, size_t len)
{
	const unsigned char *map = atomic_load(&r->map), *other = NULL;

	if (map)
		return map;
	map = mapped_open(r->fd, len);
	if (!map)
		return NULL;
	atomic_store(&r->map_len, len);
	if (!atomic_compare_exchange_strong(&r->map, &other, map)) {	/* another thread was faster */
		mapped_close(map, len);
		return other;
	}
	return map;
}

void
fdcache_keep(struct fdcache *c, struct fdref *r)
{
	bool keep;

	lock_take(&c->lock);
	keep = !atomic_load(&r->forgotten) && !r->kept;
	r->kept |= keep;
	lock_drop(&c->lock);
	if (!keep)
		fdcache_put(c, r);
}

void
fdcache_let_go(struct fdcache *c, const void *owner, int64_t number)
{
	struct fdref *r;

	LOCKED(&c->lock);
	r = find(c, owner, number);
	if (!r)
		return;
	atomic_fetch_sub(&r->refs, r->kept);
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
		forget(c, r);
}

void
fdcache_close(struct fdcache *c)
{
	struct fdref *r;

	if (!c)
		return;
	lock_take(&c->lock);
	while ((r = TAILQ_FIRST(&c->list))) {
		MUST(atomic_load(&r->refs) == r->kept);
		forget(c, r);
	}
	while ((r = c->spare)) {
		c->spare = atomic_load(&r->chain);
		free(r);
	}
	lock_drop(&c->lock);
	lock_destroy(&c->lock);
	free(c);
}
