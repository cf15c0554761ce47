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
#include "offsets/meta.h"
#include "remoting/calls.h"
#include "remoting/codes.h"
#include "remoting/frames_priv.h"
#include "remoting/replies.h"

#define HEARTBEAT_MAX (256 << 10)	/* bytes of a body that is parsed here */
#define MAKE_AGAIN_MS 25000		/* the mount is asked for a group again at the next heartbeat but one */

/* --- answers -------------------------------------------------------------------------------------- */

enum server_served
frames_respond(struct server_peer *p, const struct remoting_frame *to, json_t *body)
{
	AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct remoting_frame f = remoting_response(to, ANSWER_SUCCESS);

	json_decref(body);
	f.body = text;
	f.body_len = text ? strlen(text) : 0;
	if (!(to->flag & REMOTING_ONE_WAY))
		(void)server_send(p, &f);
	return SERVER_DONE;
}

enum server_served
frames_refuse(struct server_peer *p, const struct remoting_frame *to, int code, const char *remark)
{
	server_refuse(p, to, code, remark);
	return SERVER_DONE;
}

enum server_served
frames_pass_with(struct remoting_frame *f, json_t *ext)
{
	json_decref(f->ext);
	f->ext = ext;
	f->body = NULL;
	f->body_len = 0;
	return SERVER_ASK_MOUNT;
}

enum server_served
frames_pass(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	(void)l, (void)p, (void)f;
	return SERVER_ASK_MOUNT;
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

/* --- members of groups -------------------------------------------------------------------------------- */

/* Each member asks anew for the list of members, and takes its share of the queues. */
static void
notify_group(void *arg, struct client_group *g)
{
	json_auto_t *ext = json_pack("{s:s}", "consumerGroup", g->name);
	struct remoting_frame f = remoting_one_way(REMOTING_NOTIFY_CONSUMER_IDS_CHANGED);

	(void)arg;
	f.ext = ext;
	for (struct member *m = g->members; m && ext; m = m->next)
		if (m->peer->channel.waiting < FRAMES_WAITING_MAX)	/* clients also ask from time to time */
			(void)server_send(m->peer, &f);
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

/* One group of a heartbeat.  The mount is asked to make those in *groups. */
static int
join(struct loop *l, struct server_peer *p, const struct remoting_frame *f, enum clients_side side,
     const char *id, json_t *data, json_t *groups)
{
	const char *name = ext_text(data, "groupName");
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

/* The mount makes new groups and their retry topics. */
enum server_served
frames_heartbeat(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_auto_t *root = frames_body(f);
	json_auto_t *groups = json_object();
	const char *id = ext_text(root, "clientID");
	json_t *data;
	size_t i;
	int rc = root && groups ? MQ_OK : err_note(-EINVAL, "the heartbeat is no object");

	json_array_foreach(json_object_get(root, "producerDataSet"), i, data)
		if (rc == MQ_OK)
			rc = join(l, p, f, CLIENTS_PRODUCERS, id, data, groups);
	json_array_foreach(json_object_get(root, "consumerDataSet"), i, data)
		if (rc == MQ_OK)
			rc = join(l, p, f, CLIENTS_CONSUMERS, id, data, groups);
	if (rc != MQ_OK)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, err_text(rc));
	if (json_object_size(groups) == 0)
		return frames_respond(p, f, NULL);
	return frames_pass_with(f, json_incref(groups));
}

enum server_served
frames_unregister(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const char *id = ext_get(f->ext, "clientID"), *producers = ext_get(f->ext, "producerGroup"),
		   *consumers = ext_get(f->ext, "consumerGroup");
	struct client_group *g;

	if (id && producers)
		clients_leave(l->clients, CLIENTS_PRODUCERS, producers, id, p);
	if (id && consumers && clients_leave(l->clients, CLIENTS_CONSUMERS, consumers, id, p) &&
	    (g = clients_group(l->clients, CLIENTS_CONSUMERS, consumers)))
		notify_group(l, g);
	return frames_respond(p, f, NULL);
}

/* --- queue locks ------------------------------------------------------------------------------------------------ */

/* The mount says which queues its files consume; frames_answered() locks the others. */
enum server_served
frames_lock(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_auto_t *root = frames_body(f);
	json_t *set = json_object_get(root, "mqSet"), *queue, *ext = NULL;
	const char *group = ext_text(root, "consumerGroup"), *client = ext_text(root, "clientId");
	AUTO_FREE char *lines = NULL;
	AUTO_FREE char *text = set ? json_dumps(set, JSON_COMPACT) : NULL;
	size_t i, len = 0;
	FILE *out = open_memstream(&lines, &len);

	(void)l;
	json_array_foreach(set, i, queue)
		if (out)
			fprintf(out, "%s %lld\n", ext_text(queue, "topic"),
				(long long)json_integer_value(json_object_get(queue, "queueId")));
	if (out && fclose(out) == 0 && text && *group && *client)
		ext = json_pack("{s:s, s:s, s:s, s:s}", "consumerGroup", group, "clientId", client, "mqSet", text,
				"mqfs.queues", lines);
	return ext ? frames_pass_with(f, ext) : frames_refuse(p, f, ANSWER_SYSTEM_ERROR, "no good body");
}

enum server_served
frames_unlock(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_auto_t *root = frames_body(f);
	const char *group = ext_text(root, "consumerGroup"), *client = ext_text(root, "clientId");
	json_t *queue;
	size_t i;

	if (!*group || !*client)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, "no good body");
	json_array_foreach(json_object_get(root, "mqSet"), i, queue)
		locks_drop(l->locks, group, ext_text(queue, "topic"),
			   json_integer_value(json_object_get(queue, "queueId")), client);
	return frames_respond(p, f, NULL);
}

/* --- bodies that the mount does not parse ------------------------------------------------------------------------ */

/* The members of a group's object become ext fields. */
enum server_served
frames_group_set(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	json_auto_t *root = frames_body(f);
	json_t *ext = json_object(), *value;
	const char *name;

	(void)l;
	json_object_foreach(root, name, value) {
		if (json_is_string(value))
			json_object_set(ext, name, value);
		else if (json_is_integer(value))
			ext_print(ext, name, "%lld", (long long)json_integer_value(value));
		else if (json_is_boolean(value))
			ext_print(ext, name, "%s", json_is_true(value) ? "true" : "false");
	}
	if (root && ext)
		return frames_pass_with(f, ext);
	json_decref(ext);
	return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, "the body is no group");
}

