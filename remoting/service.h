/* service.h - the mount's side of mqremoted: it starts and watches mqremoted, and answers its requests.
 *
 *      child thread     mqremoted runs, and is started again (net/child.h)
 *      serve thread     LINK_REQUEST ──> requests.h ──> LINK_RESPONSE
 *      register thread  topics, permissions or the role have changed ──> mqremoted tells the
 *                       name servers
 *      check thread     asks producers of open transactions: checks.h
 *
 * The store does not depend on mqremoted: if it dies, another one is started and clients reconnect.
 */
#ifndef MQFS_REMOTING_SERVICE_H
#define MQFS_REMOTING_SERVICE_H

#include "conf/settings.h"
#include "net/request.h"
#include "offsets/offsets.h"
#include "store/store.h"

struct service;

/* What the service needs of the broker. */
struct service_broker {
	struct store *store;
	struct offsets *offsets;

	struct host host;		/* stored in messages */

	/* As in broker.h. */
	struct mark *(*replicated)(void *arg);
	bool (*in_sync)(void *arg);

	/* Serve a request of a slave (hello, read_log, its commits); *ret is an answer in any case. */
	void (*serve_slave)(void *arg, const struct request *req, struct answer *ret);

	/* A name server has told who the master is: HOST:PORT of its HA port, and of its
	 * remoting port.  Called on a slave only, by the child thread, for each LINK_MASTER. */
	void (*master_is)(void *arg, const char *ha, const char *remoting);

	/* Set that setting, which is SETTING_LIVE, as a write to its file in config/ does.  Not
	 * MQ_OK, noted: it keeps its value. */
	int (*set)(void *arg, const char *key, const char *value);

	void *arg;
};

/* Do the settings say that clients may connect over the network? */
bool service_is_needed(const struct settings *s);

/* Start the service.  `program`: mqremoted's path, NULL: see start.h. */
int service_open(const struct settings *settings, const struct service_broker *broker, const char *program,
		 struct service **ret);

/* Unregister the broker at the name servers, and end mqremoted.  Accepts NULL. */
void service_close(struct service *s);

/* Wait until mqremoted listens, or has told why it does not, at most timeout_ms. */
void service_wait_ready(struct service *s, int timeout_ms);

/* The role has changed in the settings. */
void service_role_changed(struct service *s);

struct service_stats {
	int32_t pid;			/* of mqremoted; 0: it does not run */
	int64_t clients;		/* connections that produce or consume */
	char trouble[256];		/* why it does not work, or "" */
};

void service_stats(struct service *s, struct service_stats *ret);

/* The counts of stored and pulled messages, in all and by topic and group. */
struct stats;
struct stats *service_counts(struct service *s);

/* A request to mqremoted with the ext field consumerGroup; the answer's body has a line of text for
 * each member: client id, address, language and version, TOPIC=EXPRESSION of each subscription.
 * Without that field: a line for each group, with its name and its number of members. */
#define SERVICE_CONSUMERS 203

/* The same with the ext field topic: a line for each connection that sends to it: client id, address,
 * language and version, group; "-" for members that are unknown without a heartbeat. */
#define SERVICE_PRODUCERS 204

/* Send mqremoted one of these requests; see exchange_call(). */
int service_call(struct service *s, int code, const json_t *ext, int timeout_ms, struct answer *ret);

#endif
