/* requests.h - what a peer may ask this broker by the remoting protocol, and what
 * it is answered.
 *
 * One row of the table in requests.c for each code; a code without a row is
 * answered as RocketMQ does it (3, not supported).  Rows run one after the
 * other in a thread of their own: they may read the disk and take locks, but
 * should not wait for others.
 */
#ifndef MQFS_REPL_REQUESTS_H
#define MQFS_REPL_REQUESTS_H

#include <jansson.h>
#include <stddef.h>

#include "net/link.h"

struct replication;

enum request_code {
	REQUEST_QUERY_CONSUMER_OFFSET = 14,
	REQUEST_UPDATE_CONSUMER_OFFSET = 15,
	REQUEST_GET_ALL_TOPIC_CONFIG = 21,
	REQUEST_GET_BROKER_RUNTIME_INFO = 28,
	REQUEST_GET_ALL_CONSUMER_OFFSET = 43,
	REQUEST_GET_ALL_DELAY_OFFSET = 45,
	REQUEST_GET_TIMER_CHECK_POINT = 60,		/* 5.x */
	REQUEST_GET_ALL_SUBSCRIPTIONGROUP_CONFIG = 201,
	REQUEST_GET_ALL_MESSAGE_REQUEST_MODE = 402,	/* 5.x */
	REQUEST_HELLO = 0x6d71,		/* mqfs's own, */
	REQUEST_READ_LOG = 0x6d72,	/* and this */
};

enum answer_code {
	ANSWER_SUCCESS = 0,
	ANSWER_SYSTEM_ERROR = 1,
	ANSWER_SYSTEM_BUSY = 2,
	ANSWER_REQUEST_CODE_NOT_SUPPORTED = 3,
	ANSWER_TOPIC_NOT_EXIST = 17,
	ANSWER_QUERY_NOT_FOUND = 22,
	ANSWER_SUBSCRIPTION_NOT_EXIST = 24,
	ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST = 26,
};

/* Everything is the caller's, and stays only until serve() returns. */
struct request {
	int code;
	const char *peer;		/* its address, for messages */
	const json_t *ext;		/* the ext fields, an object of strings; NULL: none */
	const void *body;		/* body_len bytes and a NUL */
	size_t body_len;
};

/* Starts as zeros: success, without anything.  ext and body (from malloc) are the
 * answer's: answer_clear() frees them. */
struct answer {
	int code;			/* enum answer_code, or another of RocketMQ's */
	char remark[LINK_TEXT_BYTES];	/* what is wrong, "" */
	json_t *ext;			/* an object of strings; NULL: none */
	char *body;			/* received ones end with a NUL, not counted */
	size_t body_len;
};

/* Gives it another code and a remark.  Returns MQ_OK: `return answer_refuse(...)`. */
int answer_refuse(struct answer *a, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void answer_clear(struct answer *a);

/* A field of ext; NULL if there is none of that name. */
const char *ext_get(const json_t *ext, const char *name);

/* Find the row and run it.  A row that fails is answered with SYSTEM_ERROR and
 * what was noted: *ret is an answer in any case. */
void requests_serve(struct replication *r, const struct request *req, struct answer *ret);

#endif
