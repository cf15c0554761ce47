#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "net/address.h"
#include "repl/replication_priv.h"

#define SAY_AGAIN_MS 60000

/* --- for the mount -------------------------------------------------------------------------- */

struct mark *
replication_replicated(struct replication *r)
{
	return &r->peers.replicated;
}

bool
replication_in_sync(struct replication *r)
{
	LOCKED(&r->lock);
	if (!peers_in_sync(&r->peers))	/* acks are read only while a thread waits for them */
		peers_look(&r->peers, r->board.acks);
	return peers_in_sync(&r->peers);
}

size_t
replication_peers(struct replication *r, struct replication_peer *list)
{
	LOCKED(&r->lock);
	peers_look(&r->peers, r->board.acks);
	return peers_list(&r->peers, list);
}

void
replication_peer_name(const struct replication_peer *p, char name[REPLICATION_NAME_BYTES])
{
	if (p->number == 0)
		snprintf(name, REPLICATION_NAME_BYTES, "master");
	else
		snprintf(name, REPLICATION_NAME_BYTES, "slave-%d", (int)p->number);
}

int64_t
replication_peer_behind(const struct replication_peer *p, mq_pos written)
{
	if (p->number == 0)
		return p->sent > written.byte ? p->sent - written.byte : 0;
	return written.byte > p->ack ? written.byte - p->ack : 0;
}

/* All troubles, each followed by `end`. */
static void
print_troubles(const struct replication *r, const char *end, char *text, size_t size)
{
	MUST_HOLD(&r->lock);
	size_t len = 0;

	*text = '\0';
	for (int i = 0; i < TROUBLES && len < size; i++)
		if (*r->troubles[i].text)
			len += (size_t)snprintf(text + len, size - len, "%s%s", r->troubles[i].text, end);
}

void
replication_stats(struct replication *r, struct replication_stats *ret)
{
	LOCKED(&r->lock);
	*ret = (struct replication_stats){ .pid = (int32_t)r->pid };
	print_troubles(r, "\n", ret->trouble, sizeof(ret->trouble));
}

void
replication_troubles(struct replication *r, char *text, size_t size)
{
	LOCKED(&r->lock);
	print_troubles(r, "; ", text, size);
	if (*text)
		text[strlen(text) - 2] = '\0';
}

void
replication_wait_ready(struct replication *r, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms, left;

	LOCKED(&r->lock);
	while (!r->ready && !*r->troubles[TROUBLE_DAEMON].text && (left = until - clock_mono_ms()) > 0)
		lock_wait(&r->lock, &r->changed, (int)left);
}

/* A trouble is logged when it is new, or was logged SAY_AGAIN_MS ago: that of an almost full disk comes
 * and goes with each append. */
void
replication_trouble(struct replication *r, enum trouble_with with, const char *text)
{
	struct trouble *t = &r->troubles[with];
	int64_t now = clock_mono_ms();
	bool news;

	lock_take(&r->lock);
	if (strncmp(t->text, text, sizeof(t->text) - 1) != 0) {	/* compared first, since each append calls this */
		snprintf(t->text, sizeof(t->text), "%s", text);
		pthread_cond_broadcast(&r->changed);
	}
	news = *text && (strcmp(t->text, t->said) != 0 || now >= t->said_ms + SAY_AGAIN_MS);
	if (news) {
		memcpy(t->said, t->text, sizeof(t->said));
		t->said_ms = now;
	}
	lock_drop(&r->lock);
	if (news)
		log_warn("replication: %s", text);
}

/* --- one mqrepld, from start to end ------------------------------------------------------ */

/* A RocketMQ broker has its remoting port one below that of replication. */
static void
master_remoting(const struct settings *s, char *text, size_t size)
{
	const char *colon = strrchr(s->master, ':');

	if (*s->masterRemoting || !colon)
		snprintf(text, size, "%s", s->masterRemoting);
	else
		snprintf(text, size, "%.*s:%d", (int)(colon - s->master), s->master, atoi(colon + 1) - 1);
}

/* A slave may be without a master; a master needs none. */
static bool
has_master(const struct replication *r)
{
	return r->settings->brokerRole != SLAVE || *r->settings->master;
}

