#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "conf/thread.h"
#include "fs/reply.h"
#include "fs/searcher.h"

#define SEARCHERS 2

struct search {
	STAILQ_ENTRY(search) entry;
	fuse_req_t req;
	struct handle *h;	/* with a reference */
	size_t size;
	off_t off;
};

struct searcher {
	struct mount *m;
	search_on *on;
	struct lock lock;
	pthread_cond_t more;
	STAILQ_HEAD(searches, search) line;
	bool ending;
	struct thread threads[SEARCHERS];
};

/* NULL at the end. */
static struct search *
dequeue(struct searcher *s)
{
	struct search *search;

	LOCKED(&s->lock);
	while (STAILQ_EMPTY(&s->line) && !s->ending)
		lock_wait(&s->lock, &s->more, -1);
	if (s->ending)
		return NULL;
	search = STAILQ_FIRST(&s->line);
	STAILQ_REMOVE_HEAD(&s->line, entry);
	return search;
}

static void
search_free(struct searcher *s, struct search *search)
{
	handle_unref(s->m, search->h);
	free(search);
}

static void *
searcher_main(void *arg)
{
	struct searcher *s = arg;
	struct search *search;

	while ((search = dequeue(s))) {
		if (fuse_req_interrupted(search->req))
			reply_err(search->req, -EINTR);
		else
			s->on(s->m, search->req, search->h, search->size, search->off);
		search_free(s, search);
	}
	return NULL;
}

int
searcher_open(struct mount *m, search_on *on, struct searcher **ret)
{
	struct searcher *s = calloc(1, sizeof(*s));
	int rc = MQ_OK;

	if (!s)
		return -ENOMEM;
	s->m = m;
	s->on = on;
	STAILQ_INIT(&s->line);
	lock_init(&s->lock, RANK_SEARCHES);
	cond_init(&s->more);
	for (size_t i = 0; rc == MQ_OK && i < SEARCHERS; i++)
		rc = thread_start(&s->threads[i], "searcher", searcher_main, s);
	if (rc != MQ_OK) {
		searcher_end(s);
		searcher_close(s);
		return rc;
	}
	*ret = s;
	return MQ_OK;
}

void
searcher_end(struct searcher *s)
{
	struct searches left = STAILQ_HEAD_INITIALIZER(left);
	struct search *search;

	lock_take(&s->lock);
	s->ending = true;
	STAILQ_CONCAT(&left, &s->line);
	pthread_cond_broadcast(&s->more);
	lock_drop(&s->lock);
	for (size_t i = 0; i < SEARCHERS; i++)
		thread_join(&s->threads[i]);
	while ((search = STAILQ_FIRST(&left))) {
		STAILQ_REMOVE_HEAD(&left, entry);
		reply_err(search->req, -ENOTCONN);
		search_free(s, search);
	}
}

void
searcher_close(struct searcher *s)
{
	if (!s)
		return;
	pthread_cond_destroy(&s->more);
	lock_destroy(&s->lock);
	free(s);
}

void
searcher_take(struct searcher *s, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct search *search = malloc(sizeof(*search));
	bool taken = false;

	if (!search) {
		reply_err(req, -ENOMEM);
		return;
	}
	*search = (struct search){ .req = req, .h = h, .size = size, .off = off };
	handle_ref(h);
	lock_take(&s->lock);
	if (!s->ending) {
		STAILQ_INSERT_TAIL(&s->line, search, entry);
		pthread_cond_signal(&s->more);
		taken = true;
	}
	lock_drop(&s->lock);
	if (!taken) {
		reply_err(req, -ENOTCONN);
		search_free(s, search);
	}
}
