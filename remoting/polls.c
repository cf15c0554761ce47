#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "net/request.h"
#include "remoting/polls.h"
#include "store/record.h"

#define BUCKETS 1024

/* A queue that the mount watches for us. */
struct poll_watch {
	LIST_ENTRY(poll_watch) of_bucket;
	LIST_HEAD(, held) held;
	uint32_t slot;
	int32_t queue_id;
	bool known;			/* the mount tells its end */
	char topic[RECORD_TOPIC_MAX + 1];	/* "": not in use */
};

struct polls {
	struct ring_client *ring;
	void (*ready)(void *arg, struct held *h);
	void *arg;
	struct poll_watch watches[RING_WATCHES];
	uint32_t n_watches;		/* those behind were never used */
	LIST_HEAD(, poll_watch) buckets[BUCKETS];
	struct held **heap;		/* the one with the earliest until_ms is [0] */
	size_t n, max;
};

/* --- pulls --------------------------------------------------------------------------------------------- */

static const char *
keep_text(char **at, const char *text, uint32_t len)
{
	char *to = *at;

	if (len > 0)
		memcpy(to, text, len);
	to[len] = '\0';
	*at += len + 1;
	return to;
}

struct held *
held_make(struct server_peer *p, const struct remoting_frame *f, const struct ask *a, int64_t until_ms)
{
	const struct ring_submission *s = &a->s;
	struct held *h = malloc(sizeof(*h) + s->topic_len + s->group_len + s->text_len + s->key_len +
				s->signature_len + s->signed_len + 6);
	char *at;

	if (!h)
		return NULL;
	*h = (struct held){ .peer = p, .opaque = f->opaque, .dialect = f->dialect, .until_ms = until_ms, .ask = *a };
	at = h->texts;
	h->ask.topic = keep_text(&at, a->topic, s->topic_len);
	h->ask.group = keep_text(&at, a->group, s->group_len);
	h->ask.text = keep_text(&at, a->text, s->text_len);
	h->ask.key = keep_text(&at, a->key, s->key_len);
	h->ask.signature = keep_text(&at, a->signature, s->signature_len);
	h->ask.signed_text = keep_text(&at, a->signed_text, s->signed_len);
	h->ask.suspends = false;		/* it does not wait a second time, */
	h->ask.s.flags &= ~(uint32_t)(RING_FLAG_COMMIT | RING_FLAG_AHEAD);	/* and has committed already */
	return h;
}

/* --- the heap -------------------------------------------------------------------------------------------- */

static void
heap_set(struct polls *p, size_t at, struct held *h)
{
	p->heap[at] = h;
	h->heap_at = at;
}

/* Move h from `at` towards the top or the bottom, to its place. */
static void
heap_sift(struct polls *p, size_t at, struct held *h)
{
	for (size_t up; at > 0 && h->until_ms < p->heap[up = (at - 1) / 2]->until_ms; at = up)
		heap_set(p, at, p->heap[up]);
	for (size_t down; (down = 2 * at + 1) < p->n; at = down) {
		if (down + 1 < p->n && p->heap[down + 1]->until_ms < p->heap[down]->until_ms)
			down++;
		if (h->until_ms <= p->heap[down]->until_ms)
			break;
		heap_set(p, at, p->heap[down]);
	}
	heap_set(p, at, h);
}

static bool
heap_add(struct polls *p, struct held *h)
{
	if (ARRAY_ROOM(p->heap, p->max, p->n + 1) != MQ_OK)
		return false;
	p->n++;
	heap_sift(p, p->n - 1, h);
	return true;
}

static void
heap_remove(struct polls *p, const struct held *h)
{
	struct held *last = p->heap[--p->n];

	if (last != h)
		heap_sift(p, h->heap_at, last);
}

/* --- watches ----------------------------------------------------------------------------------------------- */

static size_t
bucket_of(const char *topic, int32_t queue_id)
{
	return bytes_hash((uint32_t)queue_id, topic) % BUCKETS;
}

/* False: the rings are full. */
static bool
ask_watch(struct polls *p, const struct poll_watch *w)
{
	struct ring_submission s = {
		.kind = RING_WATCH,
		.tag = w->slot,
		.topic_len = (uint32_t)strlen(w->topic),
		.queue_id = w->queue_id,
		.watch = w->slot,
	};
	unsigned char *at;

	at = ring_client_place(p->ring, s.topic_len, &s);
	if (!at)
		return false;
	memcpy(at, w->topic, s.topic_len);
	ring_client_submit(p->ring, &s);
	return true;
}