static void
fill_config(const struct replication *r, struct link_config *c)
{
	const struct settings *s = r->settings;

	/* else mqremoted has the remoting ports, and passes on the requests of slaves */
	link_config_init(c, s, store_segment_bytes(r->store), strcmp(s->listen, "none") == 0);
	c->slave = s->brokerRole == SLAVE && has_master(r);
	snprintf(c->listen, sizeof(c->listen), "%s", strcmp(s->haListen, "none") == 0 ? "" : s->haListen);
	c->port = (int32_t)s->haListenPort;
	if (c->slave) {
		snprintf(c->master, sizeof(c->master), "%s", s->master);
		master_remoting(s, c->master_remoting, sizeof(c->master_remoting));
	}
	snprintf(c->tls_cert, sizeof(c->tls_cert), "%s", s->tlsCert);
	snprintf(c->tls_key, sizeof(c->tls_key), "%s", s->tlsKey);
	snprintf(c->tls_ca, sizeof(c->tls_ca), "%s", s->tlsCa);
	(void)allow_parse(s->haAllow, &c->allow);	/* it was checked when it was set */
	c->eager = s->brokerRole == SYNC_MASTER;
}

static int
send_config(struct replication *r, int fd)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_CONFIG };

	fill_config(r, &msg.config);
	lock_take(&r->lock);
	r->config = msg.config;
	lock_drop(&r->lock);
	return link_send(fd, &msg);
}

/* Bytes of the ring, which wraps, to the log.  mqrepld could change them there after
 * they were checked, so it is a copy that is written. */
static int
append_from_ring(struct replication *r, const struct child_run *run, const struct link_message *msg)
{
	uint64_t at = msg->ring_at;
	mq_pos pos = MQ_POS(msg->pos);
	size_t left = msg->len;

	if (at != r->ring_at || left > LINK_RING_BYTES)
		return err_note(MQ_ECORRUPT, "mqrepld sends bytes that are not next in the ring");
	while (left > 0) {
		size_t place = (size_t)(at % LINK_RING_BYTES), n = LINK_RING_BYTES - place;
		int rc;

		n = n > left ? left : n;
		n = n > REPLICATION_PIECE ? REPLICATION_PIECE : n;
		memcpy(r->piece, run->ring + place, n);
		rc = store_append_raw(r->store, pos, r->piece, n);
		if (rc != MQ_OK)
			return rc;
		at += n;
		left -= n;
		pos = pos_add(pos, (int64_t)n);
	}
	r->ring_at = at;
	return MQ_OK;
}

static int
on_append(struct replication *r, const struct child_run *run, const struct link_message *msg)
{
	int rc = MQ_ECORRUPT;

	if (r->settings->brokerRole == SLAVE)
		rc = append_from_ring(r, run, msg);
	if (rc != MQ_OK) {
		replication_trouble(r, TROUBLE_LOG, err_text(rc));
		return rc;
	}
	replication_trouble(r, TROUBLE_LOG, "");
	return MQ_OK;
}

/* Does it listen wherever it is to?  Without the remoting port no slave is answered. */
static bool
listens(const struct link_config *c, const struct link_message *msg)
{
	return !*c->listen || (msg->port != 0 && (msg->remoting_port != 0 || c->remoting_port < 0) &&
			       (msg->vip_port != 0 || c->vip_port < 0));
}

/* mqrepld has started and takes requests. */
static void
on_ready(struct replication *r, const struct link_message *msg)
{
	bool well;

	lock_take(&r->lock);
	r->ready = true;
	well = listens(&r->config, msg);
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	if (well)
		replication_trouble(r, TROUBLE_DAEMON, "");
}

static int
on_message(void *arg, const struct child_run *run, const struct link_message *msg)
{
	struct replication *r = arg;

	switch (msg->kind) {
	case LINK_READY:
		on_ready(r, msg);
		return MQ_OK;
	case LINK_APPEND:
		return on_append(r, run, msg);
	case LINK_PEER:
		lock_take(&r->lock);
		if (peers_on_message(&r->peers, msg))
			pthread_cond_broadcast(&r->changed);
		peers_look(&r->peers, r->board.acks);
		lock_drop(&r->lock);
		return MQ_OK;
	default:
		return err_note(MQ_ECORRUPT, "mqrepld sends a message of kind %u", msg->kind);
	}
}

