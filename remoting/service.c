#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "net/shared.h"
#include "net/tls.h"
#include "remoting/built_in.h"
#include "remoting/checks.h"
#include "remoting/codes.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

#define LOOK_MS 200			/* between two checks of what a registration depends on */
#define CALL_MS 3000
#define UNREGISTER_MS 3000		/* more than LEAVE_MS in namesrv.c */

bool
service_is_needed(const struct settings *s)
{
	return strcmp(s->listen, "none") != 0;
}

/* --- troubles -------------------------------------------------------------------------------- */

static void
set_trouble(void *arg, const char *text)
{
	struct service *s = arg;
	bool news;

	lock_take(&s->lock);
	news = *text && strcmp(text, s->trouble) != 0;
	snprintf(s->trouble, sizeof(s->trouble), "%s", text);
	pthread_cond_broadcast(&s->changed);
	lock_drop(&s->lock);
	if (news)
		log_warn("mqremoted: %s", text);
}

void
service_stats(struct service *s, struct service_stats *ret)
{
	LOCKED(&s->lock);
	*ret = (struct service_stats){ .pid = (int32_t)s->pid, .clients = s->clients };
	memcpy(ret->trouble, s->trouble, sizeof(ret->trouble));
}

void
service_wait_ready(struct service *s, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms, left;

	LOCKED(&s->lock);
	while (!s->ready && !*s->trouble && (left = until - clock_mono_ms()) > 0)
		lock_wait(&s->lock, &s->changed, (int)left);
}

/* --- one mqremoted ------------------------------------------------------------------------------ */

/* Clients are shown the certificate of tlsServerCertPath, else of tlsCert, else a self-signed one.  With
 * tlsCert alone clients need a certificate, too, unless tls.server.mode says otherwise. */
static void
fill_tls(const struct settings *s, struct link_config *c)
{
	bool strict = !s->tlsServerCertPath[0] && s->tlsCert[0];
	int mode = s->tlsServerMode;

	if (mode == TLS_SERVER_AUTO)
		mode = strict ? TLS_SERVER_ENFORCING : TLS_SERVER_PERMISSIVE;
	if (!s->tlsServerCertPath[0] && !strict && !s->tlsTestModeEnable)
		mode = TLS_SERVER_DISABLED;
	c->tls_how = mode == TLS_SERVER_ENFORCING ? TLS_ALWAYS : mode == TLS_SERVER_PERMISSIVE ? TLS_TOO : TLS_NEVER;
	c->tls_strangers = !strict;
	c->tls_ask = s->tlsServerNeedClientAuth;
	c->tls_verify = s->tlsServerAuthClient;
	snprintf(c->tls_cert, sizeof(c->tls_cert), "%s", strict ? s->tlsCert : s->tlsServerCertPath);
	snprintf(c->tls_key, sizeof(c->tls_key), "%s", strict ? s->tlsKey : s->tlsServerKeyPath);
	snprintf(c->tls_ca, sizeof(c->tls_ca), "%s", strict ? s->tlsCa : s->tlsServerTrustCertPath);
	snprintf(c->tls_password, sizeof(c->tls_password), "%s", s->tlsServerKeyPassword);
}

static void
fill_config(const struct settings *s, int64_t segment_bytes, struct link_config *c)
{
	link_config_init(c, s, segment_bytes, true);
	snprintf(c->listen, sizeof(c->listen), "%s", s->listen);
	fill_tls(s, c);
	snprintf(c->namesrv, sizeof(c->namesrv), "%s", s->namesrvAddr);
	c->acl = s->aclEnable;
	c->register_ms = s->registerNameServerPeriod;
	c->register_timeout_ms = s->registerBrokerTimeoutMills;
	c->register_always = s->forceRegister;
	c->register_compressed = s->compressedRegister;
}

static void
on_invalid_submission(void *arg)
{
	struct service *s = arg;

	set_trouble(s, err_text(MQ_ECORRUPT));
	child_end(s->child);
}

/* Make new rings for this mqremoted, and start the intake thread for them. */
static int
give_rings(struct service *s, int link_fd)
{
	struct ring_fds fds;
	int rc = ring_server_open(&s->ring, &fds);

	if (rc != MQ_OK)
		return rc;
	rc = intake_open(&s->remoting, &s->ring, on_invalid_submission, s, &s->intake);
	if (rc == MQ_OK)
		rc = shared_pass(link_fd, fds.fd, RING_FDS);
	ring_fds_close(&fds);
	return rc;
}

static int
begin(void *arg, const struct child_run *run)
{
	struct service *s = arg;
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_CONFIG };
	int rc;

	lock_take(&s->lock);
	s->pid = run->pid;
	s->starts = run->number;
	lock_drop(&s->lock);
	fill_config(s->settings, store_segment_bytes(s->broker.store), &msg.config);
	rc = link_send(run->link_fd, &msg);
	return rc == MQ_OK ? give_rings(s, run->link_fd) : rc;
}

