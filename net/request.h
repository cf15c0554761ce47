/* request.h - a request of the remoting protocol as the mount has it, and its answer. */
#ifndef MQFS_NET_REQUEST_H
#define MQFS_NET_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/link.h"

enum answer_code {
	ANSWER_SUCCESS = 0,
	ANSWER_SYSTEM_ERROR = 1,
	ANSWER_SYSTEM_BUSY = 2,
	ANSWER_REQUEST_CODE_NOT_SUPPORTED = 3,
	ANSWER_FLUSH_DISK_TIMEOUT = 10,
	ANSWER_SLAVE_NOT_AVAILABLE = 11,
	ANSWER_FLUSH_SLAVE_TIMEOUT = 12,
	ANSWER_MESSAGE_ILLEGAL = 13,
	ANSWER_SERVICE_NOT_AVAILABLE = 14,
	ANSWER_NO_PERMISSION = 16,
	ANSWER_TOPIC_NOT_EXIST = 17,
	ANSWER_PULL_NOT_FOUND = 19,
	ANSWER_PULL_RETRY_IMMEDIATELY = 20,
	ANSWER_PULL_OFFSET_MOVED = 21,
	ANSWER_QUERY_NOT_FOUND = 22,
	ANSWER_SUBSCRIPTION_PARSE_FAILED = 23,
	ANSWER_SUBSCRIPTION_NOT_EXIST = 24,
	ANSWER_SUBSCRIPTION_NOT_LATEST = 25,
	ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST = 26,
	ANSWER_CONSUMER_NOT_ONLINE = 206,
	ANSWER_UPDATE_AND_CREATE_ACL_CONFIG_FAILED = 209,
	ANSWER_DELETE_ACL_CONFIG_FAILED = 210,
	ANSWER_UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED = 211,
	ANSWER_CONSUME_MSG_TIMEOUT = 207,
};

/* All memory is the caller's, and valid only until serve() returns. */
struct request {
	int code;
	const char *peer;		/* its address, for messages */
	const json_t *ext;		/* the ext fields, an object of strings; NULL: none */
	const void *body;		/* body_len bytes and a NUL, or values (values.h) */
	size_t body_len;
	bool only_judge;		/* the answer says only whether the peer may ask this */
};

/* Starts as zeros: success, without anything.  ext and body (from malloc) are the
 * answer's: answer_clear() frees them. */
struct answer {
	int code;			/* enum answer_code, or another of RocketMQ's */
	char remark[LINK_TEXT_BYTES];	/* the reason of an error, or "" */
	json_t *ext;			/* an object of strings; NULL: none */
	char *body;			/* a received one is values, or ends with a NUL that is not counted */
	size_t body_len;
	int64_t after;			/* serve() sets it: the answer goes out when the log is safe up to here; 0: at once, */
	int64_t by_ms;			/* and slaves have it by this time, clock_mono_ms(); 0: it does not wait for them */
};

/* Set code and remark.  Returns MQ_OK: `return answer_refuse(...)`. */
int answer_refuse(struct answer *a, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void answer_clear(struct answer *a);

/* A field of ext; NULL, or "", if there is none of that name. */
const char *ext_get(const json_t *ext, const char *name);
const char *ext_text(const json_t *ext, const char *name);

/* Is the field "true"?  `absent`: if there is none. */
bool ext_is_true(const json_t *ext, const char *name, bool absent);

/* The whole number in a field: text_number(). */
bool ext_number(const json_t *ext, const char *name, int64_t min, int64_t max, int64_t *ret);

/* Set a field to a text of at most 511 bytes.  -ENOMEM, also if ext is NULL. */
int ext_print(json_t *ext, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Set a number as the answer's only ext field.  -ENOMEM. */
int answer_number(struct answer *a, const char *name, int64_t number);

#endif
