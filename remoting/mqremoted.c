/* mqremoted - speaks with RocketMQ's clients, tools and name servers.  Started by mount.mqfs;
 * see net/link.h for what it is given. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <jansson.h>

#include "conf/err.h"
#include "net/confine.h"
#include "net/program.h"
#include "remoting/loop.h"

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
	return MQ_OK;
}

/* The descriptors of the rings come one after the other. */
static int
take_rings(struct loop *l)
{
	struct ring_fds fds = RING_NO_FDS;
	int *const list[] = { &fds.in, &fds.out, &fds.wake_mount, &fds.wake_client };

	for (int i = 0; i < 4; i++) {
		struct link_message msg;
		int fd = -1, rc = link_receive(LINK_SOCKET_FD, 0, &msg, &fd);

		*list[i] = fd;
		if (rc != MQ_OK)
			return rc;
		if (msg.kind != LINK_RING || msg.code != i)
			return err_note(MQ_ECORRUPT, "the mount gives no rings");
	}
	return traffic_open(l, &fds, &l->traffic);
}

static int
take_certificates(struct daemon *d)
{
	const struct link_config *c = &d->config;
	const struct tls_server what = {
		.cert = c->tls_cert, .key = c->tls_key, .password = c->tls_password, .trust = c->tls_ca,
		.ask = (enum tls_ask)c->tls_ask, .verify = c->tls_verify,
	};

	d->tls_how = (enum tls_how)c->tls_how;
	if (c->tls_strangers)
		return tls_open_server(&what, &d->tls);
	return tls_open(c->tls_cert, c->tls_key, c->tls_ca, &d->tls);
}

/* What follows comes with fewer rights, so names are looked up here. */
static void
find_listen(struct loop *l)
{
	const struct link_config *c = &l->d.config;
	char port[16];

	snprintf(port, sizeof(port), "%d", (int)c->remoting_port);
	resolve_now(c->listen, port, false, true, &l->listen);
	if (l->listen.n == 0)
		outbox_say(&l->d.out, LOG_ERR, "listen on %s: %s", c->listen, l->listen.why);
}

/* What this kernel or build does not have is told; any other failure ends us. */
static int
say_missing(struct daemon *d, int rc)
{
	if (rc != -ENOSYS)
		return rc;
	outbox_say(&d->out, LOG_NOTICE, "less confined than it could be: %s", err_text(rc));
	return MQ_OK;
}

/* So many connections may there be: each is a descriptor. */
static size_t
count_connections(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_max >= CONNECTIONS_MAX + CONFINE_FDS)
		return CONNECTIONS_MAX;
	return lim.rlim_max > 2 * CONFINE_FDS ? (size_t)lim.rlim_max - CONFINE_FDS : CONFINE_FDS;
}

static int
confine(struct daemon *d)
{
	unsigned roles = CONFINE_SERVES | CONFINE_LISTENS | (*d->config.namesrv ? CONFINE_DIALS : 0);
	int rc;

	rc = confine_user(d->config.user, LINK_COMMITLOG_FD);
	if (rc == MQ_OK)
		rc = confine_limits(CONNECTIONS_MAX + CONFINE_FDS);
	if (rc == MQ_OK)
		rc = say_missing(d, confine_files(LINK_COMMITLOG_FD));
	if (rc == MQ_OK)
		rc = say_missing(d, confine_calls(roles));
	return rc;
}

static int
run(void *arg)
{
	struct loop *l = arg;
	struct daemon *d = &l->d;
	int rc;

	rc = confine_fds(LINK_RING_FD);
	if (rc == MQ_OK)
		rc = take_config(d);
	if (rc == MQ_OK)
		rc = take_rings(l);
	if (rc == MQ_OK)
		rc = outbox_open(&d->out, LINK_SOCKET_FD);
	if (rc == MQ_OK)	/* before the key: resolvers do not have it */
		rc = namesrv_open(d, &l->namesrv);
	if (rc == MQ_OK)
		rc = take_certificates(d);
	if (rc != MQ_OK)
		return rc;
	find_listen(l);
	l->connections_max = count_connections();
	json_object_seed(0);		/* while there is a file to get it from */
	d->commitlog_fd = LINK_COMMITLOG_FD;
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll_fd < 0)
		return err_note(-errno, "epoll: %m");
	rc = confine(d);
	return rc == MQ_OK ? loop_run(l) : rc;
}

int
main(int argc, char **argv)
{
	static struct loop loop;
	static const struct program program = {
		.name = "mqremoted",
		.purpose = "It speaks with RocketMQ's clients and name servers",
		.run = run,
	};

	return program_main(&program, argc, argv, &loop.d, &loop);
}
