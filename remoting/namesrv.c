#include "config.h"

#include <errno.h>
#include <libdeflate.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "net/channel.h"
#include "net/dial.h"
#include "net/request.h"
#include "offsets/meta.h"
#include "remoting/codes.h"
#include "remoting/namesrv.h"

#define PERIOD_LEAST_MS 10000		/* RocketMQ's bounds of registerNameServerPeriod */
#define PERIOD_MOST_MS 60000
#define RETRY_FIRST_MS 500		/* after a failed connection, doubled each time */
#define RETRY_LAST_MS 10000
#define LEAVE_MS 2500			/* that a name server may take to unregister this broker */
#define ADDRESS_BYTES 256
#define PERM_ALL 6			/* read and write */
#define COMPRESSION_LEVEL 9

enum asked {
	ASKED_NOTHING,
	ASKED_VERSION,			/* QUERY_DATA_VERSION */
	ASKED_REGISTER,
	ASKED_UNREGISTER,
};

struct name_server {
	struct channel channel;		/* first */
	struct dial dial;
	struct namesrv *of;
	char address[ADDRESS_BYTES], host[ADDRESS_BYTES];
	struct resolve_answer numeric;
	int names_fd;
	enum asked asked;
	int32_t opaque;			/* of what was asked last */
	int64_t until_ms;		/* it may take to answer */
	bool changed;			/* it has not been told of the newest registration */
	int64_t due_ms;			/* when to register again */
	int64_t retry_ms, pause_ms;	/* when to connect again; the pause before that */
	bool left;			/* it has unregistered this broker, or is not waited for */
	bool told;			/* a failure was logged */
};

struct namesrv {
	struct daemon *d;
	struct name_server servers[NAMESRV_MAX];
	size_t n;
	json_t *ext;			/* the registration; NULL: not known yet */
	char *body, *version;
	size_t body_len;
	char master[LINK_TEXT_BYTES];	/* that the mount was told of */

	void (*done)(void *arg, uint64_t id);	/* not NULL: leaving */
	void *arg;
	uint64_t id;
	int64_t leave_ms;
};

static bool
is_connected(const struct name_server *s)
{
	return s->channel.watch.fd >= 0;
}

/* --- requests ------------------------------------------------------------------------------- */

static void
ask(struct name_server *s, enum asked asked, int code, json_t *ext, const char *body, size_t body_len)
{
	struct remoting_frame f = {
		.code = code, .opaque = ++s->opaque, .language = REMOTING_OTHER, .version = REMOTING_VERSION,
		.ext = ext, .body = body, .body_len = body_len,
	};
	struct daemon *d = s->of->d;
	int rc = channel_send(&s->channel, &f);

	if (rc != MQ_OK)
		outbox_say(&d->out, LOG_WARNING, "name server %s: %s", s->address, err_text(rc));
	s->asked = asked;
	s->until_ms = d->now_ms + (d->config.register_timeout_ms > 0 ? d->config.register_timeout_ms : 1);
}

/* Send the registration, with its checksum. */
static void
register_at(struct name_server *s)
{
	struct namesrv *n = s->of;
	json_auto_t *ext = json_copy(n->ext);

	if (ext_print(ext, "bodyCrc32", "%u", libdeflate_crc32(0, n->body, n->body_len) & 0x7fffffff) == MQ_OK &&
	    ext_print(ext, "compressed", "%s", n->d->config.register_compressed ? "true" : "false") == MQ_OK)
		ask(s, ASKED_REGISTER, REMOTING_REGISTER_BROKER, ext, n->body, n->body_len);
	s->changed = false;
}

static int64_t
period_ms(const struct namesrv *n)
{
	int64_t ms = n->d->config.register_ms;

	return ms < PERIOD_LEAST_MS ? PERIOD_LEAST_MS : ms > PERIOD_MOST_MS ? PERIOD_MOST_MS : ms;
}

/* --- responses -------------------------------------------------------------------------------- */

/* The response tells a slave the addresses of its master. */
static void
hear_master(struct namesrv *n, const json_t *ext)
{
	const char *ha = ext_get(ext, "haServerAddr"), *remoting = ext_get(ext, "masterAddr");
	struct link_message msg = { .kind = LINK_MASTER };

	if (!ha || !remoting || !*ha || !*remoting || strchr(ha, ' ') ||
	    (size_t)snprintf(msg.text, sizeof(msg.text), "%s %s", ha, remoting) >= sizeof(msg.text))
		return;
	if (strcmp(msg.text, n->master) != 0 && outbox_put(&n->d->out, &msg, 0))
		memcpy(n->master, msg.text, sizeof(n->master));
}

