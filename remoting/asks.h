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
	size_t body_len;		/* as in the frame; s.body_len is as in the ring */
	const char *key, *signature, *signed_text;	/* with access control; else their lengths in s are 0 */
	/* of a pull */
	bool suspends;			/* it may wait for messages */
	bool subscribed;		/* its filter is in its heartbeats */
	int64_t sub_version;
	int64_t suspend_ms;
};

/* Decode SEND_MESSAGE, SEND_BATCH_MESSAGE, SEND_REPLY_MESSAGE, their _V2, PULL_MESSAGE, or an
 * END_TRANSACTION that says commit or rollback.  False: *ret_why. */
bool ask_decode(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why);

/* Is an expression of that type SQL92?  Else it is tags. */
bool ask_is_sql(const char *type);

/* Convert a BATCH's body from RocketMQ's layout to items of the ring, at `at`, which has room
 * for s.body_len bytes. */
void ask_put_items(const struct ask *a, unsigned char *at);

#endif
