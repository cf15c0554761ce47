/* clients.h - the producers and consumers of the network, known by their heartbeats.
 *
 * A member is one connection in one group.  It exists from its first heartbeat until it
 * unregisters or its connection ends: an idle connection ends after 120 s (net/channel.h).
 * Nothing is on disk: when mqremoted ends, clients connect and send heartbeats again.
 */
#ifndef MQFS_REMOTING_CLIENTS_H
#define MQFS_REMOTING_CLIENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/server.h"

#define CLIENTS_GROUPS_MAX 256		/* of one connection */
#define CLIENTS_NAME_MAX 255		/* bytes of a client's id, and of a group's name */
#define CLIENTS_DATA_MAX (4u << 20)	/* bytes of memory, roughly, for the data of all groups of one
					 * connection: some 2500 subscriptions */

enum clients_side { CLIENTS_CONSUMERS, CLIENTS_PRODUCERS };

struct member {
	struct member *next;		/* of its group */
	struct member *next_of_peer;
	LIST_ENTRY(member) of_id;	/* in the table of producers' ids */
	struct client_group *group;
	struct server_peer *peer;
	int32_t language, version;
	int64_t beat_ms;		/* wall clock of its newest heartbeat */
	char id[];
};

struct client_group {
	LIST_ENTRY(client_group) of_table;
	enum clients_side side;
	struct member *members;
	json_t *data;			/* consumers: ConsumerData of the newest heartbeat */
	size_t data_bytes;		/* of memory for it, roughly */
	struct member *data_from;	/* whose connection that memory is counted to; NULL: no data */
	int64_t made_ms;		/* when the mount was asked to make it; 0: not yet */
	bool claims;			/* consumers: one has pulled with RING_FLAG_MEMBER */
	char name[];
};

struct clients;

int clients_open(struct clients **ret);
void clients_close(struct clients *c);		/* accepts NULL */

/* emptied(arg, name) is called when a group of consumers that `claims` has no members any more. */
void clients_on_emptied(struct clients *c, void (*emptied)(void *arg, const char *group), void *arg);

/* How many connections are members of anything. */
size_t clients_count(const struct clients *c);

/* NULL: nobody is in it. */
struct client_group *clients_group(const struct clients *c, enum clients_side side, const char *name);

/* The member with that id, or at that connection.  NULL: it is not in that group (which may be NULL). */
struct member *clients_member(const struct client_group *g, const char *id);
struct member *clients_member_at(const struct client_group *g, const struct server_peer *peer);

/* Every group of that side, in no order. */
void clients_each(const struct clients *c, enum clients_side side,
		  void (*each)(void *arg, const struct client_group *g), void *arg);

/* Make `id`, at that connection, a member of the group; `data` (may be NULL) is copied.
 * *ret_news: the member is new, or the group has subscribed to other topics.  -EMFILE: the
 * connection is in too many groups, or they have too much data; -EINVAL: invalid names; -ENOMEM. */
int clients_join(struct clients *c, enum clients_side side, const char *group, const char *id,
		 struct server_peer *peer, int32_t language, int32_t version, json_t *data, bool *ret_news);

/* The next member of g in turn whose connection has fewer than `waiting_max` unsent frames.  NULL:
 * there is none. */
const struct member *clients_next(struct clients *c, const struct client_group *g, size_t waiting_max);

/* The subscriptions in `data`, which may be NULL, by topic: the caller's object, of the same values. */
json_t *clients_subscriptions(const json_t *data);

/* A producer with that id, in whichever group.  NULL: there is none. */
struct member *clients_producer(const struct clients *c, const char *id);

/* The client unregisters.  True: it was a member, at that connection. */
bool clients_leave(struct clients *c, enum clients_side side, const char *group, const char *id,
		   const struct server_peer *peer);

/* The connection has ended: left() is called for each consumers' group that it leaves and
 * that has other members. */
void clients_gone(struct clients *c, struct server_peer *peer,
		  void (*left)(void *arg, struct client_group *g), void *arg);

#endif