static void
ended(void *arg, const struct child_run *run)
{
	struct service *s = arg;

	(void)run;
	intake_close(s->intake);
	s->intake = NULL;
	ring_server_close(&s->ring);
	consumer_release_clients(s->broker.offsets, NULL);
	LOCKED(&s->lock);
	s->pid = 0;
	s->port = 0;
	s->clients = 0;
	s->ready = false;
	pthread_cond_broadcast(&s->changed);
}

static void
on_ready(struct service *s, const struct link_message *msg)
{
	bool well = msg->remoting_port != 0;

	lock_take(&s->lock);
	s->port = msg->remoting_port;
	s->clients = msg->len;
	s->ready = true;
	pthread_cond_broadcast(&s->changed);
	lock_drop(&s->lock);
	if (well)
		set_trouble(s, "");
}

/* text: "HA REMOTING", two addresses. */
static int
on_master(struct service *s, const struct link_message *msg)
{
	char text[LINK_TEXT_BYTES], *remoting;

	memcpy(text, msg->text, sizeof(text));
	remoting = strchr(text, ' ');
	if (!remoting)
		return err_note(MQ_ECORRUPT, "mqremoted tells of a master without an address");
	*remoting++ = '\0';
	if (s->settings->brokerRole == SLAVE)
		s->broker.master_is(s->broker.arg, text, remoting);
	return MQ_OK;
}

static int
on_message(void *arg, const struct child_run *run, const struct link_message *msg)
{
	struct service *s = arg;

	(void)run;
	switch (msg->kind) {
	case LINK_READY:
		on_ready(s, msg);
		return MQ_OK;
	case LINK_MASTER:
		return on_master(s, msg);
	default:
		return err_note(MQ_ECORRUPT, "mqremoted sends a message of kind %u", msg->kind);
	}
}

static void
serve(void *arg, const struct request *req, struct answer *ret)
{
	struct service *s = arg;
	mq_pos before = mark_at(store_written(s->broker.store));

	requests_answer(s, req, ret);
	change_answer(s, req, before, ret);
}

struct stats *
service_counts(struct service *s)
{
	return s->remoting.stats;
}

int
service_call(struct service *s, int code, const json_t *ext, int timeout_ms, struct answer *ret)
{
	return exchange_call(child_exchange(s->child), code, ext, NULL, 0, timeout_ms, ret);
}

/* --- name servers --------------------------------------------------------------------------------- */

/* Topics and groups as they are now, and built-in topics. */
static char *
registration_body(struct service *s, size_t *ret_len)
{
	AUTO_FREE char *topics = NULL;
	AUTO_FREE char *groups = NULL;
	json_auto_t *table = built_in_table(s->settings);
	AUTO_FREE char *built_in = table ? json_dumps(table, JSON_COMPACT) : NULL;
	size_t len = 0, groups_len = 0;
	char *body;
	int n;

	if (!built_in || offsets_export(s->broker.offsets, CONFIG_TOPICS, &topics, &len) != MQ_OK ||
	    offsets_export(s->broker.offsets, CONFIG_GROUPS, &groups, &groups_len) != MQ_OK)
		return NULL;
	n = asprintf(&body,
		     "{\"filterServerList\":[],\"topicConfigSerializeWrapper\":%.*s,\"groups\":%.*s,\"builtIn\":%s}",
		     (int)len, topics, (int)groups_len, groups, built_in);
	if (n < 0)
		return NULL;
	*ret_len = (size_t)n;
	return body;
}

static json_t *
registration_ext(struct service *s)
{
	const struct settings *c = s->settings;
	json_t *ext = json_pack("{s:s, s:s}", "brokerName", c->brokerName, "clusterName", c->brokerClusterName);

	if (ext_print(ext, "brokerAddr", "%s:%d", c->brokerIP1, (int)c->listenPort) == MQ_OK &&
	    ext_print(ext, "haServerAddr", "%s:%d", *c->brokerIP2 ? c->brokerIP2 : c->brokerIP1,
		      (int)c->haListenPort) == MQ_OK &&
	    ext_print(ext, "brokerId", "%d", (int)c->brokerId) == MQ_OK &&
	    ext_print(ext, "brokerPermission", "%d", (int)c->brokerPermission) == MQ_OK)
		return ext;
	json_decref(ext);
	return NULL;
}

/* Tell mqremoted what this broker is now. */
static int
give_registration(struct service *s)
{
	struct answer a = { 0 };
	size_t len = 0;
	AUTO_FREE char *body = registration_body(s, &len);
	json_auto_t *ext = registration_ext(s);
	int rc = body && ext ? MQ_OK : -ENOMEM;

	if (rc == MQ_OK)
		rc = exchange_call(child_exchange(s->child), REMOTING_REGISTER_BROKER, ext, body, len, CALL_MS, &a);
	if (rc == MQ_OK && a.code != ANSWER_SUCCESS)
		rc = err_note(-EPROTO, "mqremoted does not register this broker: %s", a.remark);
	answer_clear(&a);
	return rc;
}