static int
begin(void *arg, const struct child_run *run)
{
	struct replication *r = arg;
	int rc;

	lock_take(&r->lock);
	r->pid = run->pid;
	r->starts = run->number;
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	r->ring_at = 0;
	if (!has_master(r))
		replication_trouble(r, TROUBLE_MASTER, "a slave without a master: config/master says whom to follow");
	rc = send_config(r, run->link_fd);
	return rc == MQ_OK ? board_give(&r->board, run->link_fd) : rc;
}

static void
ended(void *arg, const struct child_run *run)
{
	struct replication *r = arg;

	(void)run;
	LOCKED(&r->lock);
	r->pid = 0;
	r->ready = false;
	peers_forget(&r->peers);
	pthread_cond_broadcast(&r->changed);
}

static void
trouble(void *arg, const char *text)
{
	replication_trouble(arg, TROUBLE_DAEMON, text);
}

bool
replication_is_needed(const struct settings *s)
{
	return s->brokerRole == SLAVE || strcmp(s->haListen, "none") != 0;
}

static bool
is_needed(void *arg)
{
	return replication_is_needed(((struct replication *)arg)->settings);
}

static void
serve_request(void *arg, const struct request *req, struct answer *ret)
{
	requests_serve(arg, req, ret);
}

/* --- ending mqrepld for a while --------------------------------------------------------------------- */

void
replication_hold(struct replication *r)
{
	lock_take(&r->lock);
	r->held++;
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	child_hold(r->child);
}

void
replication_release(struct replication *r)
{
	lock_take(&r->lock);
	r->held--;
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	child_release(r->child);
}

/* The configuration without the members that mqrepld takes while it runs. */
static struct link_config
without_live(struct link_config c)
{
	c.heartbeat_ms = c.housekeeping_ms = c.batch_bytes = 0;
	c.eager = 0;
	return c;
}

void
replication_refresh(struct replication *r)
{
	struct link_message msg = { .kind = LINK_CONFIG };
	struct link_config now, then;
	bool same, live;

	fill_config(r, &msg.config);
	lock_take(&r->lock);
	same = !r->ready || memcmp(&msg.config, &r->config, sizeof(msg.config)) == 0;
	now = without_live(msg.config);
	then = without_live(r->config);
	live = memcmp(&now, &then, sizeof(now)) == 0;
	r->config = same ? r->config : msg.config;
	lock_drop(&r->lock);
	if (!same && live) {
		(void)replication_tell(r, &msg, NULL);
	} else if (!same) {
		replication_hold(r);
		replication_release(r);
	}
}

/* --- telling mqrepld --------------------------------------------------------------------------- */

int
replication_tell(struct replication *r, struct link_message *msg, int64_t *ret_starts)
{
	int64_t starts;
	bool ready;

	lock_take(&r->lock);
	ready = r->ready;
	starts = r->starts;
	lock_drop(&r->lock);
	if (ret_starts)
		*ret_starts = starts;
	if (!ready)
		return err_note(-ENOTCONN, "mqrepld does not run");
	msg->version = LINK_VERSION;
	return exchange_tell(child_exchange(r->child), (unsigned)starts, msg);
}

/* --- calls ---------------------------------------------------------------------------------------- */

int
replication_call(struct replication *r, int code, const json_t *ext, const void *body, size_t body_len,
		 int timeout_ms, struct answer *ret)
{
	return exchange_call(child_exchange(r->child), code, ext, body, body_len, timeout_ms, ret);
}

/* May a peer at that address (HOST:PORT) send the requests that are for slaves alone? */
static bool
is_admitted(const struct replication *r, const char *peer)
{
	struct sockaddr_in6 from = { .sin6_family = AF_INET6, .sin6_addr = { .s6_addr = { [10] = 0xff, [11] = 0xff } } };
	struct address a;
	struct allow allow;

	if (strcmp(r->settings->haListen, "none") == 0 || !address_parse(peer, &a) ||
	    !allow_parse(r->settings->haAllow, &allow))
		return false;
	if (a.v6)
		memcpy(&from.sin6_addr, a.bytes, sizeof(from.sin6_addr));
	else				/* as ::ffff:a.b.c.d */
		memcpy(&from.sin6_addr.s6_addr[12], a.bytes, 4);
	return allow_has(&allow, (const struct sockaddr *)&from);
}

