#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/flags.h"
#include "net/program.h"

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

int
program_main(const struct program *p, int argc, char **argv, struct daemon *d, void *arg)
{
	int rc = look_at_usage(p, argc, argv);

	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);	/* sendfile(2) and OpenSSL have no flag against it */
	rc = p->run(arg);
	if (rc != MQ_OK && rc != MQ_EEND && d->out.queue)
		outbox_say(&d->out, LOG_ERR, "%s", err_text(rc));
	else if (rc != MQ_OK && rc != MQ_EEND)
		fprintf(stderr, "%s: %s\n", p->name, err_text(rc));
	tls_close(d->tls);
	outbox_close(&d->out);
	return rc == MQ_OK || rc == MQ_EEND ? 0 : 1;
}
