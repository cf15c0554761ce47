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
#include "fs/estate.h"
#include "fs/mountpoint.h"
#include "fs/supervise.h"
#include "fs/watchdog.h"

#define STEADY_MS 500		/* a broker that dies earlier has died a quick death */
#define HUNG_STEADY 10		/* the same for one that hung, in limits of the watchdog */
#define PAUSE_MS 50		/* after the second quick death; then twice as long each time */
#define PAUSE_MAX_MS 3000
#define QUICK_DEATHS_KEPT 3	/* after so many a request may be the cause: the connection is not kept */
#define QUICK_DEATHS_MAX 10
#define EXIT_GAVE_UP 2		/* as mount(8): system error */

#define PACKET_BYTES 4096

/* The first byte of a packet. */
enum news {
	NEWS_SETTING = 's',	/* KEY NUL VALUE NUL */
	NEWS_READY = 'r',	/* with the FUSE connection as a descriptor, if it can be inherited */
	NEWS_LET_GO = 'l',	/* close that descriptor; answered when it is closed */
	NEWS_ENDED = 'e',	/* the broker ends in order */
};

struct supervisor {
	const struct supervise_conf *conf;
	int signal_fd;
	int line_fd;		/* to the broker */
	pid_t broker;
	bool was_ready;		/* a broker was, this one or one before */
	bool ended;		/* this broker has sent NEWS_ENDED */
	bool told_to_end;	/* the supervisor has got a signal */
	int64_t ready_ms;	/* when this broker was ready; 0: not yet */
	int64_t restarts;
	int quick_deaths;	/* in a row */
	struct watchdog watchdog;
	int64_t hung_limit_ms;	/* the limit after which this broker was killed because it hung; 0: it was not */
	uint64_t mount_id;
	int session_fd;		/* -1: none that could be inherited */
	struct estate *estate;
};

/* --- in the broker ---------------------------------------------------------------- */

/* Room for a descriptor that is sent with a packet. */
union fd_message {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

static void
lifeline_send(const struct lifeline *line, const char *bytes, size_t len, int fd)
{
	struct iovec iov = { .iov_base = (char *)bytes, .iov_len = len };
	union fd_message attached = {
		.head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd)) },
	};
	struct msghdr packet = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (line->fd < 0)
		return;
	if (fd >= 0) {
		memcpy(CMSG_DATA(&attached.head), &fd, sizeof(fd));
		packet.msg_control = &attached;
		packet.msg_controllen = sizeof(attached);
	}
	if (sendmsg(line->fd, &packet, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		log_warn("supervisor: %s", strerror(errno));
}

static void
lifeline_say(const struct lifeline *line, enum news news, int fd)
{
	char byte = (char)news;

	lifeline_send(line, &byte, 1, fd);
}

void
lifeline_setting(const struct lifeline *line, const char *key, const char *value)
{
	char packet[PACKET_BYTES];
	int len = snprintf(packet, sizeof(packet), "%c%s%c%s", NEWS_SETTING, key, '\0', value);

	if (len >= (int)sizeof(packet))
		log_warn("%s: too long a value for a broker that comes after this one", key);
	else
		lifeline_send(line, packet, (size_t)len + 1, -1);
}

void
lifeline_ready(const struct lifeline *line, int session_fd)
{
	lifeline_say(line, NEWS_READY, session_fd);
}

void
lifeline_let_go(const struct lifeline *line)
{
	char byte;

	if (line->fd < 0)
		return;
	lifeline_say(line, NEWS_LET_GO, -1);
	while (recv(line->fd, &byte, 1, 0) < 0 && errno == EINTR)
		;
}

void
lifeline_ended(const struct lifeline *line)
{
	lifeline_say(line, NEWS_ENDED, -1);
}

static void *
lifeline_main(void *arg)
{
	struct pollfd line = { .fd = (int)(intptr_t)arg };

	while (poll(&line, 1, -1) < 0 && errno == EINTR)
		;
	log_warn("the supervisor is gone: this broker continues, but no other one is started when it dies");
	return NULL;
}

static void
lifeline_watch(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, lifeline_main, (void *)(intptr_t)fd);
	if (err != 0)
		log_warn("the supervisor is not watched: %s", strerror(err));
	pthread_attr_destroy(&attr);
}