void
replication_serve(struct replication *r, const struct request *req, struct answer *ret)
{
	bool for_slaves = req->code == REQUEST_HELLO || req->code == REQUEST_READ_LOG;

	if (!for_slaves || is_admitted(r, req->peer))
		requests_serve(r, req, ret);
	else
		answer_refuse(ret, ANSWER_NO_PERMISSION, "haListen and haAllow do not let this address follow");
}

/* --- another role --------------------------------------------------------------------------- */

void
replication_pause(struct replication *r)
{
	replication_hold(r);
	LOCKED(&r->lock);
	r->paused = true;
}

void
replication_role_changed(struct replication *r)
{
	bool paused;

	lock_take(&r->lock);
	paused = r->paused;
	r->paused = false;
	lock_drop(&r->lock);
	if (!paused)
		replication_hold(r);
	replication_trouble(r, TROUBLE_LOG, "");
	replication_trouble(r, TROUBLE_MASTER, "");
	lock_take(&r->lock);
	peers_anew(&r->peers);
	lock_drop(&r->lock);
	replication_release(r);
}

/* --- certificates -------------------------------------------------------------------------------- */

/* A wrong path is an error of the mount.  The contents of the files are read by mqrepld each
 * time it starts, because they are renewed while the broker is mounted. */
int
replication_check(const struct settings *s)
{
	const struct {
		const char *key, *path;
	} files[] = { { "tlsCert", s->tlsCert }, { "tlsKey", s->tlsKey }, { "tlsCa", s->tlsCa } };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO_CLOSE int fd = *files[i].path ? open(files[i].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

		if (*files[i].path && fd < 0)
			return err_note(-errno, "%s %s: %m", files[i].key, files[i].path);
	}
	return MQ_OK;
}

/* --- begin and end ------------------------------------------------------------------------------ */

static void
look_at_acks(void *arg)
{
	struct replication *r = arg;

	LOCKED(&r->lock);
	peers_look(&r->peers, r->board.acks);
}

/* Marks that mqrepld sees, and the one that it moves. */
static int
share_marks(struct replication *r)
{
	int rc = board_open(&r->board);

	if (rc != MQ_OK)
		return rc;
	mark_set_mirror(store_begin_mark(r->store), &r->board.begin);
	mark_set_mirror(store_written(r->store), &r->board.written);
	mark_set_source(&r->peers.replicated, &(struct mark_source){
			.news = &r->board.acks->news, .wanted = &r->board.marks->wanted, .look = look_at_acks, .arg = r,
		});
	return MQ_OK;
}

int
replication_open(const struct settings *settings, const struct replication_broker *broker, const char *program,
		 struct replication **ret)
{
	struct replication *r = calloc(1, sizeof(*r));
	const struct child_for what = {
		.start = { "mqrepld", "MQREPLD", "repl/mqrepld", SBINDIR "/mqrepld" },
		.program = program, .commitlog_fd = store_commitlog_fd(broker->store), .arg = r,
		.is_needed = is_needed, .begin = begin, .on_message = on_message, .ended = ended, .trouble = trouble,
		.serve = serve_request,
	};
	int rc;

	if (!r)
		return -ENOMEM;
	r->settings = settings;
	r->store = broker->store;
	r->broker = *broker;
	if (getrandom(r->instance, sizeof(r->instance), 0) != (ssize_t)sizeof(r->instance)) {
		free(r);
		return err_note(-EIO, "getrandom: no random bytes");
	}
	lock_init(&r->lock, RANK_REPLICATION);
	cond_init(&r->changed);
	peers_init(&r->peers, settings, r->store);
	rc = share_marks(r);
	if (rc == MQ_OK)
		rc = child_open(&what, &r->child);
	if (rc == MQ_OK)
		rc = follow_open(r, &r->follow);
	if (rc == MQ_OK)
		rc = commits_open(r, &r->commits);
	if (rc == MQ_OK)
		*ret = r;
	else
		replication_close(r);
	return rc;
}

void
replication_close(struct replication *r)
{
	if (!r)
		return;
	lock_take(&r->lock);
	r->closing = true;
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	child_stop(r->child);
	follow_close(r->follow);
	commits_close(r->commits);
	child_close(r->child);
	mark_set_mirror(store_begin_mark(r->store), NULL);
	mark_set_mirror(store_written(r->store), NULL);
	peers_destroy(&r->peers);
	board_close(&r->board);
	pthread_cond_destroy(&r->changed);
	lock_destroy(&r->lock);
	free(r);
}