static void
on_answer(struct name_server *s, const struct remoting_frame *f)
{
	enum asked asked = s->asked;
	const char *changed = ext_get(f->ext, "changed");

	s->asked = ASKED_NOTHING;
	if (asked == ASKED_VERSION && (f->code != ANSWER_SUCCESS || !changed || strcmp(changed, "false") != 0))
		register_at(s);
	if (asked == ASKED_UNREGISTER)
		s->left = true;
	if (asked != ASKED_REGISTER)
		return;
	if (f->code == ANSWER_SUCCESS)
		hear_master(s->of, f->ext);
	else
		outbox_say(&s->of->d->out, LOG_WARNING, "name server %s does not register this broker: code %d, %s",
			   s->address, (int)f->code, f->remark ? f->remark : "no remark");
}

/* --- the connection -------------------------------------------------------------------------------- */

/* The connection has ended: connect again later, and register, because the name server has forgotten
 * this broker. */
static void
disconnected(struct name_server *s, const char *why)
{
	struct namesrv *n = s->of;

	channel_close(&s->channel);
	s->asked = ASKED_NOTHING;
	s->changed = true;
	s->pause_ms = s->pause_ms == 0 ? RETRY_FIRST_MS : 2 * s->pause_ms;
	if (s->pause_ms > RETRY_LAST_MS)
		s->pause_ms = RETRY_LAST_MS;
	s->retry_ms = n->d->now_ms + s->pause_ms;
	if (!s->told)
		outbox_say(&n->d->out, LOG_WARNING, "name server %s: %s", s->address, why);
	s->told = true;
}

static void
receive(struct name_server *s)
{
	struct remoting_frame f;

	while (channel_receive(&s->channel, &f) == MQ_OK) {
		if (f.flag & REMOTING_RESPONSE && f.opaque == s->opaque && s->asked != ASKED_NOTHING)
			on_answer(s, &f);
		if (s->told && s->asked == ASKED_NOTHING)
			outbox_say(&s->of->d->out, LOG_NOTICE, "name server %s is back", s->address);
		s->told = false;
		s->pause_ms = 0;
		remoting_frame_clear(&f);
	}
}

static void
ready(struct watch *w, uint32_t events)
{
	struct name_server *s = (struct name_server *)w;

	if (w->fd < 0)
		return;
	channel_ready(&s->channel, events);
	receive(s);
	if (s->channel.rc != MQ_OK)
		disconnected(s, s->channel.why);
}

static void
dialed(struct dial *dial, int rc, int fd)
{
	struct name_server *s = (struct name_server *)((char *)dial - offsetof(struct name_server, dial));

	if (rc == MQ_OK) {
		s->channel = (struct channel){
			.watch.ready = ready, .d = s->of->d, .allowed = REMOTING_FRAME_MAX, .plain = true,
		};
		rc = channel_open(&s->channel, fd, s->host);
	}
	if (rc != MQ_OK)
		disconnected(s, err_text(rc));
}

/* --- time ------------------------------------------------------------------------------------------ */

static void
ask_if_due(struct name_server *s)
{
	struct namesrv *n = s->of;

	if (n->done && !s->left && s->asked != ASKED_UNREGISTER)
		ask(s, ASKED_UNREGISTER, REMOTING_UNREGISTER_BROKER, n->ext, NULL, 0);
	if (n->done || s->asked != ASKED_NOTHING || (!s->changed && n->d->now_ms < s->due_ms))
		return;
	s->due_ms = n->d->now_ms + period_ms(n);
	if (s->changed || n->d->config.register_always)
		register_at(s);
	else
		ask(s, ASKED_VERSION, REMOTING_QUERY_DATA_VERSION, n->ext, n->version, strlen(n->version));
}

static int64_t
server_turn(struct name_server *s)
{
	struct namesrv *n = s->of;
	int64_t next = dial_tick(&s->dial);

	if (!n->ext)
		return next;
	if (!is_connected(s)) {
		if (n->done)
			s->left = true;
		else if (s->dial.phase == DIAL_RESTING && n->d->now_ms >= s->retry_ms)
			dial_start(&s->dial);
		return s->dial.phase == DIAL_RESTING && !n->done ? earlier(next, s->retry_ms) :
		       earlier(next, dial_tick(&s->dial));
	}
	if (s->asked != ASKED_NOTHING && n->d->now_ms >= s->until_ms) {
		disconnected(s, "does not answer");
		return n->d->now_ms;
	}
	ask_if_due(s);
	if (channel_pending(&s->channel))
		receive(s);
	next = earlier(next, channel_tick(&s->channel));
	if (s->channel.rc != MQ_OK) {
		disconnected(s, s->channel.why);
		return n->d->now_ms;
	}
	return earlier(next, s->asked != ASKED_NOTHING ? s->until_ms : s->due_ms);
}

