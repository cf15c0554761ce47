/* broker.h - what remoting needs of the broker it speaks for. */
#ifndef MQFS_REMOTING_BROKER_H
#define MQFS_REMOTING_BROKER_H

#include "conf/settings.h"
#include "offsets/offsets.h"
#include "store/store.h"

struct remoting_broker {
	const struct settings *settings;
	struct store *store;
	struct offsets *offsets;
	struct host host;		/* stored in messages: brokerIP1, listenPort */
	bool read_only;

	/* The log is in the slaves that a SYNC_MASTER waits for up to this mark; NULL: there
	 * can be none.  And: are there enough of them now? */
	struct mark *replicated;
	bool (*in_sync)(void *arg);

	void *arg;
};

/* Codes of the remoting protocol that the data path answers with. */
enum remoting_code {
	CODE_SUCCESS = 0,
	CODE_SYSTEM_ERROR = 1,
	CODE_SYSTEM_BUSY = 2,
	CODE_FLUSH_DISK_TIMEOUT = 10,
	CODE_SLAVE_NOT_AVAILABLE = 11,
	CODE_FLUSH_SLAVE_TIMEOUT = 12,
	CODE_MESSAGE_ILLEGAL = 13,
	CODE_SERVICE_NOT_AVAILABLE = 14,
	CODE_NO_PERMISSION = 16,
	CODE_TOPIC_NOT_EXIST = 17,
	CODE_PULL_NOT_FOUND = 19,
	CODE_PULL_RETRY_IMMEDIATELY = 20,
	CODE_PULL_OFFSET_MOVED = 21,
	CODE_SUBSCRIPTION_PARSE_FAILED = 23,
	CODE_SUBSCRIPTION_GROUP_NOT_EXIST = 26,
};

#endif
