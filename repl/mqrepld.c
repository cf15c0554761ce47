/* mqrepld - brings the log to slaves, and from a master.  Started by mount.mqfs;
 * see link.h for what it is given. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <jansson.h>

#include "conf/err.h"
#include "net/confine.h"
#include "net/program.h"
#include "repl/ha.h"
#include "repl/serve.h"

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

static int
take_ring(struct daemon *d)
{
	struct stat st;
	void *ring;

	if (fstat(LINK_RING_FD, &st) != 0 || st.st_size != LINK_RING_BYTES)
		return err_note(MQ_ECORRUPT, "descriptor %d is no ring", LINK_RING_FD);
	ring = mmap(NULL, LINK_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, LINK_RING_FD, 0);
	if (ring == MAP_FAILED)
		return err_note(-errno, "ring: %m");
	close(LINK_RING_FD);
	d->ring = ring;
	return MQ_OK;
}

/* --- addresses --------------------------------------------------------------------- */

/* The loop has fewer rights, so names are looked up here. */
static void
find_listen(struct serve *s)
{
	char port[16];

	if (!*s->d.config.listen)
		return;
	snprintf(port, sizeof(port), "%d", (int)s->d.config.port);
	resolve_now(s->d.config.listen, port, false, true, &s->listen);
	if (s->listen.n == 0)
		outbox_say(&s->d.out, LOG_ERR, "listen on %s: %s", s->d.config.listen, s->listen.why);
}

static int
find_target(struct serve *s, const char *address, struct target *ret)
{
	char text[sizeof(s->d.config.master)], *host, *port;

	ret->names_fd = -1;
	if (!s->d.config.slave)
		return MQ_OK;
	snprintf(text, sizeof(text), "%s", address);
	if (!resolve_split(text, &host, &port)) {
		snprintf(ret->answer.why, sizeof(ret->answer.why), "is not HOST:PORT");
		return MQ_OK;
	}
	resolve_now(host, port, true, false, &ret->answer);
	if (ret->answer.n > 0)
		return MQ_OK;
	return resolve_start(host, port, s->d.config.user, &ret->names_fd);
}

/* --- certificates ------------------------------------------------------------------- */

/* Their files may be for root only. */
static int
take_certificates(struct daemon *d)
{
	const struct link_config *c = &d->config;

	return *c->tls_cert ? tls_open(c->tls_cert, c->tls_key, c->tls_ca, &d->tls) : MQ_OK;
}

/* --- rights -------------------------------------------------------------------------- */

/* A protection that this kernel or build does not have gets a line in the log; any other failure ends mqrepld. */
static int
say_missing(struct daemon *d, int rc)
{
	if (rc != -ENOSYS)
		return rc;
	outbox_say(&d->out, LOG_NOTICE, "less confined than it could be: %s", err_text(rc));
	return MQ_OK;
}

static int
confine(struct serve *s)
{
	struct daemon *d = &s->d;
	unsigned roles = CONFINE_SERVES;
	int rc;

	if (s->listen.n > 0)
		roles |= CONFINE_LISTENS;
	if (d->config.slave)
		roles |= CONFINE_DIALS;
	rc = confine_user(d->config.user, LINK_COMMITLOG_FD);
	if (rc == MQ_OK)
		rc = confine_limits(CONFINE_FDS);
	if (rc == MQ_OK)
		rc = say_missing(d, confine_files(LINK_COMMITLOG_FD));
	if (rc == MQ_OK)
		rc = say_missing(d, confine_calls(roles));
	return rc;
}

static int
run(void *arg)
{
	struct serve *s = arg;
	struct daemon *d = &s->d;
	int rc;

	rc = confine_fds(LINK_RING_FD);
	if (rc == MQ_OK)
		rc = take_config(d);
	if (rc == MQ_OK)
		rc = board_take(LINK_SOCKET_FD, &s->board);
	if (rc == MQ_OK)
		rc = outbox_open(&d->out, LINK_SOCKET_FD);
	if (rc == MQ_OK)
		rc = find_target(s, d->config.master, &s->master);	/* before ring and key: */
	if (rc == MQ_OK)
		rc = find_target(s, d->config.master_remoting, &s->remoting);	/* resolvers have neither */
	if (rc == MQ_OK)
		rc = take_certificates(d);
	if (rc == MQ_OK)
		rc = take_ring(d);
	if (rc != MQ_OK)
		return rc;
	find_listen(s);
	json_object_seed(0);		/* while there is a file to get it from */
	d->commitlog_fd = LINK_COMMITLOG_FD;
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll_fd < 0)
		return err_note(-errno, "epoll: %m");
	rc = confine(s);
	return rc == MQ_OK ? serve_run(s) : rc;
}

int
main(int argc, char **argv)
{
	static struct serve serve;
	static const struct program program = {
		.name = "mqrepld",
		.purpose = "It brings the log to slaves, and from a master",
		.run = run,
	};

	return program_main(&program, argc, argv, &serve.d, &serve);
}