/* Lines of KEY=VALUE, as of a Java properties file, become ext fields. */
enum server_served
frames_config_set(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	AUTO_FREE char *text = f->body ? strndup(f->body, f->body_len) : strdup("");
	json_t *ext = text ? json_object() : NULL;
	char *rest = text, *line;

	(void)l;
	if (!ext)
		return frames_refuse(p, f, ANSWER_SYSTEM_ERROR, "no memory");
	while ((line = strsep(&rest, "\r\n"))) {
		char *value = strchr(line, '=');

		if (*line == '#' || *line == '!' || !value)
			continue;
		*value++ = '\0';
		json_object_set_new(ext, line, json_string(value));
	}
	return frames_pass_with(f, ext);
}

/* A consumer commits without waiting for an answer.  A tool waits for one: its offset is set, even if
 * it is lower than before. */
enum server_served
frames_update_offset(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	(void)l, (void)p;
	frames_tell(f, "mqfs.explicit", f->flag & REMOTING_ONE_WAY ? NULL : "true");
	return SERVER_ASK_MOUNT;
}

/* The maxReconsumeTimes of an old client does not count. */
enum server_served
frames_send_back(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	(void)l, (void)p;
	if (f->version < REMOTING_V3_4_9)
		json_object_del(f->ext, "maxReconsumeTimes");
	return SERVER_ASK_MOUNT;
}

