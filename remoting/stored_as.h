/* stored_as.h - the message, and its queue, that a client's SEND becomes, or why it is refused.
 *
 * Has no effect but that a topic may be made.  Called by the intake thread alone. */
#ifndef MQFS_REMOTING_STORED_AS_H
#define MQFS_REMOTING_STORED_AS_H

#include "remoting/broker.h"
#include "remoting/refusal.h"
#include "remoting/ring_server.h"

/* Where messages of a request go. */
struct stored_as {
	struct topic *topic;
	struct queue *queue;
	int32_t queue_id;		/* of the answer */
	int level;			/* the delay level for which it waits in `queue`; 0: none */
	bool half;			/* it waits in `queue` for END_TRANSACTION */
	bool waits;			/* its answer waits for disk and slaves, as the settings say */
	struct message m;		/* all but properties and body; as delivered */
};

/* False: *ret_why is the reason of the refusal. */
bool stored_as(const struct remoting_broker *b, const struct ring_request *req, struct stored_as *ret,
	       struct refusal *ret_why);

/* The properties a message of the request is stored with, into buf (RECORD_PROPS_MAX
 * bytes); item: those of an item of a batch, NULL: a single message.  False: too long. */
bool stored_props(const struct remoting_broker *b, const struct ring_request *req, const char *item, size_t item_len,
		  char *buf, size_t *ret_len);

#endif
