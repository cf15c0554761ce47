#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "repl/replication.h"
#include "repl/start.h"

#define MARKS_PAUSE_MS 1		/* between two LINK_MARKS */
#define RESTART_FIRST_MS 100
#define RESTART_LAST_MS 5000
#define STEADY_MS 10000			/* it ran that long: the next restart is quick again */
#define APPEND_MAX (1u << 20)		/* bytes written at once */

struct replication {
	const struct settings *settings;
	struct store *store;
	int commitlog_fd;
	const char *program;

	struct lock lock;		/* all below */
	pthread_cond_t changed;
	bool closing;
	bool paused;
	bool running;			/* an mqrepld, from its start until it was waited for */
	bool at_once;			/* the next one starts without a pause */
	int link;			/* -1: mqrepld does not run */
	pid_t pid;
	unsigned char *ring;
	int64_t starts;
	int32_t port;
	char trouble[256];
	struct replication_peer peers[REPLICATION_PEERS_MAX];
	size_t n_peers;

	struct mark replicated;

	bool link_started, marks_started;
	pthread_t link_thread, marks_thread;
};

/* --- peers ----------------------------------------------------------------------------- */

/* Called with the lock. */
static struct replication_peer *
peer_of(struct replication *r, int32_t number)
{
	struct replication_peer *oldest_gone = NULL;

	for (size_t i = 0; i < r->n_peers; i++) {
		struct replication_peer *p = &r->peers[i];

		if (p->number == number)
			return p;
		if (p->state == LINK_PEER_GONE && (!oldest_gone || p->changed_ms < oldest_gone->changed_ms))
			oldest_gone = p;
	}
	if (r->n_peers < REPLICATION_PEERS_MAX)
		oldest_gone = &r->peers[r->n_peers++];
	if (oldest_gone)
		*oldest_gone = (struct replication_peer){ .number = number, .state = -1 };
	return oldest_gone;
}

static void
say_peer(const struct replication_peer *p)
{
	static const char *const states[] = {
		[LINK_PEER_GONE] = "is gone",
		[LINK_PEER_CONNECTING] = "is not connected",
		[LINK_PEER_WAITING] = "is connected",
		[LINK_PEER_TRANSFER] = "follows",
	};

	if (p->state >= LINK_PEER_GONE && p->state <= LINK_PEER_TRANSFER)
		log_notice("%s %s %s, at %" PRId64, p->number ? "slave" : "master", p->address, states[p->state],
			   p->ack);
}

static bool
is_in_sync(const struct replication *r, const struct replication_peer *p)
{
	return p->number > 0 && p->state == LINK_PEER_TRANSFER &&
	       mark_at(store_written(r->store)).byte - p->ack <= r->settings->haSlaveFallbehindMax;
}

static size_t
slaves_wanted(const struct replication *r)
{
	int64_t replicas = r->settings->inSyncReplicas;

	return replicas > 1 ? (size_t)replicas - 1 : 0;
}

/* What enough slaves have; an ack never counts beyond our own end.  Called with
 * the lock. */
static void
advance_replicated(struct replication *r)
{
	int64_t written = mark_at(store_written(r->store)).byte, best = -1;
	size_t wanted = slaves_wanted(r);

	for (size_t i = 0; i < r->n_peers; i++) {
		int64_t ack = r->peers[i].ack;
		size_t have = 0;

		for (size_t k = 0; k < r->n_peers; k++)
			have += is_in_sync(r, &r->peers[k]) && r->peers[k].ack >= ack;
		if (have >= wanted && is_in_sync(r, &r->peers[i]) && ack <= written && ack > best)
			best = ack;
	}
	if (wanted == 0)
		best = written;
	mark_advance(&r->replicated, MQ_POS(best));
}

struct mark *
replication_replicated(struct replication *r)
{
	return &r->replicated;
}

bool
replication_in_sync(struct replication *r)
{
	size_t have = 0;

	LOCKED(&r->lock);
	for (size_t i = 0; i < r->n_peers; i++)
		have += is_in_sync(r, &r->peers[i]);
	return have >= slaves_wanted(r);
}

