/* service_priv.h - what service.c and requests*.c share. */
#ifndef MQFS_REMOTING_SERVICE_PRIV_H
#define MQFS_REMOTING_SERVICE_PRIV_H

#include <pthread.h>

#include "conf/lock.h"
#include "conf/thread.h"
#include "net/child.h"
#include "remoting/broker.h"
#include "remoting/tickets.h"
#include "remoting/intake.h"
#include "remoting/resets.h"
#include "remoting/rights.h"
#include "remoting/ring_server.h"
#include "remoting/service.h"

struct service {
	const struct settings *settings;
	struct service_broker broker;
	int64_t started_ms;		/* wall clock */
	struct user user;		/* of remotingUser */
	struct tickets tickets;		/* of requests that were judged */
	struct user rights;		/* of the client whose request is being served; its groups are another struct's */
	struct remoting_broker remoting;

	struct resets resets;		/* the serve thread's */

	/* of one mqremoted; the child thread's */
	struct ring_server ring;
	struct intake *intake;

	struct lock lock;		/* all below that changes */
	pthread_cond_t changed;
	bool closing;
	bool ready;			/* mqremoted listens, or has told why not */
	pid_t pid;
	unsigned starts;
	int32_t port;
	int64_t clients;
	char trouble[256];
	uint64_t role_changes;

	struct child *child;
	struct thread register_thread, check_thread;
};

/* --- changes.c --------------------------------------------------------------------------------- */

/* The request was served, and the log was at `before` then: must its answer wait for what it has changed? */
void change_answer(struct service *s, const struct request *req, mq_pos before, struct answer *a);

/* Is the answer ready?  It may have become a refusal: exchange.h. */
bool change_is_settled(void *arg, struct answer *a);

#endif
