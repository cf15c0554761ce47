/* clients.h - who produces and who consumes over the network, as their heartbeats say.
 *
 * A member is one connection in one group.  It is there from a heartbeat on until it says
 * goodbye or its connection ends: a connection that says nothing for 120 s ends (net/channel.h).
 * All of it is memory: when mqremoted ends, clients connect and say it again.
 */
#ifndef MQFS_REMOTING_CLIENTS_H
#define MQFS_REMOTING_CLIENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/server.h"

#define CLIENTS_GROUPS_MAX 256		/* of one connection */
#define CLIENTS_NAME_MAX 255		/* bytes of a client's id, and of a group's name */

enum clients_side { CLIENTS_CONSUMERS, CLIENTS_PRODUCERS, CLIENTS_SIDES };

struct member {
	struct member *next;		/* of its group */
	struct member *next_of_peer;
	struct member *next_of_id;	/* in the table of producers' ids */
	struct client_group *group;
	struct server_peer *peer;
	int32_t language, version;
	int64_t beat_ms;		/* wall clock of its newest heartbeat */
	char id[];
};

struct client_group {
	struct client_group *next;	/* in the table */
	enum clients_side side;
	struct member *members;
	json_t *says;			/* consumers: an object of the newest heartbeat, ConsumerData */
	int64_t made_ms;		/* when the mount was asked to make it; 0: not yet */
	bool claims;			/* consumers: the mount was told that they consume */
	char name[];
};

struct clients;

int clients_open(struct clients **ret);
void clients_close(struct clients *c);		/* accepts NULL */

/* emptied(arg, name) is called when a group of consumers that `claims` has no members any more. */
void clients_on_emptied(struct clients *c, void (*emptied)(void *arg, const char *group), void *arg);

/* Is the connection a member of that group? */
bool clients_is_of(const struct client_group *g, const struct server_peer *peer);

/* How many connections are members of anything. */
size_t clients_count(const struct clients *c);

/* NULL: nobody is in it. */
struct client_group *clients_group(const struct clients *c, enum clients_side side, const char *name);

/* NULL: it is not in that group. */
struct member *clients_member(const struct client_group *g, const char *id);

/* Every group of that side, in no order. */
void clients_each(const struct clients *c, enum clients_side side,
		  void (*each)(void *arg, const struct client_group *g), void *arg);

/* The member `id` is in the group, at that connection, from now on; `says` (NULL: nothing) is
 * copied.  *ret_news: a member has come, or the group has subscribed to other topics.  -EMFILE: the
 * connection is in too many groups; -EINVAL: no such names; -ENOMEM. */
int clients_join(struct clients *c, enum clients_side side, const char *group, const char *id,
		 struct server_peer *peer, int32_t language, int32_t version, json_t *says, bool *ret_news);

/* A member of g, each in turn, whose connection has fewer than `waiting_max` frames that it does not
 * take.  NULL: there is none. */
const struct member *clients_next(struct clients *c, const struct client_group *g, size_t waiting_max);

/* A producer with that id, in whichever group.  NULL: there is none. */
struct member *clients_producer(const struct clients *c, const char *id);

/* It says goodbye.  True: it was a member. */
bool clients_leave(struct clients *c, enum clients_side side, const char *group, const char *id);

/* The connection has ended: left() is called for each consumers' group that it leaves and
 * that has other members. */
void clients_gone(struct clients *c, struct server_peer *peer,
		  void (*left)(void *arg, struct client_group *g), void *arg);

#endif
