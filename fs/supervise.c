#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "fs/mountpoint.h"
#include "fs/supervise.h"

#define STEADY_MS 1000		/* who has served so long did not die of beginning */
#define PAUSE_MS 50		/* after the second quick death; then twice as long each time */
#define PAUSE_MAX_MS 3000
#define QUICK_DEATHS_MAX 10
#define EXIT_GAVE_UP 2		/* the system is in the way */

/* One packet, one of these. */
enum news {
	NEWS_READY = 'r',
	NEWS_ENDED = 'e',
};

struct supervisor {
	const struct supervise_conf *conf;
	int signal_fd;
	int line_fd;		/* to the broker */
	pid_t broker;
	bool was_ready;		/* one of them */
	bool ended;		/* in order */
	bool told_to_end;	/* a signal came */
	int64_t ready_ms;	/* when this one was; 0: not yet */
	int64_t restarts;
	int quick_deaths;	/* in a row */
	uint64_t mount_id;
};

/* --- in the broker ---------------------------------------------------------------- */

static void
lifeline_say(const struct lifeline *line, enum news news)
{
	char byte = (char)news;

	if (line->fd >= 0)
		(void)!send(line->fd, &byte, 1, MSG_NOSIGNAL);
}

void
lifeline_ready(const struct lifeline *line)
{
	lifeline_say(line, NEWS_READY);
}

void
lifeline_ended(const struct lifeline *line)
{
	lifeline_say(line, NEWS_ENDED);
}

/* Nothing is ever said to the broker: what comes is the end. */
static void *
lifeline_main(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char byte;

	while (recv(fd, &byte, 1, 0) < 0 && errno == EINTR)
		;
	log_warn("the supervisor is gone: this broker serves on, but nobody would start another one");
	return NULL;
}

static void
lifeline_watch(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, lifeline_main, (void *)(intptr_t)fd) != 0)
		log_warn("the supervisor is not watched: %s", strerror(errno));
	pthread_attr_destroy(&attr);
}

static _Noreturn void
broker_main(const struct supervisor *s, int line_fd)
{
	struct lifeline line = { .fd = line_fd, .restarts = s->restarts };
	sigset_t child;

	close(s->signal_fd);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &child, NULL);
	lifeline_watch(line_fd);
	exit(s->conf->serve(s->conf->arg, &line));
}

/* --- one broker ---------------------------------------------------------------------- */

static int
broker_start(struct supervisor *s)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_note(-errno, "socketpair: %m");
	s->broker = fork();
	if (s->broker < 0) {
		int rc = err_note(-errno, "fork: %m");

		close(pair[0]);
		close(pair[1]);
		return rc;
	}
	if (s->broker == 0) {
		close(pair[0]);
		broker_main(s, pair[1]);
	}
	close(pair[1]);
	s->line_fd = pair[0];
	s->ready_ms = 0;
	s->ended = false;
	return MQ_OK;
}

static void
broker_is_ready(struct supervisor *s)
{
	s->ready_ms = clock_mono_ms();
	s->mount_id = mountpoint_id(s->conf->mountpoint);
	if (!s->was_ready)
		s->conf->ready(s->conf->arg);
	s->was_ready = true;
}

/* False: it said nothing. */
static bool
broker_hear(struct supervisor *s)
{
	char byte;

	if (recv(s->line_fd, &byte, 1, MSG_DONTWAIT) != 1)
		return false;
	if (byte == NEWS_READY)
		broker_is_ready(s);
	else if (byte == NEWS_ENDED)
		s->ended = true;
	return true;
}

/* A signal for us: the broker's end, or ours. */
static void
signal_take(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
		return;
	s->told_to_end = true;
	if (s->broker > 0)
		kill(s->broker, (int)info.ssi_signo);
}

/* Until it is gone. */
static int
broker_watch(struct supervisor *s)
{
	struct pollfd fds[] = {
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->line_fd, .events = POLLIN },
	};
	int status;

	while (waitpid(s->broker, &status, WNOHANG) == 0) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents & POLLIN)
			signal_take(s);
		if (fds[1].revents && !broker_hear(s))
			fds[1].fd = -1;
	}
	while (broker_hear(s))		/* its last words */
		;
	close(s->line_fd);
	s->broker = 0;
	return status;
}

