/* asks.h - what a client asks, from a frame's ext fields and body. */
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
	const char *key, *signature, *signed_text;	/* with access control; else s.key_len ... are 0 */
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

/* A BATCH's body, as RocketMQ has it, to items of the ring at `at` (as many bytes as
 * ask_send() said in s.body_len). */
void ask_put_items(const struct ask *a, size_t frame_body_len, unsigned char *at);

#endif
