/* mqremoted - speaks with RocketMQ's clients, tools and name servers.  Started by mount.mqfs;
 * see net/link.h for what it is given. */
#include "config.h"

#include <sys/resource.h>

#include "conf/err.h"
#include "net/confine.h"
#include "net/program.h"
#include "net/shared.h"
#include "remoting/loop.h"

/* As many connections as there are descriptors. */
static size_t
count_connections(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_max >= CONNECTIONS_MAX + CONFINE_FDS)
		return CONNECTIONS_MAX;
	return lim.rlim_max > 2 * CONFINE_FDS ? (size_t)lim.rlim_max - CONFINE_FDS : CONFINE_FDS;
}

static int
take(void *loop)
{
	struct loop *l = loop;
	struct ring_fds fds;
	int rc = shared_receive(LINK_SOCKET_FD, fds.fd, RING_FDS);

	if (rc == MQ_OK)
		rc = traffic_open(l, &fds, &l->traffic);
	l->connections_max = count_connections();
	return rc == MQ_OK ? namesrv_open(&l->d, &l->namesrv) : rc;
}

int
main(int argc, char **argv)
{
	static struct loop loop;
	static const struct program program = {
		.name = "mqremoted",
		.purpose = "It speaks with RocketMQ's clients and name servers",
		.connections = CONNECTIONS_MAX,
		.take = take, .open = loop_open, .close = loop_close, .on_message = loop_on_message, .tick = loop_tick,
	};

	return program_main(&program, argc, argv, &loop.d, &loop);
}
