/* mqrepld - brings the log to slaves, and from a master.  Started by mount.mqfs;
 * see link.h for what it is given. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
#include "conf/flags.h"
#include "net/confine.h"
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
		rc = confine_limits();
	if (rc == MQ_OK)
		rc = say_missing(d, confine_files(LINK_COMMITLOG_FD));
	if (rc == MQ_OK)
		rc = say_missing(d, confine_calls(roles));
	return rc;
}

static int
run(struct serve *s)
{
	struct daemon *d = &s->d;
	int rc;

	rc = confine_fds(LINK_RING_FD);
	if (rc == MQ_OK)
		rc = take_config(d);
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

/* A person may have started it. */
static int
look_at_usage(int argc, char **argv)
{
	static const char usage[] = "usage: mqrepld\n";
	int type = 0;

	switch (flags_next(argc, argv, "hV")) {
	case 'h':
		printf("%s\nIt brings the log to slaves, and from a master: mount.mqfs starts it, with a link.\n"
		       "There is nothing to be said to it by hand.\n\n"
		       "  -h, -V     this help; the version (also --help, --version)\n", usage);
		return 0;
	case 'V':
		puts("mqrepld (mqfs) " PACKAGE_VERSION);
		return 0;
	case '?':
		fprintf(stderr, "mqrepld: %s\n%s", err_text(-EINVAL), usage);
		return 2;
	}
	if (optind == argc && getsockopt(LINK_SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) }) == 0 &&
	    type == SOCK_SEQPACKET)
		return -1;
	fprintf(stderr, "mqrepld: there is no link to a mount: it is started by mount.mqfs\n%s", usage);
	return 2;
}

/* To the mount, as far as there is one that listens. */
static void
say_end(struct daemon *d, int rc)
{
	if (d->out.queue)
		outbox_say(&d->out, LOG_ERR, "%s", err_text(rc));
	else
		fprintf(stderr, "mqrepld: %s\n", err_text(rc));
}

int
main(int argc, char **argv)
{
	static struct serve serve;
	int rc = look_at_usage(argc, argv);

	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);	/* sendfile(2) and OpenSSL have no flag against it */
	rc = run(&serve);
	if (rc != MQ_OK && rc != MQ_EEND)
		say_end(&serve.d, rc);
	tls_close(serve.d.tls);
	outbox_close(&serve.d.out);
	return rc == MQ_OK || rc == MQ_EEND ? 0 : 1;
}
