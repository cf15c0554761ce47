#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "remoting/clients.h"

#define BUCKETS 1024
#define CONTAINER_BYTES 256		/* an empty object or array in memory */
#define VALUE_BYTES 64			/* another value, or the key of one, but for its text */

struct clients {
	LIST_HEAD(, client_group) buckets[BUCKETS];
	LIST_HEAD(, member) producers[BUCKETS];	/* by id */
	size_t peers;
	size_t turn;			/* of clients_next() */
	void (*emptied)(void *arg, const char *group);
	void *arg;
};

int
clients_open(struct clients **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? MQ_OK : -ENOMEM;
}

static void
group_free(struct client_group *g)
{
	struct member *m;

	while ((m = g->members)) {
		g->members = m->next;
		free(m);
	}
	json_decref(g->data);
	free(g);
}

void
clients_close(struct clients *c)
{
	struct client_group *g;

	if (!c)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while ((g = LIST_FIRST(&c->buckets[i]))) {
			LIST_REMOVE(g, of_table);
			group_free(g);
		}
	free(c);
}

size_t
clients_count(const struct clients *c)
{
	return c->peers;
}

/* --- groups ----------------------------------------------------------------------------------- */

static size_t
bucket_of(enum clients_side side, const char *name)
{
	return bytes_hash(side, name) % BUCKETS;
}

struct client_group *
clients_group(const struct clients *c, enum clients_side side, const char *name)
{
	struct client_group *g;

	LIST_FOREACH(g, &c->buckets[bucket_of(side, name)], of_table)
		if (g->side == side && strcmp(g->name, name) == 0)
			break;
	return g;
}

void
clients_each(const struct clients *c, enum clients_side side,
	     void (*each)(void *arg, const struct client_group *g), void *arg)
{
	const struct client_group *g;

	for (size_t i = 0; i < BUCKETS; i++)
		LIST_FOREACH(g, &c->buckets[i], of_table)
			if (g->side == side)
				each(arg, g);
}

static struct client_group *
group_make(struct clients *c, enum clients_side side, const char *name)
{
	size_t len = strlen(name) + 1;
	struct client_group *g = calloc(1, sizeof(*g) + len);

	if (!g)
		return NULL;
	g->side = side;
	memcpy(g->name, name, len);
	LIST_INSERT_HEAD(&c->buckets[bucket_of(side, name)], g, of_table);
	return g;
}

static void
group_drop_if_empty(struct clients *c, struct client_group *g)
{
	if (g->members)
		return;
	LIST_REMOVE(g, of_table);
	if (g->claims && c->emptied)
		c->emptied(c->arg, g->name);
	group_free(g);
}

void
clients_on_emptied(struct clients *c, void (*emptied)(void *arg, const char *group), void *arg)
{
	c->emptied = emptied;
	c->arg = arg;
}

/* --- members ------------------------------------------------------------------------------------ */

struct member *
clients_member(const struct client_group *g, const char *id)
{
	struct member *m = g->members;

	while (m && strcmp(m->id, id) != 0)
		m = m->next;
	return m;
}

struct member *
clients_member_at(const struct client_group *g, const struct server_peer *peer)
{
	struct member *m = peer->data;

	while (m && m->group != g)
		m = m->next_of_peer;
	return m;
}

static size_t
groups_of(const struct server_peer *peer)
{
	size_t n = 0;

	for (const struct member *m = peer->data; m; m = m->next_of_peer)
		n++;
	return n;
}

/* Memory for the data of groups, but of `except`, that is counted to the connection. */
static size_t
data_of(const struct server_peer *peer, const struct client_group *except)
{
	size_t n = 0;

	for (const struct member *m = peer->data; m; m = m->next_of_peer)
		if (m->group != except && m->group->data_from == m)
			n += m->group->data_bytes;
	return n;
}

static void
peer_add(struct clients *c, struct server_peer *peer, struct member *m)
{
	c->peers += !peer->data;
	m->peer = peer;
	m->next_of_peer = peer->data;
	peer->data = m;
}