/* Bytes a second, each second's value a quarter of what is shown. */
static void
note_rate(struct replication_peer *p, int64_t sent, int64_t now)
{
	int64_t took = now - p->rate_ms, now_rate;

	if (took >= 0 && took < 1000)
		return;
	now_rate = p->rate_ms > 0 && took > 0 && sent > p->rate_sent ? (sent - p->rate_sent) * 1000 / took : 0;
	p->bytes_per_s = p->bytes_per_s ? (3 * p->bytes_per_s + now_rate) / 4 : now_rate;
	p->rate_ms = now;
	p->rate_sent = sent;
}

static void
on_peer(struct replication *r, const struct link_message *msg)
{
	int64_t now = clock_wall_ms();
	struct replication_peer *p;

	LOCKED(&r->lock);
	p = peer_of(r, msg->peer);
	if (!p)
		return;
	note_rate(p, msg->sent, now);
	p->ack = msg->ack;
	p->sent = msg->sent;
	memcpy(p->address, msg->text, sizeof(p->address));
	if (p->state != msg->state) {
		p->state = msg->state;
		p->changed_ms = now;
		p->bytes_per_s = p->rate_ms = 0;
		say_peer(p);
		pthread_cond_broadcast(&r->changed);
	}
	advance_replicated(r);
}

size_t
replication_peers(struct replication *r, struct replication_peer *list)
{
	LOCKED(&r->lock);
	memcpy(list, r->peers, r->n_peers * sizeof(*list));
	return r->n_peers;
}

void
replication_stats(struct replication *r, struct replication_stats *ret)
{
	LOCKED(&r->lock);
	*ret = (struct replication_stats){ .starts = r->starts, .pid = (int32_t)r->pid, .port = r->port };
	memcpy(ret->trouble, r->trouble, sizeof(ret->trouble));
}

/* A failing slave is told of when its state changes, not at every try. */
static void
note_trouble(struct replication *r, const char *text)
{
	bool news;

	lock_take(&r->lock);
	news = strncmp(r->trouble, text, sizeof(r->trouble) - 1) != 0;
	snprintf(r->trouble, sizeof(r->trouble), "%s", text);
	lock_drop(&r->lock);
	if (news && *text)
		log_warn("replication: %s", text);
}

/* --- one mqrepld, from start to end ------------------------------------------------------ */

/* What the link thread keeps while one mqrepld runs. */
struct run {
	struct replication *r;
	int fd;
	uint64_t ring_at;	/* bytes taken out of the ring */
};

static void
fill_marks(struct replication *r, struct link_message *msg)
{
	msg->begin = store_begin(r->store).byte;
	msg->written = mark_at(store_written(r->store)).byte;
	if (msg->written < msg->begin)
		msg->written = msg->begin;
}

/* Only a slave may be without. */
static bool
has_master(const struct replication *r)
{
	return r->settings->brokerRole != SLAVE || r->settings->master[0];
}

static int
send_config(struct replication *r, int fd)
{
	const struct settings *s = r->settings;
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_CONFIG };
	struct link_config *c = &msg.config;

	c->slave = s->brokerRole == SLAVE && has_master(r);
	snprintf(c->listen, sizeof(c->listen), "%s", strcmp(s->haListen, "none") == 0 ? "" : s->haListen);
	c->port = (int32_t)s->haListenPort;
	snprintf(c->master, sizeof(c->master), "%s", s->master);
	c->segment_bytes = store_segment_bytes(r->store);
	c->heartbeat_ms = s->haSendHeartbeatInterval;
	c->housekeeping_ms = s->haHousekeepingInterval;
	c->batch_bytes = s->haTransferBatchSize;
	c->eager = s->brokerRole != SLAVE;	/* it may become a SYNC_MASTER while mounted */
	fill_marks(r, &msg);
	return link_send(fd, &msg);
}

static int
send_marks(struct replication *r, int fd, enum link_kind kind, uint64_t ring_at)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = kind, .ring_at = ring_at };

	fill_marks(r, &msg);
	return link_send(fd, &msg);
}

