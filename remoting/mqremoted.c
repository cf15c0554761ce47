/* mqremoted - speaks with RocketMQ's clients, tools and name servers.  Started by mount.mqfs;
 * see net/link.h for what it is given. */
#include "config.h"

#include <sys/resource.h>

#include "conf/err.h"
#include "net/confine.h"
#include "net/program.h"
#include "remoting/loop.h"

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
	int rc = take_rings(l);

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
		.take = take, .open = loop_open, .close = loop_close, .hear = loop_hear, .tick = loop_tick,
	};

	return program_main(&program, argc, argv, &loop.d, &loop);
}
