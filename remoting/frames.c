#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/blob.h"
#include "net/request.h"
#include "remoting/calls.h"
#include "remoting/codes.h"
#include "remoting/frames_priv.h"
#include "remoting/replies.h"

#define HEARTBEAT_MAX (256 << 10)	/* bytes of a body that is parsed here */
#define NOTICES_MAX 64			/* answers that one does not take: it is told of no changes then */
#define MAKE_AGAIN_MS 25000		/* the mount is asked for a group again at the next heartbeat but one */

/* --- answers -------------------------------------------------------------------------------------- */

/* A response to `to`; body NULL: none. */
enum server_served
frames_respond(struct loop *l, struct server_peer *p, const struct remoting_frame *to, json_t *body)
{
	AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct remoting_frame f = {
		.dialect = to->dialect, .code = ANSWER_SUCCESS, .opaque = to->opaque, .flag = REMOTING_RESPONSE,
		.language = REMOTING_JAVA, .version = REMOTING_VERSION, .body = text,
		.body_len = text ? strlen(text) : 0,
	};

	json_decref(body);
	if (!(to->flag & REMOTING_ONE_WAY))
		(void)server_send(l->server, p, &f);
	return SERVER_DONE;
}

enum server_served
frames_refuse(struct loop *l, struct server_peer *p, const struct remoting_frame *to, int code, const char *remark)
{
	server_refuse(l->server, p, to, code, remark);
	return SERVER_DONE;
}

