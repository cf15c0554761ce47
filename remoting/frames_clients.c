/* Requests about clients: which are connected, what they say of themselves, and requests that the mount
 * answers with what mqremoted knows of clients. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "net/request.h"
#include "remoting/calls.h"
#include "remoting/codes.h"
#include "remoting/frames_priv.h"
#include "remoting/objects.h"

/* The group that a field names; NULL: it has no members. */
static struct client_group *
group_of(const struct loop *l, enum clients_side side, const json_t *ext, const char *field)
{
	return clients_group(l->clients, side, ext_text(ext, field));
}

/* --- lists of clients ---------------------------------------------------------------------------------------- */

enum server_served
frames_consumer_list(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const struct client_group *g = group_of(l, CLIENTS_CONSUMERS, f->ext, "consumerGroup");
	json_t *ids;

	if (!g)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, "no consumer for this group");
	ids = json_array();
	for (const struct member *m = g->members; m; m = m->next)
		json_array_append_new(ids, json_string(m->id));
	return frames_respond(p, f, json_pack("{s:o}", "consumerIdList", ids));
}

static json_t *
connection_set(const struct client_group *g)
{
	json_t *set = json_array();

	for (const struct member *m = g->members; m; m = m->next)
		json_array_append_new(set, json_pack("{s:s, s:s, s:s, s:i}", "clientAddr", m->peer->address,
						     "clientId", m->id, "language", remoting_language(m->language),
						     "version", (int)m->version));
	return set;
}

static json_t *
connections_of(const struct client_group *g)
{
	json_t *body = json_pack("{s:o}", "connectionSet", connection_set(g));

	if (g->side != CLIENTS_CONSUMERS || !body)
		return body;
	json_object_set(body, "consumeFromWhere", json_object_get(g->data, "consumeFromWhere"));
	json_object_set(body, "consumeType", json_object_get(g->data, "consumeType"));
	json_object_set(body, "messageModel", json_object_get(g->data, "messageModel"));
	json_object_set_new(body, "subscriptionTable", clients_subscriptions(g->data));
	return body;
}

enum server_served
frames_connections(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	bool consumers = f->code == REMOTING_GET_CONSUMER_CONNECTION_LIST;
	const char *field = consumers ? "consumerGroup" : "producerGroup", *name = ext_text(f->ext, field);
	const struct client_group *g = group_of(l, consumers ? CLIENTS_CONSUMERS : CLIENTS_PRODUCERS, f->ext, field);
	char remark[CLIENTS_NAME_MAX + 64];

	if (g)
		return frames_respond(p, f, connections_of(g));
	snprintf(remark, sizeof(remark), "the %s group[%.*s] not %s", consumers ? "consumer" : "producer",
		 CLIENTS_NAME_MAX, name, consumers ? "online" : "exist");
	return frames_refuse(p, f, consumers ? ANSWER_CONSUMER_NOT_ONLINE : ANSWER_SYSTEM_ERROR, remark);
}

static void
add_producers(void *arg, const struct client_group *g)
{
	json_t *list = json_array();

	for (const struct member *m = g->members; m; m = m->next) {
		char address[sizeof(m->peer->address) + 1];

		snprintf(address, sizeof(address), "/%s", m->peer->address);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i, s:I}", "clientId", m->id, "remoteIP",
						      address, "language", remoting_language(m->language), "version",
						      (int)m->version, "lastUpdateTimestamp",
						      (json_int_t)m->beat_ms));
	}
	json_object_set_new(arg, g->name, list);
}

enum server_served
frames_producers(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_t *groups = json_object();

	clients_each(l->clients, CLIENTS_PRODUCERS, add_producers, groups);
	return frames_respond(p, f, json_pack("{s:o}", "data", groups));
}

/* --- requests that are passed on to clients ------------------------------------------------------------------ */

/* Pass the request on to the consumer that it names. */
enum server_served
frames_running_info(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const struct client_group *g = group_of(l, CLIENTS_CONSUMERS, f->ext, "consumerGroup");
	const char *id = ext_text(f->ext, "clientId"), *name = ext_text(f->ext, "consumerGroup");
	struct member *m = g ? clients_member(g, id) : NULL;
	char remark[LINK_TEXT_BYTES];

	snprintf(remark, sizeof(remark), "The Consumer <%.70s> <%.80s> not online", name, id);
	if (!m)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, remark);
	calls_relay(l->calls, p, f, m);
	return SERVER_DONE;
}