static void
peer_remove(struct clients *c, struct member *m)
{
	struct member *list = m->peer->data, **at = &list;

	while (*at != m)
		at = &(*at)->next_of_peer;
	*at = m->next_of_peer;
	m->peer->data = list;
	c->peers -= !list;
}

struct member *
clients_producer(const struct clients *c, const char *id)
{
	struct member *m;

	LIST_FOREACH(m, &c->producers[bucket_of(CLIENTS_PRODUCERS, id)], of_id)
		if (strcmp(m->id, id) == 0)
			break;
	return m;
}

/* The member whose connection the group's data was counted to has left: count it to another member's.
 * If that connection has too much data already, drop the group's until the next heartbeat. */
static void
hand_over_data(struct client_group *g)
{
	g->data_from = g->members;
	if (!g->data_from || data_of(g->data_from->peer, NULL) <= CLIENTS_DATA_MAX)
		return;
	json_decref(g->data);
	g->data = NULL;
	g->data_bytes = 0;
	g->data_from = NULL;
}

static void
member_free(struct clients *c, struct member *m)
{
	struct member **at = &m->group->members;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	if (m->group->data_from == m)
		hand_over_data(m->group);
	if (m->group->side == CLIENTS_PRODUCERS)
		LIST_REMOVE(m, of_id);
	peer_remove(c, m);
	free(m);
}

static struct member *
member_make(struct clients *c, struct client_group *g, const char *id, struct server_peer *peer)
{
	size_t len = strlen(id) + 1;
	struct member *m = calloc(1, sizeof(*m) + len);

	if (!m)
		return NULL;
	memcpy(m->id, id, len);
	m->group = g;
	m->next = g->members;
	g->members = m;
	if (g->side == CLIENTS_PRODUCERS)
		LIST_INSERT_HEAD(&c->producers[bucket_of(CLIENTS_PRODUCERS, id)], m, of_id);
	peer_add(c, peer, m);
	return m;
}

json_t *
clients_subscriptions(const json_t *data)
{
	json_t *all = json_object(), *each;
	size_t i;

	json_array_foreach(json_object_get(data, "subscriptionDataSet"), i, each) {
		const char *topic = json_string_value(json_object_get(each, "topic"));

		if (topic)
			json_object_set(all, topic, each);
	}
	return all;
}

static json_int_t
version_of(const json_t *subscription)
{
	return json_integer_value(json_object_get(subscription, "subVersion"));
}

/* Memory that jansson needs for it, roughly: at least so much. */
static size_t
bytes_of(json_t *json)
{
	size_t n = json_is_object(json) || json_is_array(json) ? CONTAINER_BYTES : VALUE_BYTES, i;
	const char *key;
	json_t *each;

	if (json_is_string(json))
		n += json_string_length(json);
	json_object_foreach(json, key, each)
		n += VALUE_BYTES + strlen(key) + bytes_of(each);
	json_array_foreach(json, i, each)
		n += bytes_of(each);
	return n;
}

/* The group's data after a heartbeat with `data`.  Members give their subscriptions versions of their
 * own: as in RocketMQ, the highest version of each topic counts.  *ret_changed: a topic was added or
 * removed. */
static json_t *
merge(const struct client_group *g, json_t *data, bool *ret_changed)
{
	json_t *copy = json_deep_copy(data), *before = clients_subscriptions(g ? g->data : NULL),
	       *now = clients_subscriptions(copy);
	const char *topic;
	json_t *each;

	*ret_changed = json_object_size(before) != json_object_size(now);
	json_object_foreach(now, topic, each) {
		json_t *old = json_object_get(before, topic);

		if (!old)
			*ret_changed = true;
		else if (version_of(old) > version_of(each)) {
			json_object_clear(each);
			json_object_update(each, old);
		}
	}
	json_decref(before);
	json_decref(now);
	return copy;
}