/* A producer that says neither commit (8) nor rollback (12) gets no answer, as in RocketMQ: it will
 * be asked. */
enum server_served
frames_end_transaction(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	const char *end = ext_get(f->ext, "commitOrRollback");

	if (!end || (strcmp(end, "8") != 0 && strcmp(end, "12") != 0))
		return SERVER_DONE;
	return traffic_serve(l, p, f);
}

bool
frames_may_ask(void *arg, const struct server_peer *p)
{
	const struct loop *l = arg;

	return traffic_may_ask(l->traffic, p);
}

/* --- access control ------------------------------------------------------------------------------------------------- */

/* Is it judged by the mount with its signature, in the rings? */
static bool
is_message(const struct loop *l, int code)
{
	if (code == REMOTING_SEND_REPLY_MESSAGE || code == REMOTING_SEND_REPLY_MESSAGE_V2)
		return traffic_values(l->traffic)->store_replies;
	return code == REMOTING_SEND_MESSAGE_V2 || code == REMOTING_SEND_MESSAGE || code == REMOTING_SEND_BATCH_MESSAGE ||
	       code == REMOTING_PULL_MESSAGE || code == REMOTING_END_TRANSACTION;
}

/* mqfs.wants: the topics of a heartbeat's subscriptions, and the retry topics of its groups, each with a
 * comma: the mount parses no JSON. */
static void
tell_wants(struct remoting_frame *f)
{
	json_auto_t *root = frames_body(f);
	AUTO_FREE char *text = NULL;
	json_t *data, *sub;
	size_t i, k, len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	json_array_foreach(json_object_get(root, "consumerDataSet"), i, data) {
		fprintf(out, "%s%s,", RETRY_PREFIX, ext_text(data, "groupName"));
		json_array_foreach(json_object_get(data, "subscriptionDataSet"), k, sub)
			fprintf(out, "%s,", ext_text(sub, "topic"));
	}
	if (fclose(out) == 0)
		frames_tell(f, "mqfs.wants", text);
}

bool
frames_have_values(int code)
{
	return code == REMOTING_HELLO;
}

static enum server_served
serve(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	char remark[64];

	switch (f->code) {
#define REQUEST(name, number, in_mqremoted, in_mount) case number: return in_mqremoted(l, p, f);
#include "remoting/requests.def"
	}
	snprintf(remark, sizeof(remark), " request type %d not supported", (int)f->code);
	return frames_refuse(p, f, ANSWER_REQUEST_CODE_NOT_SUPPORTED, remark);
}

enum server_served
frames_serve(void *arg, struct server_peer *p, struct remoting_frame *f)
{
	struct loop *l = arg;

	if (f->flag & REMOTING_RESPONSE) {
		calls_on_response(l->calls, p, f);
		return SERVER_DONE;
	}
	if (!l->d.config.acl || is_message(l, f->code) || remoting_is_of_slave(f->code, f->ext))
		return serve(l, p, f);
	frames_tell(f, "mqfs.wants", NULL);
	if (f->code == REMOTING_HEART_BEAT)
		tell_wants(f);
	return SERVER_ASK_FIRST;
}

enum server_served
frames_allowed(void *arg, struct server_peer *p, struct remoting_frame *f, const char *ticket)
{
	enum server_served served = serve(arg, p, f);

	if (served == SERVER_ASK_MOUNT)
		frames_tell(f, "mqfs.ticket", ticket);
	return served;
}

/* --- requests of the mount ------------------------------------------------------------------------------------------ */

/* A word of a line: other characters become question marks. */
static void
put_word(FILE *out, const char *word)
{
	for (; *word; word++)
		fputc((unsigned char)*word > ' ' && *word != 0x7f ? *word : '?', out);
}

static void
put_member(FILE *out, const struct member *m)
{
	put_word(out, m->id);
	fprintf(out, " %s %s/%d", m->peer->address, remoting_language(m->language), (int)m->version);
}

