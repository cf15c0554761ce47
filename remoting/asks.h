/* asks.h - a client's frame (ext fields and body) becomes a submission for the rings. */
#ifndef MQFS_REMOTING_ASKS_H
#define MQFS_REMOTING_ASKS_H

#include <stdbool.h>

#include "net/remoting.h"
#include "remoting/refusal.h"
#include "remoting/ring.h"

/* A request, as it will be submitted; the texts are the frame's. */
struct ask {
	struct ring_submission s;
	const char *topic, *template, *group, *text;
	const char *body;
	const char *key, *signature, *signed_text;	/* with access control; else their lengths in s are 0 */
	/* of a pull */
	bool suspends;			/* it may wait for messages */
	bool subscribed;		/* its filter is in its heartbeats */
	int64_t sub_version;
	int64_t suspend_ms;
};

/* SEND_MESSAGE (10), SEND_MESSAGE_V2 (310), SEND_BATCH_MESSAGE (320), SEND_REPLY_MESSAGE (324) and
 * _V2 (325).  False: *ret_why. */
bool ask_send(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why);

/* PULL_MESSAGE (11). */
bool ask_pull(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why);

/* END_TRANSACTION (37) that says commit or rollback. */
bool ask_end(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why);

/* Convert a BATCH's body from RocketMQ's layout to items of the ring, at `at`, which has room
 * for the s.body_len bytes of ask_send(). */
void ask_put_items(const struct ask *a, size_t frame_body_len, unsigned char *at);

#endif
