/* thread.h - a thread that its owner starts once and waits for once; zeros: not started. */
#ifndef MQFS_CONF_THREAD_H
#define MQFS_CONF_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "conf/err.h"

struct thread {
	pthread_t id;
	bool runs;
};

/* -errno, noted: it was not started. */
static inline int
thread_start(struct thread *t, void *(*main)(void *), void *arg)
{
	int rc = -pthread_create(&t->id, NULL, main, arg);

	t->runs = rc == MQ_OK;
	return t->runs ? MQ_OK : err_note(rc, "thread: %s", strerror(-rc));
}

/* Wait until it has ended, if it was started. */
static inline void
thread_join(struct thread *t)
{
	if (t->runs)
		pthread_join(t->id, NULL);
	t->runs = false;
}

#endif
