/* remoting_kit.h - a broker without a mount, and a mqremoted that is this test: broker_kit.h
 * with the rings, and what clients would say. */
#ifndef MQFS_TESTS_REMOTING_KIT_H
#define MQFS_TESTS_REMOTING_KIT_H

#include "remoting/intake.h"
#include "remoting/ring_client.h"
#include "remoting/ring_server.h"
#include "tests/broker_kit.h"

struct remote {
	struct broker b;
	struct remoting_broker broker;
	struct mark replicated;
	_Atomic bool in_sync;
	struct ring_server server;
	struct ring_client client;
	struct intake *intake;		/* NULL: not open */
	struct stats *stats;		/* the test's; NULL: nothing is counted */
	_Atomic bool lied;
};

/* As cmocka wants it; a store with the topic T of 4 queues. */
int remote_setup(void **state);
int remote_teardown(void **state);

void remote_open(struct remote *r);	/* the intake, with fresh rings */
void remote_close(struct remote *r);

/* What a submission says; what is not set is 0, or "". */
struct say {
	enum ring_kind kind;
	const char *topic, *template, *group, *text, *body;
	size_t body_len;		/* 0: strlen(body) */
	uint32_t items;
	int32_t queue_id, sysflag, flag, reconsume_times, max_reconsume_times, template_queues, max_messages;
	uint32_t flags, watch;
	int64_t offset, commit_offset;
};

/* Submit it (waking the mount is remote_wake()'s); false: the rings are full. */
bool remote_submit(struct remote *r, const struct say *say, uint64_t tag);
void remote_wake(struct remote *r);

/* The next answer; the test fails when there is none within a minute. */
struct ring_completion remote_answer(struct remote *r);
bool remote_has_answer(struct remote *r);

/* One submission, and its answer. */
struct ring_completion remote_ask(struct remote *r, const struct say *say);

/* A message to queue q of T: the answer. */
struct ring_completion remote_send(struct remote *r, const char *topic, int32_t q, const char *props, const char *body);

/* An item of a batch, at `at`; returns where it ends. */
unsigned char *remote_item(unsigned char *at, const char *props, const char *body);

/* Bytes of a pull: malloc'ed, as mqremoted would send them. */
unsigned char *remote_pulled(struct remote *r, const struct ring_completion *c, size_t *ret_len);

#endif
