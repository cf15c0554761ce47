#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/thread.h"
#include "net/child.h"

#define RESTART_FIRST_MS 100
#define RESTART_LAST_MS 5000
#define STEADY_MS 10000			/* it ran that long: the next restart is quick again */
#define END_MS 100			/* that a daemon may take to exit after the end of its link */
#define LINES_PER_S 50			/* that a daemon may say */
#define PING_MS 2000
#define PINGS_MAX 8			/* without an answer: it hangs */

struct child {
	struct child_for what;

	struct lock lock;		/* all below */
	pthread_cond_t changed;
	bool closing;
	int held;			/* above 0: it must not be started */
	bool runs;			/* it runs, or its end is waited for */
	int link_fd;			/* -1: there is none */
	unsigned starts;

	struct exchange *exchange;
	struct thread thread;
};

/* --- one run ------------------------------------------------------------------------------ */

struct run {
	struct child_run pub;
	bool said;			/* the daemon, or we, told of a trouble */
	int64_t second_ms;		/* when this second began, */
	int lines;			/* and how many lines the daemon has said in it */
};

/* A daemon that was taken over cannot fill the log: more than LINES_PER_S lines are dropped,
 * which is logged once a second. */
static bool
may_say(const struct child *c, struct run *run)
{
	int64_t now = clock_mono_ms();

	if (now >= run->second_ms + 1000) {
		run->second_ms = now;
		run->lines = 0;
	}
	if (++run->lines == LINES_PER_S + 1)
		log_warn("%s says more than %d lines a second: the others are dropped", c->what.start.name,
			 LINES_PER_S);
	return run->lines <= LINES_PER_S;
}

static void
say(struct child *c, struct run *run, const struct link_message *msg)
{
	if (!may_say(c, run))
		return;
	if (msg->level <= LOG_ERR) {
		run->said = true;
		c->what.trouble(c->what.arg, msg->text);
		return;
	}
	log_line(msg->level > LOG_DEBUG ? LOG_NOTICE : msg->level, "%s: %s", c->what.start.name, msg->text);
}

/* The next message of the daemon.  It gets a PING now and then, so that one that loops or is
 * stopped is noticed.  Pings without an answer are counted, and not their time, which also
 * passes while the mount itself is stopped. */
static int
wait_for_message(struct child *c, struct run *run, struct link_message *ret, int *ret_blob)
{
	const struct link_message ping = { .version = LINK_VERSION, .kind = LINK_PING };
	char why[96];

	for (int unanswered = 0; unanswered < PINGS_MAX; unanswered++) {
		int rc = link_receive(run->pub.link_fd, 0, ret, ret_blob);	/* waits PING_MS at most */

		if (rc != -EAGAIN)
			return rc;
		(void)link_send_blob(run->pub.link_fd, MSG_DONTWAIT, &ping, -1);
	}
	snprintf(why, sizeof(why), "%s has not answered for %d s; it is started again", c->what.start.name,
		 PINGS_MAX * PING_MS / 1000);
	run->said = true;
	c->what.trouble(c->what.arg, why);
	return -ETIMEDOUT;
}

static int
on_message(struct child *c, struct run *run, const struct link_message *msg, int blob_fd)
{
	if (msg->kind == LINK_REQUEST || msg->kind == LINK_RESPONSE)
		return exchange_on_message(c->exchange, msg, blob_fd);
	if (blob_fd >= 0)
		close(blob_fd);
	switch (msg->kind) {
	case LINK_SAY:
		say(c, run, msg);
		return MQ_OK;
	case LINK_PONG:			/* it only ends the wait */
		return MQ_OK;
	default:
		return c->what.on_message(c->what.arg, &run->pub, msg);
	}
}

/* Serve the daemon until it ends, sends an invalid message, does not answer, or is held. */
static int
talk(struct child *c, struct run *run)
{
	struct link_message msg;
	int rc = c->what.begin(c->what.arg, &run->pub), blob_fd;

	exchange_attach(c->exchange, run->pub.link_fd);	/* requests follow what begin() sends */
	while (rc == MQ_OK) {
		rc = wait_for_message(c, run, &msg, &blob_fd);
		if (rc == MQ_OK)
			rc = on_message(c, run, &msg, blob_fd);
	}
	return rc;
}

/* Tell how a daemon ended that has not given a reason itself. */
static void
note_end(struct child *c, int status)
{
	char text[128];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "%s was killed by signal %d (%s); it is started again",
			 c->what.start.name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof(text), "%s ended with status %d; it is started again", c->what.start.name,
			 WEXITSTATUS(status));
	c->what.trouble(c->what.arg, text);
}

/* A daemon that closed its link by itself exits soon, and its status is reported.  Any other
 * is killed. */
static void
wait_for_end(struct child *c, const struct run *run, bool by_itself)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	pid_t pid = run->pub.pid, gone = 0;
	int status = 0;

	for (int i = 0; i < END_MS && by_itself && gone == 0; i++) {
		gone = waitpid(pid, &status, WNOHANG);
		if (gone == 0)
			nanosleep(&tick, NULL);
	}
	if (gone == pid && !run->said)
		note_end(c, status);
	if (gone == pid)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* Is the daemon to go on? */
static bool
is_wanted(struct child *c)
{
	LOCKED(&c->lock);
	return !c->closing && c->held == 0;
}

