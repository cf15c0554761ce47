#include "config.h"

#include <unistd.h>

#include "conf/err.h"
#include "net/program.h"
#include "remoting/frames.h"
#include "remoting/loop.h"

#define HOST_CONNECTIONS_MAX CONNECTIONS_MAX	/* one address may be a cluster's gateway */
#define ACCEPTS_MAX 2048		/* all clients of a cluster come at once when a master is back */
#define ANSWERS_MAX 4096		/* unsent ones of a connection */
#define TURN_FRAMES 64			/* of one connection */

int
loop_on_message(void *loop, const struct link_message *msg, int blob_fd)
{
	struct loop *l = loop;
	int rc = MQ_OK;

	if (msg->kind == LINK_RESPONSE)
		rc = server_answer(l->server, msg, blob_fd);
	else if (msg->kind == LINK_REQUEST)
		frames_mount_asks(l, msg, blob_fd);
	else
		rc = err_note(MQ_ECORRUPT, "the mount sends a message of kind %u", msg->kind);
	if (blob_fd >= 0)
		close(blob_fd);
	return rc;
}

static int64_t
say_ready(struct loop *l)
{
	return program_say_ready(&l->d, &(struct link_message){
		.kind = LINK_READY,
		.remoting_port = server_port(l->server),
		.vip_port = server_vip_port(l->server),
		.len = (uint32_t)clients_count(l->clients),
	});
}

int64_t
loop_tick(void *loop)
{
	struct loop *l = loop;
	int64_t next;

	traffic_reap(l->traffic);
	calls_tick(l->calls);		/* its answers go out with the server's */
	next = server_tick(l->server);
	next = earlier(next, calls_next_ms(l->calls));	/* the server may have received new calls */
	next = earlier(next, say_ready(l));
	next = earlier(next, namesrv_tick(l->namesrv));
	next = earlier(next, segments_tick(&l->d));
	return earlier(next, traffic_tick(l->traffic));
}

int
loop_open(void *loop)
{
	struct loop *l = loop;
	const struct server_for server = {
		.d = &l->d, .on = &l->d.listen, .connections_max = l->connections_max,
		.host_max = HOST_CONNECTIONS_MAX, .accepts_max = ACCEPTS_MAX, .waiting_max = ANSWERS_MAX,
		.has_values = frames_have_values, .arg = l, .serve = frames_serve, .gone = frames_gone,
		.answered = frames_answered, .allowed = frames_allowed,
		.cuts = l->d.config.acl ? NULL : traffic_cuts,	/* what is signed is looked at as an object */
		.may_ask = frames_may_ask, .turn_frames = TURN_FRAMES,
	};
	int rc = clients_open(&l->clients);

	if (rc == MQ_OK)
		clients_on_emptied(l->clients, frames_emptied, l);
	if (rc == MQ_OK)
		rc = locks_open(&l->locks);
	if (rc == MQ_OK)
		rc = senders_open(&l->senders);
	if (rc == MQ_OK)
		rc = calls_open(l, &l->calls);
	if (rc == MQ_OK)
		rc = traffic_start(l->traffic);
	if (rc == MQ_OK)
		rc = namesrv_start(l->namesrv);
	return rc == MQ_OK ? server_open(&server, &l->server) : rc;
}

void
loop_close(void *loop)
{
	struct loop *l = loop;

	server_close(l->server);
	traffic_close(l->traffic);
	namesrv_close(l->namesrv);
	clients_close(l->clients);
	locks_close(l->locks);
	senders_close(l->senders);
	calls_close(l->calls);
}
