#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <jansson.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/flags.h"
#include "net/confine.h"
#include "net/program.h"

#define EVENTS_MAX 256
#define LINK_TURN 64			/* messages of the mount in one turn of the loop */
#define LATE_MS 50			/* a busy machine may delay a turn for so long */
#define SAY_MS 500			/* between two LINK_READY that differ in the number of clients alone */

static bool
has_link(void)
{
	int type = 0;

	return getsockopt(LINK_SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) }) == 0 &&
	       type == SOCK_SEQPACKET;
}

/* A person may have started it: the exit status then, else -1. */
static int
look_at_usage(const struct program *p, int argc, char **argv)
{
	switch (flags_next(argc, argv, "hV")) {
	case 'h':
		printf("usage: %s\n\n%s: mount.mqfs starts it, with a link.\n"
		       "There is nothing to be said to it by hand.\n\n"
		       "  -h, -V     this help; the version (also --help, --version)\n", p->name, p->purpose);
		return 0;
	case 'V':
		printf("%s (mqfs) " PACKAGE_VERSION "\n", p->name);
		return 0;
	case '?':
		fprintf(stderr, "%s: %s\nusage: %s\n", p->name, err_text(-EINVAL), p->name);
		return 2;
	}
	if (optind == argc && has_link())
		return -1;
	fprintf(stderr, "%s: there is no link to a mount: it is started by mount.mqfs\nusage: %s\n", p->name, p->name);
	return 2;
}

/* --- with all rights ------------------------------------------------------------------------ */

static int
take_config(struct daemon *d)
{
	struct link_message msg;
	int rc = link_receive(LINK_SOCKET_FD, 0, &msg, NULL);

	if (rc != MQ_OK)
		return rc;
	if (msg.kind != LINK_CONFIG)
		return err_note(MQ_ECORRUPT, "the first message is no configuration");
	d->config = msg.config;
	return outbox_open(&d->out, LINK_SOCKET_FD);
}

/* Their files may be readable by root alone. */
static int
read_certificates(struct daemon *d)
{
	const struct link_config *c = &d->config;
	const struct tls_server what = {
		.cert = c->tls_cert, .key = c->tls_key, .password = c->tls_password, .trust = c->tls_ca,
		.ask = (enum tls_ask)c->tls_ask, .verify = c->tls_verify,
	};

	d->tls_how = (enum tls_how)c->tls_how;
	if (c->tls_strangers)
		return tls_open_server(&what, &d->tls);
	return *c->tls_cert ? tls_open(c->tls_cert, c->tls_key, c->tls_ca, &d->tls) : MQ_OK;
}

/* The confined daemon cannot look up the name.  Listeners set the port. */
static void
find_listen(struct daemon *d)
{
	if (!*d->config.listen)
		return;
	resolve_now(d->config.listen, "0", false, true, &d->listen);
	if (d->listen.n == 0)
		outbox_say(&d->out, LOG_ERR, "listen on %s: %s", d->config.listen, d->listen.why);
}

/* A protection that this kernel or build does not have gets a line in the log. */
static int
say_missing(struct daemon *d, int rc)
{
	if (rc != -ENOSYS)
		return rc;
	outbox_say(&d->out, LOG_NOTICE, "less confined than it could be: %s", err_text(rc));
	return MQ_OK;
}

static int
confine(struct daemon *d, unsigned connections)
{
	unsigned roles = CONFINE_SERVES;
	int rc = confine_user(d->config.user, LINK_COMMITLOG_FD);

	if (d->listen.n > 0)
		roles |= CONFINE_LISTENS;
	if (d->config.slave || *d->config.namesrv)
		roles |= CONFINE_DIALS;
	if (rc == MQ_OK)
		rc = confine_limits(connections + CONFINE_FDS);
	if (rc == MQ_OK)
		rc = say_missing(d, confine_files(LINK_COMMITLOG_FD));
	return rc == MQ_OK ? say_missing(d, confine_calls(roles)) : rc;
}

static int
begin(const struct program *p, struct daemon *d, void *arg)
{
	int rc = confine_fds(LINK_RING_FD);

	if (rc == MQ_OK)
		rc = take_config(d);
	if (rc == MQ_OK)
		rc = p->take(arg);
	if (rc == MQ_OK)
		rc = read_certificates(d);
	if (rc != MQ_OK)
		return rc;
	find_listen(d);
	json_object_seed(0);		/* which reads a file */
	d->commitlog_fd = LINK_COMMITLOG_FD;
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll_fd < 0)
		return err_note(-errno, "epoll: %m");
	return confine(d, p->connections);
}