static _Noreturn void
broker_main(const struct supervisor *s, int line_fd)
{
	struct lifeline line = {
		.fd = line_fd,
		.restarts = s->restarts,
		.estate = s->estate,
		.session_fd = s->session_fd,
	};
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

	s->ready_ms = 0;
	s->ended = false;
	s->hung_limit_ms = 0;
	memset(&s->watchdog, 0, sizeof(s->watchdog));
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

/* The kernel ends the connection when neither the supervisor nor a broker has it open. */
static void
session_close_fd(struct supervisor *s)
{
	if (s->session_fd >= 0)
		close(s->session_fd);
	s->session_fd = -1;
}

/* One packet, with two NULs behind it; *ret_fd is the descriptor that came along, or -1. */
static bool
line_receive(int line_fd, char buf[PACKET_BYTES + 2], int *ret_fd)
{
	union fd_message attached;
	struct iovec iov = { .iov_base = buf, .iov_len = PACKET_BYTES };
	struct msghdr packet = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &attached,
		.msg_controllen = sizeof(attached),
	};
	struct cmsghdr *head;
	ssize_t n = recvmsg(line_fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return false;
	buf[n] = buf[n + 1] = '\0';
	*ret_fd = -1;
	head = CMSG_FIRSTHDR(&packet);
	if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(head), sizeof(int));
	return true;
}

/* Read one packet of the broker.  False: there is none. */
static bool
broker_receive(struct supervisor *s)
{
	char packet[PACKET_BYTES + 2];
	int fd;

	if (!line_receive(s->line_fd, packet, &fd))
		return false;
	switch (packet[0]) {
	case NEWS_SETTING:
		s->conf->setting(s->conf->arg, packet + 1, strchr(packet, '\0') + 1);
		break;
	case NEWS_READY:
		session_close_fd(s);
		s->session_fd = fd;
		broker_is_ready(s);
		break;
	case NEWS_LET_GO:
		session_close_fd(s);
		(void)!send(s->line_fd, packet, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	case NEWS_ENDED:
		s->ended = true;
		break;
	}
	return true;
}

/* Read a signal: SIGCHLD, or one that ends the mount, which is passed on to the broker. */
static void
signal_read(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
		return;
	s->told_to_end = true;
	if (s->broker > 0)
		kill(s->broker, (int)info.ssi_signo);
}

/* Kill a broker that hangs: first by SIGABRT, which leaves a core and needs a process that runs; then by SIGKILL. */
static void
broker_check(struct supervisor *s)
{
	int64_t limit_s = *s->conf->watchdog_s;
	int hung;

	if (!s->ready_ms || s->session_fd < 0 || !s->estate)
		return;
	hung = watchdog_look(&s->watchdog, s->broker, s->session_fd, s->estate->beats);
	if (hung == 0)
		return;
	if (s->hung_limit_ms == 0) {
		log_err("the broker hangs: for %" PRId64 " s %s; it is made to end", limit_s, s->watchdog.why);
		kill(s->broker, SIGABRT);
		kill(s->broker, SIGCONT);
	} else if (hung > 1) {
		kill(s->broker, SIGKILL);
	}
	s->hung_limit_ms = limit_s * 1000;
}

/* Serve the broker until it is dead; returns its wait status. */
static int
broker_watch(struct supervisor *s)
{
	struct pollfd fds[] = {
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->line_fd, .events = POLLIN },
	};
	int status;

	while (waitpid(s->broker, &status, WNOHANG) == 0) {
		int n = poll(fds, 2, watchdog_pause_ms(*s->conf->watchdog_s));

		if (n == 0)
			broker_check(s);
		if (n <= 0)
			continue;
		if (fds[0].revents & POLLIN)
			signal_read(s);
		if (fds[1].revents && !broker_receive(s))
			fds[1].fd = -1;
	}
	while (broker_receive(s))		/* packets that it sent before it died */
		;
	close(s->line_fd);
	s->broker = 0;
	return status;
}

/* --- what its end means ---------------------------------------------------------------- */

