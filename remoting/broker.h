/* broker.h - the broker's parts that remoting uses. */
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

	const struct user *rights;	/* of the client whose request is served; NULL: it may do all */
	struct judge *judge;		/* of requests; NULL: all are let in, as remotingUser */

	/* The mark up to which the slaves that a SYNC_MASTER waits for have the log; NULL: there
	 * are none.  And: are enough slaves in sync now?  May be NULL. */
	struct mark *(*replicated)(void *arg);
	bool (*in_sync)(void *arg);

	struct stats *stats;		/* counts stored and pulled messages; NULL: they are not counted */

	void *arg;
};

#endif