/* --- what its end means ---------------------------------------------------------------- */

static void
say_how(const struct supervisor *s, int status)
{
	const char *when = s->ready_ms ? "" : " before it was mounted";

	if (WIFSIGNALED(status))
		log_err("the broker was killed by SIG%s%s%s", sigabbrev_np(WTERMSIG(status)),
			WCOREDUMP(status) ? " (core dumped)" : "", when);
	else
		log_err("the broker ended unexpectedly%s, with status %d", when, WEXITSTATUS(status));
}

/* Is that the last of it?  Then *ret_code is what we return. */
static bool
is_final(const struct supervisor *s, int status, int *ret_code)
{
	if (WIFEXITED(status) && (s->ended || !s->was_ready)) {
		*ret_code = WEXITSTATUS(status);	/* it has said why */
		return true;
	}
	say_how(s, status);
	*ret_code = EXIT_GAVE_UP;
	return s->told_to_end || !s->was_ready;
}

/* How long to wait before the next one; -1: it makes no sense. */
static int
pause_ms(struct supervisor *s)
{
	int ms = PAUSE_MS;

	if (s->ready_ms && clock_mono_ms() - s->ready_ms >= STEADY_MS)
		s->quick_deaths = 0;
	else
		s->quick_deaths++;
	if (s->quick_deaths < 2)
		return 0;
	if (s->quick_deaths == QUICK_DEATHS_MAX)
		return -1;
	for (int i = 2; i < s->quick_deaths && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

/* False: a signal came. */
static bool
pause_for(struct supervisor *s, int ms)
{
	struct pollfd fd = { .fd = s->signal_fd, .events = POLLIN };
	int64_t until = clock_mono_ms() + ms, left;

	while (!s->told_to_end && (left = until - clock_mono_ms()) > 0)
		if (poll(&fd, 1, (int)left) > 0)
			signal_take(s);
	return !s->told_to_end;
}

/* Somebody has taken the dead mount away: nobody wants another one there. */
static bool
was_unmounted(const struct supervisor *s)
{
	uint64_t id = mountpoint_id(s->conf->mountpoint);

	return id != 0 && id != s->mount_id;
}

/* After a death: shall there be another broker?  False with *ret_code. */
static bool
shall_restart(struct supervisor *s, int *ret_code)
{
	int ms = pause_ms(s);

	if (ms < 0) {
		log_err("%d brokers died one after the other, each at once: giving up", s->quick_deaths);
		*ret_code = EXIT_GAVE_UP;
		return false;
	}
	*ret_code = 0;
	if (!pause_for(s, ms)) {
		log_notice("%s: told to end", s->conf->mountpoint);
		return false;
	}
	if (was_unmounted(s)) {
		log_notice("%s was unmounted", s->conf->mountpoint);
		return false;
	}
	s->restarts++;
	log_notice("starting the broker again (restart %" PRId64 ")", s->restarts);
	return true;
}

/* What a broker leaves that died. */
static void
clear_away(const struct supervisor *s)
{
	if (s->was_ready && !s->ended && !was_unmounted(s) && mountpoint_detach(s->conf->mountpoint) != MQ_OK)
		log_err("%s", err_text(-EBUSY));
}

/* --- the loop ----------------------------------------------------------------------------- */

static int
signals_open(int *ret_fd)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return *ret_fd < 0 ? err_note(-errno, "signalfd: %m") : MQ_OK;
}

int
supervise(const struct supervise_conf *conf)
{
	struct supervisor s = { .conf = conf, .signal_fd = -1 };
	int rc, status, code = EXIT_GAVE_UP;

	rc = signals_open(&s.signal_fd);
	while (rc == MQ_OK) {
		rc = broker_start(&s);
		if (rc != MQ_OK)
			break;
		status = broker_watch(&s);
		if (is_final(&s, status, &code) || !shall_restart(&s, &code))
			break;
	}
	if (rc != MQ_OK)
		log_err("supervisor: %s", err_text(rc));
	clear_away(&s);
	if (s.signal_fd >= 0)
		close(s.signal_fd);
	return code;
}