static void
log_death(const struct supervisor *s, int status)
{
	const char *when = s->ready_ms ? "" : " before it was mounted";

	if (WIFSIGNALED(status))
		log_err("the broker was killed by SIG%s%s%s", sigabbrev_np(WTERMSIG(status)),
			WCOREDUMP(status) ? " (core dumped)" : "", when);
	else
		log_err("the broker ended unexpectedly%s, with status %d", when, WEXITSTATUS(status));
}

/* Is no broker to be started after this one?  Then *ret_code is the supervisor's exit code. */
static bool
is_final(const struct supervisor *s, int status, int *ret_code)
{
	bool in_order = s->ended && (s->ready_ms || s->told_to_end);

	if (WIFEXITED(status) && (in_order || !s->was_ready)) {
		*ret_code = WEXITSTATUS(status);	/* the broker has logged the reason */
		return true;
	}
	log_death(s, status);
	*ret_code = EXIT_GAVE_UP;
	return s->told_to_end || !s->was_ready;
}

/* How long to wait before the next broker is started; -1: give up. */
static int
pause_ms(struct supervisor *s)
{
	int64_t steady_ms = STEADY_MS + HUNG_STEADY * s->hung_limit_ms;
	int ms = PAUSE_MS;

	if (s->ready_ms && clock_mono_ms() - s->ready_ms >= steady_ms)
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
			signal_read(s);
	return !s->told_to_end;
}

/* Was the mount point unmounted, so that no other broker is wanted? */
static bool
was_unmounted(const struct supervisor *s)
{
	struct pollfd connection = { .fd = s->session_fd };
	uint64_t id;

	if (s->session_fd >= 0)
		return poll(&connection, 1, 0) == 1 && (connection.revents & POLLERR);
	id = mountpoint_id(s->conf->mountpoint);
	return id != 0 && id != s->mount_id;
}

/* After a death: is another broker to be started?  False with *ret_code. */
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
	if (s->quick_deaths >= QUICK_DEATHS_KEPT && s->session_fd >= 0) {
		log_warn("the next broker mounts anew, because a request may be what kills them; open files are lost");
		session_close_fd(s);
	}
	if (s->session_fd < 0) {	/* a broker that mounts anew begins with an empty estate */
		estate_close(s->estate);
		s->estate = estate_open();
	}
	s->restarts++;
	log_notice("starting the broker again (restart %" PRId64 ")", s->restarts);
	return true;
}

/* Unmount what a dead broker has left. */
static void
unmount_dead(struct supervisor *s)
{
	bool there = s->was_ready && !s->ended && !was_unmounted(s);

	session_close_fd(s);
	estate_close(s->estate);
	if (there && mountpoint_detach(s->conf->mountpoint) != MQ_OK)
		log_err("%s", err_text(-EBUSY));
}

/* --- the loop ----------------------------------------------------------------------------- */

static int
signals_open(int *ret_fd)
{
	sigset_t set;

	signal(SIGCHLD, SIG_DFL);	/* if it were ignored, waitpid() would not see deaths */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return *ret_fd < 0 ? err_note(-errno, "signalfd: %m") : MQ_OK;
}

/* Start a broker and serve it until it is dead.  True: it was the last one; *ret_code is the exit code. */
static bool
broker_live(struct supervisor *s, int *ret_code)
{
	int rc = broker_start(s);

	if (rc == MQ_OK)
		return is_final(s, broker_watch(s), ret_code);
	log_err("supervisor: %s", err_text(rc));
	*ret_code = EXIT_GAVE_UP;
	return !s->was_ready;
}

int
supervise(const struct supervise_conf *conf)
{
	struct supervisor s = { .conf = conf, .session_fd = -1, .estate = estate_open() };
	int rc, code = EXIT_GAVE_UP;

	rc = signals_open(&s.signal_fd);
	if (rc != MQ_OK) {
		log_err("supervisor: %s", err_text(rc));
		return EXIT_GAVE_UP;
	}
	while (!broker_live(&s, &code) && shall_restart(&s, &code))
		;
	unmount_dead(&s);
	close(s.signal_fd);
	return code;
}
