/* service.h - the mount's side of mqremoted: starts it, watches it, answers what it asks.
 *
 *      child thread     mqremoted runs, and is started again (net/child.h)
 *      serve thread     LINK_REQUEST ──> requests.h ──> LINK_RESPONSE
 *      register thread  topics, permissions or the role have changed ──> mqremoted tells the
 *                       name servers
 *      check thread     producers of open transactions are asked: checks.h
 *
 * Nothing of mqremoted's is needed for what is stored: it may die, and clients come back.
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

	/* Answers what slaves ask (hello, read_log, their commits); it always has an answer. */
	void (*serve_slave)(void *arg, const struct request *req, struct answer *ret);

	/* A name server says who the master is: HOST:PORT of its HA port, and of its
	 * remoting port.  Called on a slave only, by the child thread, and again each time it
	 * says so. */
	void (*master_is)(void *arg, const char *ha, const char *remoting);

	/* That setting, which is SETTING_LIVE, has another value from here on, as if it were written
	 * to its file in config/.  Not MQ_OK, noted: it has not. */
	int (*set)(void *arg, const char *key, const char *value);

	void *arg;
};

/* Is this broker to be reached over the network by clients? */
bool service_is_needed(const struct settings *s);

/* Start it.  `program`: mqremoted's path, NULL: see start.h. */
int service_open(const struct settings *settings, const struct service_broker *broker, const char *program,
		 struct service **ret);

/* The broker leaves the name servers, mqremoted ends.  Accepts NULL. */
void service_close(struct service *s);

/* Until mqremoted listens, or has said why it does not, at most timeout_ms. */
void service_wait_ready(struct service *s, int timeout_ms);

/* The role has changed in the settings. */
void service_role_changed(struct service *s);

struct service_stats {
	int64_t starts;			/* of mqremoted */
	int32_t pid, port, vip_port;	/* 0: it does not run, does not listen */
	int64_t clients;		/* connections that produce or consume */
	char trouble[256];		/* why it does not get on, or "" */
};

void service_stats(struct service *s, struct service_stats *ret);

/* What is put and got, in all and by topic and group. */
struct stats;
struct stats *service_counts(struct service *s);

/* What mqremoted may be asked, with the ext field consumerGroup; the answer's body is a line of text
 * for each member: client id, address, language and version, TOPIC=EXPRESSION of each subscription.
 * Without that field: a line for each group, its name and how many members it has. */
#define SERVICE_CONSUMERS 203

/* The same with the ext field topic: who sends to it, as client id, address, language and version, group;
 * what is not known of a connection without heartbeats is "-". */
#define SERVICE_PRODUCERS 204

/* Ask mqremoted what it knows of its clients; see exchange_call(). */
int service_call(struct service *s, int code, const json_t *ext, int timeout_ms, struct answer *ret);

#endif