static void
set_link(struct child *c, int fd)
{
	LOCKED(&c->lock);
	if (c->link_fd >= 0)
		close(c->link_fd);
	c->link_fd = fd;
	if (fd >= 0)
		c->starts++;
	if (fd >= 0 && (c->closing || c->held > 0))
		shutdown(fd, SHUT_RDWR);
	pthread_cond_broadcast(&c->changed);
}

/* Start the daemon and serve it to its end.  Returns how long it ran. */
static int64_t
run_once(struct child *c)
{
	const struct timeval patience = { .tv_sec = PINGS_MAX * PING_MS / 1000 };	/* with one that reads nothing */
	const struct timeval turn = { .tv_sec = PING_MS / 1000 };
	int64_t began = clock_mono_ms();
	struct run run = { .said = false };
	void *ring = NULL;
	int rc;

	rc = start_daemon(&c->what.start, c->what.program, c->what.commitlog_fd, &run.pub.pid, &run.pub.link_fd, &ring);
	if (rc != MQ_OK) {
		c->what.trouble(c->what.arg, err_text(rc));
		return 0;
	}
	run.pub.ring = ring;
	set_link(c, run.pub.link_fd);
	run.pub.number = c->starts;	/* nobody else changes it */
	(void)setsockopt(run.pub.link_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void)setsockopt(run.pub.link_fd, SOL_SOCKET, SO_RCVTIMEO, &turn, sizeof(turn));

	rc = talk(c, &run);

	exchange_detach(c->exchange);
	c->what.ended(c->what.arg, &run.pub);
	set_link(c, -1);
	wait_for_end(c, &run, rc != MQ_ECORRUPT && is_wanted(c));
	munmap(ring, LINK_RING_BYTES);
	if (rc == MQ_ECORRUPT)
		log_err("%s was ended: %s", c->what.start.name, err_text(rc));
	return clock_mono_ms() - began;
}

/* --- runs, one after the other ------------------------------------------------------------------- */

static bool
may_start(const struct child *c)
{
	MUST_HOLD(&c->lock);
	return c->held == 0 && (!c->what.is_needed || c->what.is_needed(c->what.arg));
}

/* Wait while the daemon is held or not needed, and then for ms, unless it was held.
 * False: closing. */
static bool
pause_before_start(struct child *c, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms, left = 0;

	LOCKED(&c->lock);
	while (!c->closing && (!may_start(c) || (left = until - clock_mono_ms()) > 0)) {
		if (!may_start(c))
			until = 0;
		lock_wait(&c->lock, &c->changed, !may_start(c) ? -1 : (int)left);
	}
	c->runs = !c->closing;
	return c->runs;
}

static void
set_over(struct child *c)
{
	LOCKED(&c->lock);
	c->runs = false;
	pthread_cond_broadcast(&c->changed);
}

static void *
child_main(void *arg)
{
	struct child *c = arg;
	int64_t pause = 0;

	while (pause_before_start(c, pause)) {
		if (run_once(c) >= STEADY_MS || pause == 0)
			pause = RESTART_FIRST_MS;
		else
			pause = 2 * pause < RESTART_LAST_MS ? 2 * pause : RESTART_LAST_MS;
		set_over(c);
	}
	return NULL;
}

/* --- the owner's calls ----------------------------------------------------------------------- */

struct exchange *
child_exchange(const struct child *c)
{
	return c->exchange;
}

static void
end_run(struct child *c)
{
	MUST_HOLD(&c->lock);
	if (c->link_fd >= 0)
		shutdown(c->link_fd, SHUT_RDWR);
}

void
child_end(struct child *c)
{
	LOCKED(&c->lock);
	end_run(c);
}

void
child_hold(struct child *c)
{
	LOCKED(&c->lock);
	c->held++;
	end_run(c);
	pthread_cond_broadcast(&c->changed);
	while (c->runs)
		lock_wait(&c->lock, &c->changed, -1);
}

void
child_release(struct child *c)
{
	LOCKED(&c->lock);
	c->held--;
	pthread_cond_broadcast(&c->changed);
}

int
child_open(const struct child_for *what, struct child **ret)
{
	struct child *c = calloc(1, sizeof(*c));
	char name[16];
	int rc;

	if (!c)
		return -ENOMEM;
	c->what = *what;
	c->link_fd = -1;
	lock_init(&c->lock, RANK_CHILD);
	cond_init(&c->changed);
	rc = exchange_open(&(struct exchange_for){ what->start.name, what->serve, what->arg, what->settled },
			   &c->exchange);
	*ret = c;
	snprintf(name, sizeof(name), "%s-link", what->start.name);
	if (rc == MQ_OK)
		rc = thread_start(&c->thread, name, child_main, c);
	if (rc != MQ_OK) {
		*ret = NULL;
		child_close(c);
	}
	return rc;
}

void
child_stop(struct child *c)
{
	if (!c)
		return;
	exchange_stop(c->exchange);
	LOCKED(&c->lock);
	c->closing = true;
	end_run(c);
	pthread_cond_broadcast(&c->changed);
}

void
child_close(struct child *c)
{
	if (!c)
		return;
	child_stop(c);
	thread_join(&c->thread);
	exchange_close(c->exchange);
	pthread_cond_destroy(&c->changed);
	lock_destroy(&c->lock);
	free(c);
}