/* A line for each member of a group of consumers. */
static void
put_members(FILE *out, const struct client_group *g)
{
	json_t *sub;
	size_t i;

	for (const struct member *m = g ? g->members : NULL; m; m = m->next) {
		put_member(out, m);
		json_array_foreach(json_object_get(g->data, "subscriptionDataSet"), i, sub) {
			fputc(' ', out);
			put_word(out, ext_text(sub, "topic"));
			fputc('=', out);
			put_word(out, ext_text(sub, "subString"));
		}
		fputc('\n', out);
	}
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
	const struct member *m = clients_member_at(g, p);

	if (m)
		put_member(list->out, m);
	else
		fprintf(list->out, "- %s -", p->address);
	fputc(' ', list->out);
	put_word(list->out, *group ? group : "-");
	fputc('\n', list->out);
}

/* A line for a group of consumers, with the number of its members. */
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

/* The lines of SERVICE_CONSUMERS and SERVICE_PRODUCERS: see service.h. */
static void
put_clients(struct loop *l, int code, const json_t *ext, FILE *out)
{
	const char *group = ext_get(ext, "consumerGroup");

	if (code == REMOTING_GET_PRODUCER_CONNECTION_LIST)
		senders_each(l->senders, ext_text(ext, "topic"), put_producer, &(struct producers){ out, l->clients });
	else if (group)
		put_members(out, clients_group(l->clients, CLIENTS_CONSUMERS, group));
	else
		clients_each(l->clients, CLIENTS_CONSUMERS, put_count, out);
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

/* Ask a producer of the group, another one each time, for the outcome of its half, which is the body.
 * False: none can be asked now. */
static bool
ask_producer(struct loop *l, json_t *ext, const char *body, size_t len)
{
	const struct client_group *g = clients_group(l->clients, CLIENTS_PRODUCERS, ext_text(ext, "producerGroup"));
	const struct member *m = g ? clients_next(l->clients, g, FRAMES_WAITING_MAX) : NULL;
	struct remoting_frame f = remoting_one_way(REMOTING_CHECK_TRANSACTION_STATE);

	if (!m)
		return false;
	json_object_del(ext, "producerGroup");
	f.ext = ext;
	f.body = body;
	f.body_len = len;
	return server_send(m->peer, &f) == MQ_OK;
}

void
frames_mount_asks(struct loop *l, const struct link_message *msg, int blob_fd)
{
	AUTO_FREE char *body = NULL;
	AUTO_FREE char *lines = NULL;
	json_auto_t *ext = NULL;
	size_t len = 0, lines_len = 0;
	FILE *out;
	int rc = blob_read(blob_fd, msg, &ext, &body, &len), code = ANSWER_SUCCESS;

	switch (rc == MQ_OK ? msg->code : 0) {
	case 0:
		break;
	case REMOTING_UNREGISTER_BROKER:
		namesrv_leave(l->namesrv, left_name_servers, l, msg->id);
		return;
	case REMOTING_REGISTER_BROKER:
		rc = namesrv_register(l->namesrv, ext, body ? body : "", len);
		break;
	case REMOTING_CHECK_TRANSACTION_STATE:
		code = ask_producer(l, ext, body, len) ? ANSWER_SUCCESS : ANSWER_CONSUMER_NOT_ONLINE;
		break;
	case REMOTING_GET_CONSUMER_CONNECTION_LIST:
	case REMOTING_GET_PRODUCER_CONNECTION_LIST:
		out = open_memstream(&lines, &lines_len);
		if (out)
			put_clients(l, msg->code, ext, out);
		if (!out || fclose(out) != 0)
			rc = -ENOMEM;
		break;
	default:
		code = ANSWER_REQUEST_CODE_NOT_SUPPORTED;
	}
	if (rc == MQ_OK)
		answer_mount(l, msg->id, code, "", lines, lines_len);
	else
		answer_mount(l, msg->id, ANSWER_SYSTEM_ERROR, err_text(rc), NULL, 0);
}