/* --- the loop ---------------------------------------------------------------------------------- */

static int
receive_from_mount(struct daemon *d)
{
	struct link_message msg;
	int blob_fd, rc = link_receive(d->link.fd, MSG_DONTWAIT, &msg, &blob_fd);

	if (rc != MQ_OK || msg.kind != LINK_PING)
		return rc == MQ_OK ? d->program->on_message(d->arg, &msg, blob_fd) : rc;
	(void)outbox_put(&d->out, &(struct link_message){ .kind = LINK_PONG }, 0);
	return MQ_OK;
}

static void
link_ready(struct watch *w, uint32_t events)
{
	struct daemon *d = (struct daemon *)w;
	int rc = events & EPOLLOUT ? outbox_send(&d->out) : MQ_OK;

	for (int i = 0; i < LINK_TURN && rc == MQ_OK; i++)
		rc = receive_from_mount(d);
	if (rc != MQ_OK && rc != -EAGAIN)
		d->rc = rc == -EPIPE ? MQ_EEND : rc;
}

int64_t
program_say_ready(struct daemon *d, const struct link_message *msg)
{
	const struct link_message *told = &d->told;
	bool same = told->kind == LINK_READY && told->port == msg->port && told->remoting_port == msg->remoting_port &&
		    told->vip_port == msg->vip_port && d->told_recoveries == d->recoveries;

	if (same && told->len == msg->len)
		return 0;
	if (same && d->now_ms < d->told_ms + SAY_MS)
		return d->told_ms + SAY_MS;
	if (!outbox_put(&d->out, msg, 0))
		return 0;
	d->told = *msg;
	d->told_ms = d->now_ms;
	d->told_recoveries = d->recoveries;
	return 0;
}

/* How long to wait for events until then, -1: for ever. */
static int
wait_for(const struct daemon *d, int64_t next_ms)
{
	if (next_ms == 0)
		return -1;
	if (next_ms <= d->now_ms)
		return 0;
	return next_ms - d->now_ms < INT32_MAX ? (int)(next_ms - d->now_ms) : INT32_MAX;
}

/* now_ms does not count time in which the process or the whole machine was stopped: a peer is not
 * dead because nothing was received from it meanwhile. */
static void
look_at_clock(struct daemon *d, int wait_ms)
{
	int64_t now = clock_mono_ms() - d->stood_still_ms, most = d->now_ms + wait_ms + LATE_MS;

	if (wait_ms >= 0 && now > most) {
		d->stood_still_ms += now - most;
		now = most;
	}
	d->now_ms = now;
}

static int
loop(const struct program *p, struct daemon *d, void *arg)
{
	struct epoll_event events[EVENTS_MAX];

	while (d->rc == MQ_OK && !d->over) {
		int n, wait_ms = wait_for(d, p->tick(arg));

		watch_ask(d, &d->link, EPOLLIN | (d->out.n > 0 ? EPOLLOUT : 0));
		n = epoll_wait(d->epoll_fd, events, EVENTS_MAX, wait_ms);
		look_at_clock(d, wait_ms);
		if (p->woken)
			p->woken(arg);
		for (int i = 0; i < n; i++) {
			struct watch *w = events[i].data.ptr;

			w->ready(w, events[i].events);
		}
	}
	return d->rc;
}

static int
run(const struct program *p, struct daemon *d, void *arg)
{
	int rc;

	d->program = p;
	d->arg = arg;
	d->now_ms = clock_mono_ms();
	d->link = (struct watch){ .ready = link_ready, .fd = -1 };
	rc = watch_open(d, &d->link, LINK_SOCKET_FD, EPOLLIN);
	if (rc != MQ_OK)
		return rc;
	rc = p->open(arg);
	if (rc == MQ_OK)
		rc = loop(p, d, arg);
	p->close(arg);
	return rc;
}

int
program_main(const struct program *p, int argc, char **argv, struct daemon *d, void *arg)
{
	int rc = look_at_usage(p, argc, argv);

	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);	/* sendfile(2) and OpenSSL have no flag against it */
	rc = begin(p, d, arg);
	if (rc == MQ_OK)
		rc = run(p, d, arg);
	if (rc == MQ_EEND)		/* the mount has closed the link */
		rc = MQ_OK;
	if (rc != MQ_OK && d->out.queue)
		outbox_say(&d->out, LOG_ERR, "%s", err_text(rc));
	else if (rc != MQ_OK)
		fprintf(stderr, "%s: %s\n", p->name, err_text(rc));
	tls_close(d->tls);
	outbox_close(&d->out);
	return rc == MQ_OK ? 0 : 1;
}