enum server_served
frames_consumer_status(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	struct client_group *g = group_of(l, CLIENTS_CONSUMERS, f->ext, "group");
	char remark[LINK_TEXT_BYTES];

	snprintf(remark, sizeof(remark), "No Any Consumer online in the consumer group: [%.127s]",
		 ext_text(f->ext, "group"));
	if (!g)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, remark);
	calls_gather(l->calls, p, f, g, ext_get(f->ext, "clientAddr"));
	return SERVER_DONE;
}

/* --- what the mount is told of clients ------------------------------------------------------------------------ */

void
frames_tell(struct remoting_frame *f, const char *name, const char *value)
{
	if (!f->ext)
		f->ext = json_object();
	if (value)
		json_object_set_new(f->ext, name, json_string(value));
	else
		json_object_del(f->ext, name);
}

/* A client asks whether its subscription would be served: the mount gets its expression. */
enum server_served
frames_check_client(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_auto_t *root = frames_body(f);
	json_t *data = json_object_get(root, "subscriptionData");
	json_t *ext = data ? json_pack("{s:s, s:s}", "expressionType", ext_text(data, "expressionType"), "subString",
				       ext_text(data, "subString")) : NULL;

	(void)l;
	return ext ? frames_pass_with(f, ext) : frames_respond(p, f, NULL);
}

struct listing {
	const char *topic;
	FILE *out;
};

static void
list_group(void *arg, const struct client_group *g)
{
	struct listing *list = arg;
	json_t *sub;
	size_t i;

	json_array_foreach(json_object_get(g->data, "subscriptionDataSet"), i, sub)
		if (strcmp(ext_text(sub, "topic"), list->topic) == 0)
			fprintf(list->out, "%s,", g->name);
}

/* mqfs.groups: the groups with members that subscribe to the topic, each with a comma. */
enum server_served
frames_pass_groups(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	struct listing list = { ext_text(f->ext, "topic"), open_memstream(&text, &len) };

	if (!list.out)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, "no memory");
	clients_each(l->clients, CLIENTS_CONSUMERS, list_group, &list);
	frames_tell(f, "mqfs.groups", fclose(list.out) == 0 ? text : NULL);
	return SERVER_ASK_MOUNT;
}

/* mqfs.topics: the topics to which the group subscribes, each with a comma, if it has members. */
enum server_served
frames_pass_topics(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const char *field = f->code == REMOTING_CLONE_GROUP_OFFSET ? "srcGroup" : "consumerGroup";
	const struct client_group *g = group_of(l, CLIENTS_CONSUMERS, f->ext, field);
	AUTO_FREE char *text = NULL;
	json_t *sub;
	size_t i, len = 0;
	FILE *out = g ? open_memstream(&text, &len) : NULL;

	json_array_foreach(out ? json_object_get(g->data, "subscriptionDataSet") : NULL, i, sub)
		fprintf(out, "%s,", ext_text(sub, "topic"));
	if (out && fclose(out) != 0)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, "no memory");
	frames_tell(f, "mqfs.topics", text);
	return SERVER_ASK_MOUNT;
}

/* mqfs.online: the group has members, which can be told. */
enum server_served
frames_reset(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	(void)p;
	frames_tell(f, "mqfs.online", group_of(l, CLIENTS_CONSUMERS, f->ext, "group") ? "true" : NULL);
	return SERVER_ASK_MOUNT;
}

/* --- what the mount has answered --------------------------------------------------------------------------------- */

/* A list of objects with the offset in them, for clients in C++. */
static json_t *
reset_list(json_t *table)
{
	json_t *list = json_array(), *offset;
	const char *key;

	json_object_foreach(table, key, offset) {
		json_t *queue = json_loads(key, 0, NULL);

		json_object_set(queue, "offset", offset);
		json_array_append_new(list, queue);
	}
	return list;
}

