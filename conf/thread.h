/* thread.h - a thread that its owner starts once and waits for once; zeros: not started.
 *
 * Each has a name of at most 15 bytes, which ps(1), top(1) and perf(1) show. */
#ifndef MQFS_CONF_THREAD_H
#define MQFS_CONF_THREAD_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "conf/err.h"

struct thread {
	pthread_t id;
	bool runs;
};

/* -errno, noted: it was not started.  attr: as of pthread_create(3). */
static inline int
thread_start_with(struct thread *t, const char *name, const pthread_attr_t *attr, void *(*main)(void *), void *arg)
{
	int rc = -pthread_create(&t->id, attr, main, arg);

	t->runs = rc == MQ_OK;
	if (!t->runs)
		return err_note(rc, "thread %s: %s", name, strerror(-rc));
	(void)pthread_setname_np(t->id, name);
	return MQ_OK;
}

static inline int
thread_start(struct thread *t, const char *name, void *(*main)(void *), void *arg)
{
	return thread_start_with(t, name, NULL, main, arg);
}

/* The same, on that CPU alone. */
static inline int
thread_start_on(struct thread *t, size_t cpu, const char *name, void *(*main)(void *), void *arg)
{
	pthread_attr_t attr;
	cpu_set_t one;
	int rc;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
	rc = thread_start_with(t, name, &attr, main, arg);
	pthread_attr_destroy(&attr);
	return rc;
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