/* Bytes of the ring, which wraps, to the log. */
static int
append_from_ring(struct run *run, const struct link_message *msg)
{
	uint64_t at = msg->ring_at;
	mq_pos pos = MQ_POS(msg->pos);
	size_t left = msg->len;

	if (at != run->ring_at || left > LINK_RING_BYTES)
		return err_note(MQ_ECORRUPT, "mqrepld sends bytes that are not next in the ring");
	while (left > 0) {
		size_t place = (size_t)(at % LINK_RING_BYTES), n = LINK_RING_BYTES - place;
		int rc;

		n = n > left ? left : n;
		rc = store_append_raw(run->r->store, pos, run->r->ring + place, n);
		if (rc != MQ_OK)
			return rc;
		at += n;
		left -= n;
		pos = pos_add(pos, (int64_t)n);
	}
	run->ring_at = at;
	return MQ_OK;
}

static int
on_append(struct run *run, const struct link_message *msg)
{
	struct replication *r = run->r;
	int rc = MQ_ECORRUPT;

	if (r->settings->brokerRole == SLAVE)
		rc = append_from_ring(run, msg);
	if (rc != MQ_OK) {
		note_trouble(r, err_text(rc));
		return rc;
	}
	note_trouble(r, "");
	return send_marks(r, run->fd, LINK_APPLIED, run->ring_at);
}

static int
on_message(struct run *run, const struct link_message *msg)
{
	switch (msg->kind) {
	case LINK_READY:
		lock_take(&run->r->lock);
		run->r->port = msg->port;
		lock_drop(&run->r->lock);
		return MQ_OK;
	case LINK_APPEND:
		return on_append(run, msg);
	case LINK_PEER:
		on_peer(run->r, msg);
		return MQ_OK;
	case LINK_SAY:
		log_line(msg->level > LOG_DEBUG || msg->level < LOG_ERR ? LOG_NOTICE : msg->level, "mqrepld: %s",
			 msg->text);
		return MQ_OK;
	default:
		return err_note(MQ_ECORRUPT, "mqrepld sends a message of kind %u", msg->kind);
	}
}

/* Until mqrepld ends, says nonsense, or the mount closes. */
static int
talk(struct run *run)
{
	struct link_message msg;
	int rc;

	note_trouble(run->r, has_master(run->r) ? "" : "a slave without a master: config/master says whom to follow");
	rc = send_config(run->r, run->fd);
	if (rc == MQ_OK)
		rc = send_marks(run->r, run->fd, LINK_MARKS, 0);
	while (rc == MQ_OK) {
		rc = link_receive(run->fd, 0, &msg);
		if (rc == MQ_OK)
			rc = on_message(run, &msg);
	}
	return rc;
}

/* Called with the lock. */
static void
forget_run(struct replication *r)
{
	close(r->link);
	r->link = -1;
	r->pid = 0;
	r->port = 0;
	for (size_t i = 0; i < r->n_peers; i++)
		r->peers[i].state = LINK_PEER_GONE;	/* what they have acknowledged they have */
}

/* Start mqrepld and serve it to its end.  Returns how long it ran. */
static int64_t
run_once(struct replication *r)
{
	int64_t began = clock_mono_ms();
	void *ring = NULL;
	pid_t pid;
	int rc, status = 0;
	struct run run = { .r = r, .fd = -1 };

	rc = repl_start(r->program, r->commitlog_fd, &pid, &run.fd, &ring);
	if (rc != MQ_OK) {
		note_trouble(r, err_text(rc));
		return 0;
	}
	lock_take(&r->lock);
	r->link = run.fd;
	r->pid = pid;
	r->ring = ring;
	r->starts++;
	if (r->closing || r->paused || r->at_once)
		shutdown(run.fd, SHUT_RDWR);
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);

	rc = talk(&run);

	lock_take(&r->lock);
	forget_run(r);
	lock_drop(&r->lock);
	kill(pid, SIGKILL);		/* it has no reason to stay */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	munmap(ring, LINK_RING_BYTES);
	r->ring = NULL;
	if (rc == MQ_ECORRUPT)
		log_err("mqrepld was ended: %s", err_text(rc));
	return clock_mono_ms() - began;
}

static bool
pause_before_restart(struct replication *r, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	LOCKED(&r->lock);
	r->running = false;
	pthread_cond_broadcast(&r->changed);
	while (!r->closing && (r->paused || (!r->at_once && clock_mono_ms() < until)))
		lock_wait(&r->lock, &r->changed, r->paused ? -1 : (int)(until - clock_mono_ms()) + 1);
	r->at_once = false;
	r->running = !r->closing;
	return !r->closing;
}

