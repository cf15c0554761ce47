/* broker.h - what remoting needs of the broker it speaks for. */
#ifndef MQFS_REMOTING_BROKER_H
#define MQFS_REMOTING_BROKER_H

#include "conf/settings.h"
#include "offsets/offsets.h"
#include "remoting/judge.h"
#include "remoting/rights.h"
#include "remoting/stats.h"
#include "store/store.h"

struct remoting_broker {
	const struct settings *settings;
	struct store *store;
	struct offsets *offsets;
	struct host host;		/* stored in messages: brokerIP1, listenPort */
	bool read_only;

	const struct user *rights;	/* of who asks; NULL: it may do all */
	struct judge *judge;		/* of requests; NULL: all are let in, as remotingUser */

	/* The log is in the slaves that a SYNC_MASTER waits for up to this mark; NULL: there
	 * are none.  And: are there enough of them now?  May be NULL. */
	struct mark *(*replicated)(void *arg);
	bool (*in_sync)(void *arg);

	struct stats *stats;		/* what is put and got is counted there; NULL: nowhere */

	void *arg;
};

#endif
