/* mqrepld - brings the log to slaves, and from a master.  Started by mount.mqfs;
 * see link.h for what it is given. */
#include "config.h"

#include <stdio.h>

#include "conf/err.h"
#include "conf/slice.h"
#include "net/program.h"
#include "net/shared.h"
#include "repl/serve.h"

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

/* Resolvers do not get the ring, and have other slices: a write of a SYNC_MASTER passes mqrepld four times, for some
 * microseconds each, and must not wait there for threads that compute. */
static int
take(void *serve)
{
	struct serve *s = serve;
	void *ring = NULL;
	int rc = board_take(LINK_SOCKET_FD, &s->board);

	if (rc == MQ_OK)
		rc = find_target(s, s->d.config.master, &s->master);
	if (rc == MQ_OK)
		rc = find_target(s, s->d.config.master_remoting, &s->remoting);
	if (rc == MQ_OK)
		rc = shared_map("ring", LINK_RING_FD, LINK_RING_BYTES, true, &ring);
	s->d.ring = ring;
	slice_set(SLICE_LEAST_NS);
	return rc;
}

int
main(int argc, char **argv)
{
	static struct serve serve;
	static const struct program program = {
		.name = "mqrepld",
		.purpose = "It brings the log to slaves, and from a master",
		.take = take, .open = serve_open, .close = serve_close,
		.on_message = serve_on_message, .tick = serve_tick, .woken = serve_woken,
	};

	return program_main(&program, argc, argv, &serve.d, &serve);
}