int64_t
namesrv_tick(struct namesrv *n)
{
	int64_t next = 0;
	bool left = true;

	for (size_t i = 0; i < n->n; i++) {
		next = earlier(next, server_turn(&n->servers[i]));
		left = left && n->servers[i].left;
	}
	if (n->done && (left || n->d->now_ms >= n->leave_ms)) {
		void (*done)(void *arg, uint64_t id) = n->done;

		n->done = NULL;
		n->n = 0;		/* connections end with the process */
		done(n->arg, n->id);
		return 0;
	}
	return n->done ? earlier(next, n->leave_ms) : next;
}

/* --- registering ------------------------------------------------------------------------------------- */

/* brokerPermission restricts the permissions of all topics. */
static void
restrict_topics(json_t *topics, int64_t perm)
{
	const char *name;
	json_t *topic;

	if ((perm & PERM_ALL) == PERM_ALL)
		return;
	json_object_foreach(topics, name, topic)
		json_object_set_new(topic, "perm", json_integer((json_int_t)perm));
}

static void
add_topic(json_t *topics, const char *name, int64_t queues, int perm)
{
	json_object_set_new(topics, name,
			    json_pack("{s:b, s:i, s:I, s:s, s:s, s:i, s:I}", "order", 0, "perm", perm,
				      "readQueueNums", (json_int_t)queues, "topicFilterType", "SINGLE_TAG",
				      "topicName", name, "topicSysFlag", 0, "writeQueueNums", (json_int_t)queues));
}

/* Tools find a group by the route of its retry topic, which a group that has only ever been
 * consumed by files does not have. */
static void
add_retry_topics(json_t *topics, json_t *groups)
{
	const char *name;
	char retry[300];
	json_t *group;

	json_object_foreach(json_object_get(groups, "subscriptionGroupTable"), name, group) {
		int64_t queues = json_integer_value(json_object_get(group, "retryQueueNums"));

		if ((size_t)snprintf(retry, sizeof(retry), "%s%s", RETRY_PREFIX, name) < sizeof(retry) && queues > 0 &&
		    !json_object_get(topics, retry))
			add_topic(topics, retry, queues, PERM_ALL);
	}
}

/* A name server takes topics only if their version differs from the one that it has.  The version is
 * computed from the topics: the same topics have the same version, other topics another. */
static int
set_version(json_t *wrapper, json_t *topics)
{
	AUTO_FREE char *text = json_dumps(topics, JSON_COMPACT | JSON_SORT_KEYS);
	json_t *version = json_object_get(wrapper, "dataVersion");

	if (!version) {			/* there was no change yet */
		version = json_pack("{s:i}", "timestamp", 0);
		json_object_set_new(wrapper, "dataVersion", version);
	}
	return text && json_object_set_new(version, "counter",
					   json_integer(libdeflate_crc32(0, text, strlen(text)))) == 0 ?
		       MQ_OK : -ENOMEM;
}

static void
put_number(FILE *out, size_t number)
{
	char bytes[4];

	be32_put(bytes, (int32_t)number);
	fwrite(bytes, 1, sizeof(bytes), out);
}

/* A text behind its length. */
static void
put_text(FILE *out, const char *text)
{
	put_number(out, strlen(text));
	fputs(text, out);
}

/* version, number of topics, "NAME READ WRITE PERM FILTER" of each, filter servers. */
static void
put_topics(FILE *out, const char *version, json_t *topics)
{
	const char *name;
	json_t *t;

	put_text(out, version);
	put_number(out, json_object_size(topics));
	json_object_foreach(topics, name, t) {
		const char *filter = ext_text(t, "topicFilterType");
		char line[320];

		snprintf(line, sizeof(line), "%s %d %d %d %s", name,
			 (int)json_integer_value(json_object_get(t, "readQueueNums")),
			 (int)json_integer_value(json_object_get(t, "writeQueueNums")),
			 (int)json_integer_value(json_object_get(t, "perm")), *filter ? filter : "SINGLE_TAG");
		put_text(out, line);
	}
	put_text(out, "[]");
}