/* What a registration depends on. */
struct registered {
	unsigned run;			/* of mqremoted */
	uint64_t role_changes;
	int64_t version;		/* of topics and groups */
	int64_t perm, template_queues;
};

/* Wait until something that a registration depends on has changed.  False: closing. */
static bool
wait_for_change(struct service *s, const struct registered *then, struct registered *ret)
{
	struct registered now = *then;

	LOCKED(&s->lock);
	while (!s->closing) {
		now.role_changes = s->role_changes;
		now.perm = s->settings->brokerPermission;
		now.template_queues = s->settings->autoCreateTopicEnable ? s->settings->defaultTopicQueueNums : 0;
		now.version = offsets_tables_version(s->broker.offsets);
		now.run = s->ready ? s->starts : 0;
		if (now.run && memcmp(&now, then, sizeof(now)) != 0)
			break;
		lock_wait(&s->lock, &s->changed, LOOK_MS);
	}
	*ret = now;
	return !s->closing;
}

static void *
register_main(void *arg)
{
	struct service *s = arg;
	struct registered told, now;

	memset(&told, 0, sizeof(told));
	while (wait_for_change(s, &told, &now)) {
		int rc = give_registration(s);

		if (rc == MQ_OK)
			told = now;
		else if (rc != MQ_ECLOSED && rc != -ENOTCONN && rc != -ECONNRESET)
			set_trouble(s, err_text(rc));
		if (rc != MQ_OK) {
			LOCKED(&s->lock);
			if (!s->closing)
				lock_wait(&s->lock, &s->changed, LOOK_MS);
		}
	}
	return NULL;
}

static void
leave_name_servers(struct service *s)
{
	struct answer a = { 0 };
	json_auto_t *ext = registration_ext(s);

	if (s->port && *s->settings->namesrvAddr && ext)
		(void)exchange_call(child_exchange(s->child), REMOTING_UNREGISTER_BROKER, ext, NULL, 0, UNREGISTER_MS,
				    &a);
	answer_clear(&a);
}

void
service_role_changed(struct service *s)
{
	LOCKED(&s->lock);
	s->role_changes++;
	pthread_cond_broadcast(&s->changed);
}

/* --- begin and end ------------------------------------------------------------------------------------ */

int
service_open(const struct settings *settings, const struct service_broker *broker, const char *program,
	     struct service **ret)
{
	struct service *s = calloc(1, sizeof(*s));
	const struct child_for what = {
		.start = { "mqremoted", "MQREMOTED", "remoting/mqremoted", SBINDIR "/mqremoted" },
		.program = program, .commitlog_fd = store_commitlog_fd(broker->store), .arg = s,
		.begin = begin, .on_message = on_message, .ended = ended, .trouble = set_trouble,
		.serve = serve, .settled = change_is_settled,
	};
	int rc;

	if (!s)
		return -ENOMEM;
	rc = user_find(settings->remotingUser, &s->user);
	if (rc != MQ_OK) {
		free(s);
		return err_note(rc, "remotingUser: %s", err_text(rc));
	}
	s->rights = s->user;
	s->settings = settings;
	s->broker = *broker;
	s->remoting = (struct remoting_broker){
		.settings = settings,
		.store = broker->store,
		.offsets = broker->offsets,
		.host = broker->host,
		.rights = &s->user,
		.replicated = broker->replicated,
		.in_sync = broker->in_sync,
		.arg = broker->arg,
	};
	s->started_ms = clock_wall_ms();
	lock_init(&s->lock, RANK_REPLICATION);
	cond_init(&s->changed);
	rc = stats_open(settings, broker->store, &s->remoting.stats);
	if (rc == MQ_OK && settings->aclEnable)
		rc = judge_open(settings->aclFile, &s->remoting.judge);
	if (rc == MQ_OK)
		rc = child_open(&what, &s->child);
	if (rc == MQ_OK && *settings->namesrvAddr)
		rc = thread_start(&s->register_thread, "register", register_main, s);
	if (rc == MQ_OK)
		rc = thread_start(&s->check_thread, "checks", checks_main, s);
	if (rc == MQ_OK)
		*ret = s;
	else
		service_close(s);
	return rc;
}

void
service_close(struct service *s)
{
	if (!s)
		return;
	lock_take(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->changed);
	lock_drop(&s->lock);
	thread_join(&s->register_thread);
	thread_join(&s->check_thread);
	if (s->child)
		leave_name_servers(s);
	child_close(s->child);
	tickets_clear(&s->tickets);
	judge_close(s->remoting.judge);
	user_clear(&s->user);
	stats_close(s->remoting.stats);
	pthread_cond_destroy(&s->changed);
	lock_destroy(&s->lock);
	free(s);
}