json_t *
frames_body(const struct remoting_frame *f)
{
	json_t *root = f->body_len <= HEARTBEAT_MAX ? json_loadb(f->body, f->body_len, 0, NULL) : NULL;

	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

const char *
frames_text(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* --- members come and go ------------------------------------------------------------------------------ */

/* Each of the group asks anew who is in it, and takes its share of the queues. */
static void
notify_group(void *arg, struct client_group *g)
{
	struct loop *l = arg;
	struct remoting_frame f = {
		.code = REMOTING_NOTIFY_CONSUMER_IDS_CHANGED, .flag = REMOTING_ONE_WAY,
		.language = REMOTING_JAVA, .version = REMOTING_VERSION,
		.ext = json_pack("{s:s}", "consumerGroup", g->name),
	};

	for (struct member *m = g->members; m && f.ext; m = m->next)
		if (m->peer->channel.waiting < NOTICES_MAX)	/* else it hears of the last change by itself, later */
			(void)server_send(l->server, m->peer, &f);
	json_decref(f.ext);
}

void
frames_gone(void *arg, struct server_peer *p)
{
	struct loop *l = arg;

	traffic_gone(l->traffic, p);
	senders_gone(l->senders, p);
	calls_gone(l->calls, p);
	clients_gone(l->clients, p, notify_group, l);
}

void
frames_emptied(void *arg, const char *group)
{
	const struct loop *l = arg;

	traffic_left(l->traffic, group);
}

/* One group of a heartbeat.  *groups grows by those that the mount is to be asked for. */
static int
join(struct loop *l, struct server_peer *p, const struct remoting_frame *f, enum clients_side side,
     const char *id, json_t *data, json_t *groups)
{
	const char *name = frames_text(data, "groupName");
	struct client_group *g;
	bool news = false;
	int rc = clients_join(l->clients, side, name, id, p, f->language, f->version,
			      side == CLIENTS_CONSUMERS ? data : NULL, &news);

	if (rc != MQ_OK || side != CLIENTS_CONSUMERS)
		return rc;
	g = clients_group(l->clients, side, name);
	if (news)
		notify_group(l, g);
	if (g->made_ms && l->d.now_ms < g->made_ms + MAKE_AGAIN_MS)
		return MQ_OK;
	g->made_ms = l->d.now_ms;
	return json_object_set_new(groups, name, json_string(json_is_true(json_object_get(data, "unitMode")) ?
							     "unit" : "")) == 0 ? MQ_OK : -ENOMEM;
}

/* The mount is asked with these fields, which become f's, and without a body. */
static enum server_served
ask_with(struct remoting_frame *f, json_t *ext)
{
	json_decref(f->ext);
	f->ext = ext;
	f->body = NULL;
	f->body_len = 0;
	return SERVER_ASK_MOUNT;
}

/* Of groups that are new the mount hears: they and their retry topics are made. */
static enum server_served
heartbeat(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_t *root = frames_body(f), *groups = json_object(), *data;
	const char *id = frames_text(root, "clientID");
	size_t i;
	int rc = root && groups ? MQ_OK : err_note(-EINVAL, "the heartbeat is no object");
	bool ask;

	json_array_foreach(json_object_get(root, "producerDataSet"), i, data)
		if (rc == MQ_OK)
			rc = join(l, p, f, CLIENTS_PRODUCERS, id, data, groups);
	json_array_foreach(json_object_get(root, "consumerDataSet"), i, data)
		if (rc == MQ_OK)
			rc = join(l, p, f, CLIENTS_CONSUMERS, id, data, groups);
	json_decref(root);
	ask = rc == MQ_OK && json_object_size(groups) > 0;
	if (!ask) {
		json_decref(groups);
		return rc == MQ_OK ? frames_respond(l, p, f, NULL) : frames_refuse(l, p, f, ANSWER_SYSTEM_ERROR, err_text(rc));
	}
	return ask_with(f, groups);
}

static enum server_served
unregister(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const char *id = ext_get(f->ext, "clientID"), *producers = ext_get(f->ext, "producerGroup"),
		   *consumers = ext_get(f->ext, "consumerGroup");
	struct client_group *g;

	if (id && producers)
		clients_leave(l->clients, CLIENTS_PRODUCERS, producers, id, p);
	if (id && consumers && clients_leave(l->clients, CLIENTS_CONSUMERS, consumers, id, p) &&
	    (g = clients_group(l->clients, CLIENTS_CONSUMERS, consumers)))
		notify_group(l, g);
	return frames_respond(l, p, f, NULL);
}

/* --- queue locks ------------------------------------------------------------------------------------------------ */

/* Which of them files of the mount consume the mount knows; clients_answered() takes the others. */
static enum server_served
lock_queues(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_t *root = frames_body(f), *set = json_object_get(root, "mqSet"), *queue;
	const char *group = frames_text(root, "consumerGroup"), *client = frames_text(root, "clientId");
	AUTO_FREE char *lines = NULL;
	AUTO_FREE char *text = set ? json_dumps(set, JSON_COMPACT) : NULL;
	size_t i, len = 0;
	FILE *out = open_memstream(&lines, &len);

	json_array_foreach(set, i, queue)
		if (out)
			fprintf(out, "%s %lld\n", frames_text(queue, "topic"),
				(long long)json_integer_value(json_object_get(queue, "queueId")));
	if (!out || fclose(out) != 0 || !text || !*group || !*client) {
		json_decref(root);
		return frames_refuse(l, p, f, ANSWER_SYSTEM_ERROR, "no good body");
	}
	json_decref(f->ext);
	f->ext = json_pack("{s:s, s:s, s:s, s:s}", "consumerGroup", group, "clientId", client, "mqSet", text,
			   "mqfs.queues", lines);
	json_decref(root);
	f->body = NULL;
	f->body_len = 0;
	return f->ext ? SERVER_ASK_MOUNT : frames_refuse(l, p, f, ANSWER_SYSTEM_ERROR, "no good body");
}

static enum server_served
unlock_queues(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_t *root = frames_body(f), *queue;
	const char *group = frames_text(root, "consumerGroup"), *client = frames_text(root, "clientId");
	bool good = root && *group && *client;
	size_t i;

	json_array_foreach(good ? json_object_get(root, "mqSet") : NULL, i, queue)
		locks_drop(l->locks, group, frames_text(queue, "topic"),
			   json_integer_value(json_object_get(queue, "queueId")), client);
	json_decref(root);
	return good ? frames_respond(l, p, f, NULL) : frames_refuse(l, p, f, ANSWER_SYSTEM_ERROR, "no good body");
}

/* --- bodies that the mount does not parse ------------------------------------------------------------------------ */

/* The members of a group's object become ext fields: the mount, which writes the store, parses no JSON
 * of a client's. */
static enum server_served
group_set(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_t *root = frames_body(f), *ext = json_object(), *value;
	const char *name;

	json_object_foreach(root, name, value) {
		char number[24];

		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		if (json_is_string(value))
			json_object_set(ext, name, value);
		else if (json_is_integer(value))
			json_object_set_new(ext, name, json_string(number));
		else if (json_is_boolean(value))
			json_object_set_new(ext, name, json_string(json_is_true(value) ? "true" : "false"));
	}
	if (!root || !ext) {
		json_decref(ext);
		return frames_refuse(l, p, f, ANSWER_SYSTEM_ERROR, "the body is no group");
	}
	json_decref(root);
	return ask_with(f, ext);
}

/* Lines of KEY=VALUE, as of a Java properties file, become ext fields. */
static enum server_served
config_set(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	AUTO_FREE char *text = f->body ? strndup(f->body, f->body_len) : strdup("");
	json_t *ext = json_object();
	char *rest = text, *line;

	while (ext && (line = strsep(&rest, "\r\n"))) {
		char *value = strchr(line, '=');

		if (*line == '#' || *line == '!' || !value)
			continue;
		*value++ = '\0';
		json_object_set_new(ext, line, json_string(value));
	}
	if (!text || !ext) {
		json_decref(ext);
		return frames_refuse(l, p, f, ANSWER_SYSTEM_ERROR, "no memory");
	}
	return ask_with(f, ext);
}

/* Consumers commit without waiting for an answer.  Who wants one is a tool, and an offset that it
 * says is so, be it lower than before. */
static enum server_served
update_offset(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	(void)l, (void)p;
	frames_tell(f, "mqfs.explicit", f->flag & REMOTING_ONE_WAY ? NULL : "true");
	return SERVER_ASK_MOUNT;
}

/* --- messages ------------------------------------------------------------------------------------------------------- */

static enum server_served
send_message(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	return traffic_send(l->traffic, p, f);
}

static enum server_served
pull_message(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	return traffic_pull(l->traffic, p, f);
}

/* What an old client says of maxReconsumeTimes does not count. */
static enum server_served
send_back(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	(void)l, (void)p;
	if (f->version < REMOTING_V3_4_9)
		json_object_del(f->ext, "maxReconsumeTimes");
	return SERVER_ASK_MOUNT;
}

/* A producer that does not know yet gets no answer, as RocketMQ has it: it will be asked. */
static enum server_served
end_transaction(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const char *end = ext_get(f->ext, "commitOrRollback");

	if (!end || (strcmp(end, "8") != 0 && strcmp(end, "12") != 0))
		return SERVER_DONE;
	return traffic_end(l->traffic, p, f);
}

bool
frames_may_ask(void *arg, const struct server_peer *p)
{
	const struct loop *l = arg;

	return traffic_may_ask(l->traffic, p);
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

static enum server_served
ask_mount(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	(void)l, (void)p, (void)f;
	return SERVER_ASK_MOUNT;
}

static const struct {
	int code;
	enum server_served (*serve)(struct loop *l, struct server_peer *p, struct remoting_frame *f);
} rows[] = {
	{ REMOTING_SEND_MESSAGE_V2, send_message },
	{ REMOTING_SEND_MESSAGE, send_message },
	{ REMOTING_SEND_BATCH_MESSAGE, send_message },
	{ REMOTING_SEND_REPLY_MESSAGE, replies_serve },
	{ REMOTING_SEND_REPLY_MESSAGE_V2, replies_serve },
	{ REMOTING_PULL_MESSAGE, pull_message },
	{ REMOTING_HEART_BEAT, heartbeat },
	{ REMOTING_UNREGISTER_CLIENT, unregister },
	{ REMOTING_GET_CONSUMER_LIST_BY_GROUP, serve_consumer_list },
	{ REMOTING_GET_CONSUMER_CONNECTION_LIST, serve_connections },
	{ REMOTING_GET_PRODUCER_CONNECTION_LIST, serve_connections },
	{ REMOTING_GET_ALL_PRODUCER_INFO, serve_producers },
	{ REMOTING_GET_CONSUMER_RUNNING_INFO, serve_running_info },
	{ REMOTING_INVOKE_BROKER_TO_GET_CONSUMER_STATUS, serve_consumer_status },
	{ REMOTING_CHECK_CLIENT_CONFIG, serve_check_client },
	{ REMOTING_LOCK_BATCH_MQ, lock_queues },
	{ REMOTING_UNLOCK_BATCH_MQ, unlock_queues },
	{ REMOTING_CONSUMER_SEND_MSG_BACK, send_back },
	{ REMOTING_END_TRANSACTION, end_transaction },
	{ REMOTING_RESUME_CHECK_HALF_MESSAGE, ask_mount },
	{ REMOTING_QUERY_MESSAGE, ask_mount },
	{ REMOTING_UPDATE_AND_CREATE_ACL_CONFIG, ask_mount },
	{ REMOTING_DELETE_ACL_CONFIG, ask_mount },
	{ REMOTING_GET_BROKER_CLUSTER_ACL_INFO, ask_mount },
	{ REMOTING_UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, ask_mount },
	{ REMOTING_GET_BROKER_CLUSTER_ACL_CONFIG, ask_mount },
	{ REMOTING_QUERY_CONSUMER_OFFSET, ask_mount },
	{ REMOTING_UPDATE_CONSUMER_OFFSET, update_offset },
	{ REMOTING_UPDATE_AND_CREATE_TOPIC, ask_mount },
	{ REMOTING_GET_ALL_TOPIC_CONFIG, ask_mount },
	{ REMOTING_GET_TOPIC_CONFIG, ask_mount },
	{ REMOTING_GET_BROKER_CONFIG, ask_mount },
	{ REMOTING_GET_BROKER_RUNTIME_INFO, ask_mount },
	{ REMOTING_SEARCH_OFFSET_BY_TIMESTAMP, ask_mount },
	{ REMOTING_GET_MAX_OFFSET, ask_mount },
	{ REMOTING_GET_MIN_OFFSET, ask_mount },
	{ REMOTING_GET_EARLIEST_MSG_STORETIME, ask_mount },
	{ REMOTING_VIEW_MESSAGE_BY_ID, ask_mount },
	{ REMOTING_GET_ALL_CONSUMER_OFFSET, ask_mount },
	{ REMOTING_GET_ALL_DELAY_OFFSET, ask_mount },
	{ REMOTING_GET_ALL_SUBSCRIPTIONGROUP_CONFIG, ask_mount },
	{ REMOTING_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, group_set },
	{ REMOTING_GET_TOPIC_STATS_INFO, ask_mount },
	{ REMOTING_DELETE_SUBSCRIPTIONGROUP, ask_mount },
	{ REMOTING_GET_CONSUME_STATS, serve_with_topics },
	{ REMOTING_INVOKE_BROKER_TO_RESET_OFFSET, serve_reset },
	{ REMOTING_QUERY_TOPIC_CONSUME_BY_WHO, serve_with_groups },
	{ REMOTING_QUERY_CONSUME_TIME_SPAN, ask_mount },
	{ REMOTING_GET_SYSTEM_TOPIC_LIST_FROM_BROKER, ask_mount },
	{ REMOTING_CLEAN_EXPIRED_CONSUMEQUEUE, ask_mount },
	{ REMOTING_QUERY_CORRECTION_OFFSET, ask_mount },
	{ REMOTING_CONSUME_MESSAGE_DIRECTLY, ask_mount },
	{ REMOTING_CLONE_GROUP_OFFSET, serve_with_topics },
	{ REMOTING_VIEW_BROKER_STATS_DATA, ask_mount },
	{ REMOTING_CLEAN_UNUSED_TOPIC, ask_mount },
	{ REMOTING_GET_BROKER_CONSUME_STATS, ask_mount },
	{ REMOTING_QUERY_CONSUME_QUEUE, ask_mount },
	{ REMOTING_DELETE_EXPIRED_COMMITLOG, ask_mount },
	{ REMOTING_UPDATE_BROKER_CONFIG, config_set },
	{ REMOTING_DELETE_TOPIC_IN_BROKER, ask_mount },
	{ REMOTING_GET_TIMER_CHECK_POINT, ask_mount },
	{ REMOTING_GET_ALL_MESSAGE_REQUEST_MODE, ask_mount },
	{ REMOTING_HELLO, ask_mount },
	{ REMOTING_READ_LOG, ask_mount },
};

bool
frames_answered(void *arg, struct server_peer *p, int code, struct remoting_frame *f)
{
	return clients_answered(arg, p, code, f);
}

/* --- who may ------------------------------------------------------------------------------------------------------- */

/* What the mount judges with its signature, in the rings. */
static bool
is_message(const struct loop *l, int code)
{
	if (code == REMOTING_SEND_REPLY_MESSAGE || code == REMOTING_SEND_REPLY_MESSAGE_V2)
		return traffic_says(l->traffic)->store_replies;
	return code == REMOTING_SEND_MESSAGE_V2 || code == REMOTING_SEND_MESSAGE || code == REMOTING_SEND_BATCH_MESSAGE ||
	       code == REMOTING_PULL_MESSAGE || code == REMOTING_END_TRANSACTION;
}

/* mqfs.wants: the topics of a heartbeat's subscriptions, and the retry topics of its groups, each with a
 * comma: the mount parses no JSON. */
static void
tell_wants(struct remoting_frame *f)
{
	json_t *root = frames_body(f), *data, *sub;
	char *text = NULL;
	size_t i, k, len = 0;
	FILE *out = open_memstream(&text, &len);

	json_array_foreach(json_object_get(root, "consumerDataSet"), i, data) {
		if (out)
			fprintf(out, "%%RETRY%%%s,", frames_text(data, "groupName"));
		json_array_foreach(json_object_get(data, "subscriptionDataSet"), k, sub)
			if (out)
				fprintf(out, "%s,", frames_text(sub, "topic"));
	}
	json_decref(root);
	if (out && fclose(out) == 0)
		frames_tell(f, "mqfs.wants", text);
	free(text);
}

static enum server_served
ask_first(struct remoting_frame *f)
{
	frames_tell(f, "mqfs.wants", NULL);
	if (f->code == REMOTING_HEART_BEAT)
		tell_wants(f);
	return SERVER_ASK_FIRST;
}

bool
frames_have_values(int code)
{
	return code == REMOTING_HELLO;
}

static enum server_served
serve_row(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	char remark[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == f->code)
			return rows[i].serve(l, p, f);
	snprintf(remark, sizeof(remark), " request type %d not supported", (int)f->code);
	return frames_refuse(l, p, f, ANSWER_REQUEST_CODE_NOT_SUPPORTED, remark);
}

enum server_served
frames_serve(void *arg, struct server_peer *p, struct remoting_frame *f)
{
	struct loop *l = arg;

	if (f->flag & REMOTING_RESPONSE) {
		calls_hear(l->calls, p, f);
		return SERVER_DONE;
	}
	if (l->d.config.acl && !is_message(l, f->code) && !remoting_is_of_slave(f->code, f->ext))
		return ask_first(f);
	return serve_row(l, p, f);
}

enum server_served
frames_allowed(void *arg, struct server_peer *p, struct remoting_frame *f, const char *ticket)
{
	enum server_served served = serve_row(arg, p, f);

	if (served == SERVER_ASK_MOUNT)
		frames_tell(f, "mqfs.ticket", ticket);
	return served;
}

/* --- what the mount asks ------------------------------------------------------------------------------------------- */

/* A word of a line: what is none of its characters is a question mark. */
static void
put_word(FILE *out, const char *word)
{
	for (; *word; word++)
		fputc((unsigned char)*word > ' ' && *word != 0x7f ? *word : '?', out);
}

/* A line for each of a group's members. */
static char *
lines_of(const struct client_group *g, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);
	json_t *sub;
	size_t i;

	for (const struct member *m = g->members; m && out; m = m->next) {
		put_word(out, m->id);
		fprintf(out, " %s %s/%d", m->peer->address, frames_language(m->language), (int)m->version);
		json_array_foreach(json_object_get(g->says, "subscriptionDataSet"), i, sub) {
			fputc(' ', out);
			put_word(out, frames_text(sub, "topic"));
			fputc('=', out);
			put_word(out, frames_text(sub, "subString"));
		}
		fputc('\n', out);
	}
	if (out && fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

struct producers {
	FILE *out;
	const struct clients *clients;
};

/* A line for a connection that sends to a topic. */
static void
put_producer(void *arg, struct server_peer *p, const char *group)
{
	const struct producers *list = arg;
	const struct client_group *g = clients_group(list->clients, CLIENTS_PRODUCERS, group);
	const struct member *m = p->data;

	while (m && m->group != g)
		m = m->next_of_peer;
	put_word(list->out, m ? m->id : "-");
	if (m)
		fprintf(list->out, " %s %s/%d ", p->address, frames_language(m->language), (int)m->version);
	else
		fprintf(list->out, " %s - ", p->address);
	put_word(list->out, *group ? group : "-");
	fputc('\n', list->out);
}

/* A line for each that sends to the topic. */
static char *
producers_of(const struct loop *l, const char *topic, size_t *ret_len)
{
	char *text = NULL;
	struct producers list = { open_memstream(&text, ret_len), l->clients };

	if (list.out)
		senders_each(l->senders, topic, put_producer, &list);
	if (list.out && fclose(list.out) == 0)
		return text;
	free(text);
	return NULL;
}

static void
put_count(void *arg, const struct client_group *g)
{
	FILE *out = arg;
	int n = 0;

	for (const struct member *m = g->members; m; m = m->next)
		n++;
	put_word(out, g->name);
	fprintf(out, " %d\n", n);
}

/* A line for each group of consumers: how many are in it. */
static char *
counts_of(const struct clients *c, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (out)
		clients_each(c, CLIENTS_CONSUMERS, put_count, out);
	if (out && fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static void
answer_mount(struct loop *l, uint64_t id, int code, const char *remark, const char *body, size_t len)
{
	struct link_message msg = { .kind = LINK_RESPONSE, .id = id, .code = code };
	int blob_fd = -1;

	snprintf(msg.text, sizeof(msg.text), "%s", remark);
	if (blob_make(&msg, NULL, body, len, &blob_fd) != MQ_OK)
		msg.code = ANSWER_SYSTEM_ERROR;
	if (!outbox_put_blob(&l->d.out, &msg, blob_fd, 0) && blob_fd >= 0)
		close(blob_fd);		/* the mount watches the time */
}

static void
left_name_servers(void *arg, uint64_t id)
{
	answer_mount(arg, id, ANSWER_SUCCESS, "", NULL, 0);
}

/* A producer of the group is asked what became of its half, which is the body; another one each
 * time.  False: nobody of the group takes it now. */
static bool
ask_producer(struct loop *l, json_t *ext, char *body, size_t len)
{
	const char *name = ext_get(ext, "producerGroup");
	const struct client_group *g = name ? clients_group(l->clients, CLIENTS_PRODUCERS, name) : NULL;
	const struct member *m = g ? clients_next(l->clients, g, NOTICES_MAX) : NULL;
	struct remoting_frame f = {
		.code = REMOTING_CHECK_TRANSACTION_STATE, .flag = REMOTING_ONE_WAY,
		.language = REMOTING_JAVA, .version = REMOTING_VERSION, .ext = ext, .body = body, .body_len = len,
	};

	if (!m)
		return false;
	json_object_del(ext, "producerGroup");
	return server_send(l->server, m->peer, &f) == MQ_OK;
}

void
frames_mount_asks(struct loop *l, const struct link_message *msg, int blob_fd)
{
	AUTO_FREE char *body = NULL;
	AUTO_FREE char *lines = NULL;
	json_t *ext = NULL;
	size_t len = 0, lines_len = 0;
	const struct client_group *g = NULL;
	const char *name;
	int rc = blob_read(blob_fd, msg, &ext, &body, &len), code = ANSWER_SUCCESS;

	if (rc == MQ_OK && msg->code == REMOTING_UNREGISTER_BROKER) {
		namesrv_leave(l->namesrv, left_name_servers, l, msg->id);
		json_decref(ext);
		return;
	}
	name = ext_get(ext, "consumerGroup");
	if (rc == MQ_OK && msg->code == REMOTING_REGISTER_BROKER)
		rc = namesrv_register(l->namesrv, ext, body ? body : "", len);
	else if (rc == MQ_OK && msg->code == REMOTING_GET_CONSUMER_CONNECTION_LIST && name)
		g = clients_group(l->clients, CLIENTS_CONSUMERS, name);
	else if (rc == MQ_OK && msg->code == REMOTING_GET_CONSUMER_CONNECTION_LIST)
		lines = counts_of(l->clients, &lines_len);
	else if (rc == MQ_OK && msg->code == REMOTING_GET_PRODUCER_CONNECTION_LIST && ext_get(ext, "topic"))
		lines = producers_of(l, ext_get(ext, "topic"), &lines_len);
	else if (rc == MQ_OK && msg->code == REMOTING_CHECK_TRANSACTION_STATE)
		code = ask_producer(l, ext, body, len) ? ANSWER_SUCCESS : ANSWER_CONSUMER_NOT_ONLINE;
	else if (rc == MQ_OK)
		code = ANSWER_REQUEST_CODE_NOT_SUPPORTED;
	if (g)
		lines = lines_of(g, &lines_len);
	answer_mount(l, msg->id, rc == MQ_OK ? code : ANSWER_SYSTEM_ERROR, rc == MQ_OK ? "" : err_text(rc), lines,
		     lines_len);
	json_decref(ext);
}