static void
tell_reset(const struct client_group *g, const struct remoting_frame *answer, const char *table)
{
	json_auto_t *root = json_loadb(answer->body, answer->body_len, 0, NULL);
	json_auto_t *list = json_pack("{s:o}", "offsetTable", reset_list(json_object_get(root, "offsetTable")));
	AUTO_FREE char *of_cpp = json_dumps(list, JSON_COMPACT);
	struct remoting_frame f = remoting_one_way(REMOTING_RESET_CONSUMER_CLIENT_OFFSET);

	f.ext = answer->ext;
	for (const struct member *m = g->members; m && of_cpp; m = m->next) {
		f.body = m->language == REMOTING_CPP ? of_cpp : table;
		f.body_len = strlen(f.body);
		if (m->peer->channel.waiting < FRAMES_WAITING_MAX)
			(void)server_send(m->peer, &f);
	}
}

static bool
answered_reset(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const struct client_group *g = group_of(l, CLIENTS_CONSUMERS, f->ext, "group");
	AUTO_FREE char *table = f->body ? strndup(f->body, f->body_len) : NULL;
	struct remoting_frame answer = *f;

	if (!table)
		return true;
	objects_as_names(table);
	if (g)
		tell_reset(g, f, table);
	answer.ext = NULL;
	answer.body = table;
	answer.body_len = strlen(table);
	(void)server_send(p, &answer);
	return false;
}

/* The subscription of the group that was named, which has no filter data here. */
static bool
answered_entries(struct loop *l, struct server_peer *p, const struct remoting_frame *f)
{
	const char *name = ext_get(f->ext, "consumerGroup"), *topic = ext_get(f->ext, "topic");
	const struct client_group *g = group_of(l, CLIENTS_CONSUMERS, f->ext, "consumerGroup");
	json_auto_t *table = g ? clients_subscriptions(g->data) : NULL;
	json_t *body, *sub;
	char why[CLIENTS_NAME_MAX + 160];

	if (!name || !topic || !f->body)
		return true;
	body = json_loadb(f->body, f->body_len, 0, NULL);
	sub = json_object_get(table, topic);
	snprintf(why, sizeof(why), "%.*s@%.127s is not online!", CLIENTS_NAME_MAX, name, topic);
	if (sub)
		json_object_set(body, "subscriptionData", sub);
	json_object_set_new(body, "filterData", json_string(sub ? "null" : why));
	frames_respond(p, f, body);
	return false;
}

/* Is "TOPIC ID" a line of held? */
static bool
is_held(const char *held, const char *topic, int64_t id)
{
	char line[CLIENTS_NAME_MAX + 32];
	const char *at;
	int n = snprintf(line, sizeof(line), "%s %lld\n", topic, (long long)id);

	if ((size_t)n >= sizeof(line))
		return true;		/* no topic has such a name */
	at = strstr(held, line);
	while (at && at > held && at[-1] != '\n')
		at = strstr(at + 1, line);
	return at;
}

/* mqfs.held: the queues that files of the mount consume. */
static bool
answered_lock(struct loop *l, struct server_peer *p, const struct remoting_frame *f)
{
	const char *group = ext_get(f->ext, "consumerGroup"), *client = ext_get(f->ext, "clientId"),
		   *text = ext_get(f->ext, "mqSet"), *held = ext_get(f->ext, "mqfs.held");
	json_auto_t *set = text ? json_loads(text, 0, NULL) : NULL;
	json_t *taken = json_array(), *queue;
	size_t i;

	json_array_foreach(group && client && held ? set : NULL, i, queue) {
		const char *topic = ext_text(queue, "topic");
		int64_t id = json_integer_value(json_object_get(queue, "queueId"));

		if (!is_held(held, topic, id) && locks_take(l->locks, group, topic, id, client, l->d.now_ms))
			json_array_append(taken, queue);
	}
	frames_respond(p, f, json_pack("{s:o}", "lockOKMQSet", taken));
	return false;
}

bool
frames_answered(void *arg, struct server_peer *p, int code, struct remoting_frame *f)
{
	struct loop *l = arg;

	if (f->code != ANSWER_SUCCESS)
		return true;
	switch (code) {
	case REMOTING_INVOKE_BROKER_TO_RESET_OFFSET:
		return answered_reset(l, p, f);
	case REMOTING_CONSUME_MESSAGE_DIRECTLY:
		f->code = REMOTING_CONSUME_MESSAGE_DIRECTLY;	/* the record is the body */
		(void)frames_running_info(l, p, f);
		return false;
	case REMOTING_QUERY_CONSUME_QUEUE:
		return answered_entries(l, p, f);
	case REMOTING_LOCK_BATCH_MQ:
		return answered_lock(l, p, f);
	default:
		return true;
	}
}