/* Set the group's data, which is counted to m's connection; `data` is taken over. */
static void
set_data(struct client_group *g, struct member *m, json_t *data)
{
	json_decref(g->data);
	g->data = data;
	g->data_bytes = bytes_of(data);
	g->data_from = m;
}

static int
check_join(const struct member *m, const char *group, const char *id, const struct server_peer *peer)
{
	if (!*group || !*id || strlen(group) > CLIENTS_NAME_MAX || strlen(id) > CLIENTS_NAME_MAX)
		return err_note(-EINVAL, "no good name of a group or a client");
	if ((!m || m->peer != peer) && groups_of(peer) >= CLIENTS_GROUPS_MAX)
		return err_note(-EMFILE, "a connection is in %d groups at most", CLIENTS_GROUPS_MAX);
	return MQ_OK;
}

/* The group's data after a heartbeat of m (NULL: a new member).  NULL in *ret_data: it is unchanged. */
static int
next_data(const struct client_group *g, const struct member *m, const struct server_peer *peer, json_t *data,
	  json_t **ret_data, bool *ret_changed)
{
	size_t bytes = m && g->data_from == m ? g->data_bytes : 0;

	*ret_data = NULL;
	if (data && !(g && json_equal(data, g->data))) {
		*ret_data = merge(g, data, ret_changed);
		if (!*ret_data)
			return -ENOMEM;
		bytes = bytes_of(*ret_data);
	}
	if (data_of(peer, g) + bytes <= CLIENTS_DATA_MAX)
		return MQ_OK;
	json_decref(*ret_data);
	return err_note(-EMFILE, "the data of the groups of a connection take %u bytes at most", CLIENTS_DATA_MAX);
}

int
clients_join(struct clients *c, enum clients_side side, const char *group, const char *id,
	     struct server_peer *peer, int32_t language, int32_t version, json_t *data, bool *ret_news)
{
	struct client_group *g = clients_group(c, side, group);
	struct member *m = g ? clients_member(g, id) : NULL;
	bool came = !m, changed = false;
	json_t *news = NULL;
	int rc = check_join(m, group, id, peer);

	*ret_news = false;
	if (rc == MQ_OK)
		rc = next_data(g, m, peer, data, &news, &changed);
	if (rc != MQ_OK)
		return rc;
	if (!g)
		g = group_make(c, side, group);
	if (!m && g)
		m = member_make(c, g, id, peer);
	if (!m) {
		json_decref(news);
		if (g)
			group_drop_if_empty(c, g);
		return -ENOMEM;
	}
	if (m->peer != peer) {		/* the client has connected again before the old connection has ended */
		peer_remove(c, m);
		peer_add(c, peer, m);
	}
	m->language = language;
	m->version = version;
	m->beat_ms = clock_wall_ms();
	*ret_news = came || changed;
	if (news)
		set_data(g, m, news);
	return MQ_OK;
}

const struct member *
clients_next(struct clients *c, const struct client_group *g, size_t waiting_max)
{
	const struct member *m;
	size_t n = 0, at;

	for (m = g->members; m; m = m->next)
		n += m->peer->channel.waiting < waiting_max;
	if (n == 0)
		return NULL;
	at = c->turn++ % n;
	for (m = g->members; m->peer->channel.waiting >= waiting_max || at-- > 0; m = m->next)
		;
	return m;
}

bool
clients_leave(struct clients *c, enum clients_side side, const char *group, const char *id,
	      const struct server_peer *peer)
{
	struct client_group *g = clients_group(c, side, group);
	struct member *m = g ? clients_member(g, id) : NULL;

	if (!m || m->peer != peer)
		return false;
	member_free(c, m);
	group_drop_if_empty(c, g);
	return true;
}

void
clients_gone(struct clients *c, struct server_peer *peer,
	     void (*left)(void *arg, struct client_group *g), void *arg)
{
	struct member *m;

	while ((m = peer->data)) {
		struct client_group *g = m->group;

		member_free(c, m);
		if (g->side == CLIENTS_CONSUMERS && g->members)
			left(arg, g);
		group_drop_if_empty(c, g);
	}
}