static char *
compress(const char *version, json_t *topics, size_t *ret_len)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(COMPRESSION_LEVEL);
	AUTO_FREE char *plain = NULL;
	AUTO_FREE char *packed = NULL;
	size_t len = 0, bound;
	FILE *out = open_memstream(&plain, &len);

	if (out)
		put_topics(out, version, topics);
	if (out && fclose(out) == 0 && c) {
		bound = libdeflate_zlib_compress_bound(c, len);
		packed = malloc(bound);
		*ret_len = packed ? libdeflate_zlib_compress(c, plain, len, packed, bound) : 0;
	}
	libdeflate_free_compressor(c);
	return *ret_len > 0 ? take_ptr(packed) : NULL;
}

int
namesrv_register(struct namesrv *n, json_t *ext, const char *body, size_t body_len)
{
	json_auto_t *root = json_loadb(body, body_len, 0, NULL);
	json_t *wrapper = json_object_get(root, "topicConfigSerializeWrapper");
	json_t *topics = json_object_get(wrapper, "topicConfigTable");
	int64_t perm = PERM_ALL;
	AUTO_FREE char *version = NULL;
	char *text;
	size_t len = 0;

	if (!json_is_object(ext) || !json_is_object(topics))
		return err_note(MQ_ECORRUPT, "the mount registers what is no table of topics");
	add_retry_topics(topics, json_object_get(root, "groups"));
	json_object_update_missing(topics, json_object_get(root, "builtIn"));
	json_object_del(root, "groups");
	json_object_del(root, "builtIn");
	(void)ext_number(ext, "brokerPermission", 0, INT32_MAX, &perm);
	restrict_topics(topics, perm);
	if (set_version(wrapper, topics) == MQ_OK)
		version = json_dumps(json_object_get(wrapper, "dataVersion"), JSON_COMPACT);
	if (!version)
		return -ENOMEM;
	text = n->d->config.register_compressed ? compress(version, topics, &len) : json_dumps(root, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	free(n->body);
	free(n->version);
	json_decref(n->ext);
	n->body = text;
	n->body_len = len ? len : strlen(text);
	n->version = take_ptr(version);
	n->ext = json_deep_copy(ext);
	if (n->ext)
		json_object_del(n->ext, "brokerPermission");
	for (size_t i = 0; i < n->n; i++)
		n->servers[i].changed = true;
	return n->ext ? MQ_OK : -ENOMEM;
}

void
namesrv_leave(struct namesrv *n, void (*done)(void *arg, uint64_t id), void *arg, uint64_t id)
{
	n->done = done;
	n->arg = arg;
	n->id = id;
	n->leave_ms = n->d->now_ms + LEAVE_MS;
}

/* --- begin and end -------------------------------------------------------------------------------------- */

static int
server_open_at(struct namesrv *n, const char *address)
{
	struct name_server *s = &n->servers[n->n];
	char text[ADDRESS_BYTES], *host, *port;

	snprintf(text, sizeof(text), "%s", address);
	if (!resolve_split(text, &host, &port)) {
		outbox_say(&n->d->out, LOG_ERR, "namesrvAddr: %s is not HOST:PORT", address);
		return MQ_OK;
	}
	n->n++;
	s->of = n;
	s->channel.watch.fd = -1;
	s->names_fd = -1;
	s->changed = true;
	snprintf(s->address, sizeof(s->address), "%s", address);
	resolve_host(address, s->host, sizeof(s->host));
	resolve_now(host, port, true, false, &s->numeric);
	return s->numeric.n > 0 ? MQ_OK : resolve_start(host, port, n->d->config.user, &s->names_fd);
}

int
namesrv_open(struct daemon *d, struct namesrv **ret)
{
	struct namesrv *n = calloc(1, sizeof(*n));
	char text[sizeof(d->config.namesrv)], *rest = text, *address;
	int rc = MQ_OK;

	if (!n)
		return -ENOMEM;
	n->d = d;
	memcpy(text, d->config.namesrv, sizeof(text));
	while (rc == MQ_OK && n->n < NAMESRV_MAX && (address = strsep(&rest, "; ")))
		if (*address)
			rc = server_open_at(n, address);
	*ret = n;
	return rc;
}

int
namesrv_start(struct namesrv *n)
{
	int rc = MQ_OK;

	for (size_t i = 0; i < n->n && rc == MQ_OK; i++) {
		struct name_server *s = &n->servers[i];

		s->dial.done = dialed;
		rc = dial_open(&s->dial, n->d, s->names_fd, &s->numeric);
	}
	return rc;
}

void
namesrv_close(struct namesrv *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++) {
		channel_close(&n->servers[i].channel);
		dial_close(&n->servers[i].dial);
	}
	json_decref(n->ext);
	free(n->body);
	free(n->version);
	free(n);
}
