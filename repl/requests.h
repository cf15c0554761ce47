/* requests.h - requests of slaves to this broker by the remoting protocol, and the answers.
 *
 * The table in requests.c has one row for each code; a code without a row is
 * answered as RocketMQ answers it (3, not supported).  Rows run one after the
 * other in a thread of their own: they may read the disk and take locks, but
 * should not wait for other threads.
 */
#ifndef MQFS_REPL_REQUESTS_H
#define MQFS_REPL_REQUESTS_H

#include <stdbool.h>

#include "net/request.h"

struct replication;

enum request_code {
	REQUEST_QUERY_CONSUMER_OFFSET = 14,
	REQUEST_UPDATE_CONSUMER_OFFSET = 15,
	REQUEST_GET_ALL_TOPIC_CONFIG = 21,
	REQUEST_GET_BROKER_RUNTIME_INFO = 28,
	REQUEST_GET_ALL_CONSUMER_OFFSET = 43,
	REQUEST_GET_ALL_DELAY_OFFSET = 45,
	REQUEST_GET_TIMER_CHECK_POINT = 60,		/* 5.x */
	REQUEST_GET_TIMER_METRICS = 61,			/* 5.x */
	REQUEST_GET_ALL_SUBSCRIPTIONGROUP_CONFIG = 201,
	REQUEST_GET_ALL_MESSAGE_REQUEST_MODE = 402,	/* 5.x */
	REQUEST_HELLO = 0x6d71,		/* mqfs's own, */
	REQUEST_READ_LOG = 0x6d72,	/* and this */
};

/* Is the body of such a request JSON; is that of its answer?  mqrepld parses JSON that a peer has
 * sent and packs it (net/values.h); JSON that this broker sends is text. */
static inline bool
request_has_values(int code)
{
	return code == REQUEST_HELLO;
}

static inline bool
answer_has_values(int code)
{
	return code == REQUEST_HELLO || code == REQUEST_GET_ALL_TOPIC_CONFIG ||
	       code == REQUEST_GET_ALL_CONSUMER_OFFSET || code == REQUEST_GET_ALL_DELAY_OFFSET ||
	       code == REQUEST_GET_ALL_SUBSCRIPTIONGROUP_CONFIG || code == REQUEST_GET_BROKER_RUNTIME_INFO;
}

/* Find the row and run it.  If it fails, the answer is SYSTEM_ERROR with the row's
 * note: *ret is an answer in any case. */
void requests_serve(struct replication *r, const struct request *req, struct answer *ret);

#endif