static void
unchain(struct poll_watch *w)
{
	LIST_REMOVE(w, of_bucket);
	w->topic[0] = '\0';
}

/* One that is not in use, or on which no pull waits.  NULL: there is none. */
static struct poll_watch *
free_watch(struct polls *p)
{
	if (p->n_watches < RING_WATCHES) {
		p->watches[p->n_watches].slot = p->n_watches;
		return &p->watches[p->n_watches++];
	}
	for (size_t i = 0; i < RING_WATCHES; i++) {
		struct poll_watch *w = &p->watches[i];

		if (!LIST_EMPTY(&w->held) || !w->known)
			continue;
		if (*w->topic)
			unchain(w);
		return w;
	}
	return NULL;
}

static struct poll_watch *
watch_of(struct polls *p, const char *topic, int32_t queue_id)
{
	size_t bucket = bucket_of(topic, queue_id);
	struct poll_watch *w;

	LIST_FOREACH(w, &p->buckets[bucket], of_bucket)
		if (w->queue_id == queue_id && strcmp(w->topic, topic) == 0)
			return w;
	w = free_watch(p);
	if (!w)
		return NULL;
	strcpy(w->topic, topic);
	w->queue_id = queue_id;
	w->known = false;
	LIST_INSERT_HEAD(&p->buckets[bucket], w, of_bucket);
	if (ask_watch(p, w))
		return w;
	unchain(w);
	w->known = true;		/* not in use: free_watch() may return it */
	return NULL;
}

/* --- holding -------------------------------------------------------------------------------------------------- */

static void
unhold(struct polls *p, struct held *h)
{
	LIST_REMOVE(h, of_watch);
	heap_remove(p, h);
}

static void
resume(struct polls *p, struct held *h)
{
	unhold(p, h);
	p->ready(p->arg, h);
}

bool
polls_hold(struct polls *p, struct held *h)
{
	struct poll_watch *w = watch_of(p, h->ask.topic, h->ask.s.queue_id);

	if (!w || !heap_add(p, h))
		return false;
	LIST_INSERT_HEAD(&w->held, h, of_watch);
	if (w->known && ring_client_end(p->ring, w->slot) > h->ask.s.offset)
		resume(p, h);		/* it has grown meanwhile */
	return true;
}

/* Resume the pulls for which the queue has a message now. */
static void
look_at(struct polls *p, struct poll_watch *w)
{
	int64_t end = w->known ? ring_client_end(p->ring, w->slot) : -1;

	for (struct held *h = LIST_FIRST(&w->held), *next; h; h = next) {
		next = LIST_NEXT(h, of_watch);
		if (end > h->ask.s.offset)
			resume(p, h);
	}
}

/* The queue was removed: the mount is asked again when a pull waits for one of that name. */
static void
drop_watch(struct polls *p, struct poll_watch *w)
{
	while (!LIST_EMPTY(&w->held))
		resume(p, LIST_FIRST(&w->held));
	if (*w->topic)
		unchain(w);
}

void
polls_watched(struct polls *p, const struct ring_completion *c)
{
	struct poll_watch *w = &p->watches[c->tag % RING_WATCHES];

	w->known = true;
	if (ring_client_end(p->ring, w->slot) < 0)
		drop_watch(p, w);
	else
		look_at(p, w);
}

void
polls_look(struct polls *p, int64_t now_ms)
{
	if (ring_client_ends_moved(p->ring))
		for (uint32_t i = 0; i < p->n_watches; i++)
			if (!LIST_EMPTY(&p->watches[i].held))
				look_at(p, &p->watches[i]);
	while (p->n > 0 && now_ms >= p->heap[0]->until_ms)
		resume(p, p->heap[0]);
}

int64_t
polls_next_ms(const struct polls *p)
{
	return p->n > 0 ? p->heap[0]->until_ms : 0;
}

void
polls_gone(struct polls *p, const struct server_peer *peer)
{
	for (size_t i = 0; i < p->n;) {
		struct held *h = p->heap[i];

		if (h->peer != peer) {
			i++;
			continue;
		}
		unhold(p, h);
		free(h);
		i = 0;			/* the heap has another order now */
	}
}

size_t
polls_count(const struct polls *p)
{
	return p->n;
}

/* --- opening and closing ---------------------------------------------------------------------------------------- */

int
polls_open(struct ring_client *ring, void (*ready)(void *arg, struct held *h), void *arg, struct polls **ret)
{
	struct polls *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->ring = ring;
	p->ready = ready;
	p->arg = arg;
	*ret = p;
	return MQ_OK;
}

void
polls_close(struct polls *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		free(p->heap[i]);
	free(p->heap);
	free(p);
}