static void *
link_main(void *arg)
{
	struct replication *r = arg;
	int64_t pause = RESTART_FIRST_MS;

	do {
		if (run_once(r) >= STEADY_MS)
			pause = RESTART_FIRST_MS;
		else if (pause < RESTART_LAST_MS)
			pause *= 2;
	} while (pause_before_restart(r, pause));
	return NULL;
}

/* --- telling slaves what there is ------------------------------------------------------------ */

/* Called with the lock. */
static bool
has_slaves(const struct replication *r)
{
	for (size_t i = 0; i < r->n_peers; i++)
		if (r->peers[i].number > 0 && r->peers[i].state > LINK_PEER_GONE)
			return true;
	return false;
}

/* Wait for a slave; -1: closing, else the link (a duplicate, for the caller to close). */
static int
wait_for_slaves(struct replication *r)
{
	LOCKED(&r->lock);
	while (!r->closing && (r->link < 0 || !has_slaves(r)))
		lock_wait(&r->lock, &r->changed, -1);
	return r->closing ? -1 : dup(r->link);
}

static void *
marks_main(void *arg)
{
	const struct timespec pause = { .tv_nsec = MARKS_PAUSE_MS * 1000000 };
	struct replication *r = arg;
	struct mark *written = store_written(r->store);
	mq_pos told = MQ_POS(-1);
	uint64_t nudges = 0;
	int fd;

	while ((fd = wait_for_slaves(r)) >= 0) {
		if (mark_wait_news(written, told, &nudges, 1000, NULL) == MQ_OK) {
			told = mark_at(written);
			(void)send_marks(r, fd, LINK_MARKS, 0);
			nanosleep(&pause, NULL);
		} else {
			told = MQ_POS(-1);	/* once a second anyway: a new mqrepld, a new slave */
		}
		close(fd);
	}
	return NULL;
}

/* --- another role --------------------------------------------------------------------------- */

/* Called with the lock: the mqrepld that runs now is gone when this returns. */
static void
end_run(struct replication *r)
{
	if (r->link >= 0)
		shutdown(r->link, SHUT_RDWR);
	pthread_cond_broadcast(&r->changed);
	while (r->running && (r->paused || r->at_once) && !r->closing)
		lock_wait(&r->lock, &r->changed, -1);
}

void
replication_pause(struct replication *r)
{
	LOCKED(&r->lock);
	r->paused = true;
	end_run(r);
}

void
replication_role_changed(struct replication *r)
{
	LOCKED(&r->lock);
	r->at_once = true;
	if (!r->paused)
		end_run(r);
	r->paused = false;
	for (size_t i = 0; i < r->n_peers; i++)
		r->peers[i].ack = 0;	/* of another log, perhaps */
	mark_set_back(&r->replicated, MQ_POS(0));
	pthread_cond_broadcast(&r->changed);
}

/* --- begin and end ------------------------------------------------------------------------------ */

int
replication_open(const struct settings *settings, struct store *store, int commitlog_fd, const char *program,
		 struct replication **ret)
{
	struct replication *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->settings = settings;
	r->store = store;
	r->commitlog_fd = commitlog_fd;
	r->program = program;
	r->link = -1;
	lock_init(&r->lock, RANK_REPLICATION);
	cond_init(&r->changed);
	mark_init(&r->replicated, MQ_POS(0));
	r->running = true;
	rc = -pthread_create(&r->link_thread, NULL, link_main, r);
	r->link_started = rc == MQ_OK;
	if (rc == MQ_OK)
		rc = -pthread_create(&r->marks_thread, NULL, marks_main, r);
	r->marks_started = r->link_started && rc == MQ_OK;
	if (rc != MQ_OK) {
		replication_close(r);
		return err_note(rc, "thread: %m");
	}
	*ret = r;
	return MQ_OK;
}

void
replication_close(struct replication *r)
{
	if (!r)
		return;
	lock_take(&r->lock);
	r->closing = true;
	if (r->link >= 0)
		shutdown(r->link, SHUT_RDWR);
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	mark_nudge(store_written(r->store));
	if (r->marks_started)
		pthread_join(r->marks_thread, NULL);
	if (r->link_started)
		pthread_join(r->link_thread, NULL);
	mark_destroy(&r->replicated);
	pthread_cond_destroy(&r->changed);
	lock_destroy(&r->lock);
	free(r);
}
