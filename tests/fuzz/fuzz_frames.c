/* Any bytes as what clients send to mqremoted: heartbeats, queue locks, messages, pulls, transactions.
 * Whatever they are, mqremoted submits nothing to the mount that the mount takes for a lie, since it
 * would be ended for it, and what it says to clients and the mount are frames and texts.
 *
 * Input: a byte that says how the mount answers, and frames of the remoting protocol, from two
 * connections by turns. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "conf/err.h"
#include "net/request.h"
#include "remoting/codes.h"
#include "remoting/frames.h"
#include "remoting/ring_server.h"
#include "remoting/traffic.h"
#include "tests/fuzz/target.h"

#define WITH_ACL 0x80
#define LONG_POLLING 0x40

static struct loop loop;
static struct ring_server mount;
static struct ring_request req;
static struct server_peer peers[2] = { { .address = "10.0.0.9:51000" }, { .address = "[::1]:51001" } };

/* --- the server, which sends nothing ------------------------------------------------------------------ */

static int
say(const struct remoting_frame *f)
{
	char *bytes;
	size_t len;
	int rc = remoting_encode(f, &bytes, &len);

	MUST(rc == MQ_OK || rc == -EMSGSIZE);
	if (rc == MQ_OK)
		free(bytes);
	return rc;
}

int
server_send(struct server_peer *p, const struct remoting_frame *f)
{
	MUST(p);
	return say(f);
}

int
server_post(struct server_peer *p, const struct remoting_frame *f)
{
	return server_send(p, f);
}

int
server_send_log(struct server_peer *p, const struct remoting_frame *f, const struct log_piece *pieces, size_t n)
{
	(void)pieces;
	MUST(n <= RING_PIECES);
	return server_send(p, f);
}

void
server_touch(struct server_peer *p)
{
	MUST(p);
}

void
server_refuse(struct server_peer *p, const struct remoting_frame *to, int code, const char *remark)
{
	MUST(p && to && code != ANSWER_SUCCESS && remark);
}

/* --- the mount ------------------------------------------------------------------------------------------- */

static void
begin(void)
{
	struct ring_fds fds;

	loop.d.commitlog_fd = -1;
	loop.d.config.segment_bytes = 1 << 20;
	loop.d.now_ms = 1000;
	loop.d.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	MUST(loop.d.epoll_fd >= 0 && ring_server_open(&mount, &fds) == MQ_OK);
	MUST(clients_open(&loop.clients) == MQ_OK && locks_open(&loop.locks) == MQ_OK);
	MUST(senders_open(&loop.senders) == MQ_OK && calls_open(&loop, &loop.calls) == MQ_OK);
	MUST(traffic_open(&loop, &fds, &loop.traffic) == MQ_OK && traffic_start(loop.traffic) == MQ_OK);
	clients_on_emptied(loop.clients, frames_emptied, &loop);
	for (size_t i = 0; i < 2; i++)
		MUST(address_parse(peers[i].address, &peers[i].from));
}

/* Items as many as were said: else the mount would call it a lie. */
static void
check_items(void)
{
	struct ring_item item;
	uint32_t n = 0;
	size_t at = 0;

	while (req.s.kind == RING_BATCH && ring_item_next(req.body, req.s.body_len, &at, &item))
		n++;
	MUST(n == req.s.items && (req.s.kind != RING_BATCH || at == req.s.body_len));
}

/* All that waits in the rings, and what comes of it, is taken and answered. */
static void
answer_submissions(int how)
{
	static const int codes[] = {
		ANSWER_SUCCESS, ANSWER_PULL_NOT_FOUND, ANSWER_SYSTEM_ERROR, ANSWER_FLUSH_DISK_TIMEOUT,
	};
	int rc;

	for (;;) {
		(void)traffic_tick(loop.traffic);
		rc = ring_server_take(&mount, &req);
		MUST(rc == MQ_OK || rc == -EAGAIN);
		if (rc == -EAGAIN)
			break;
		check_items();
		ring_server_release(&mount);
		ring_server_complete(&mount, &(struct ring_completion){
						     .kind = req.s.kind, .slot = req.s.slot, .tag = req.s.tag,
						     .code = codes[how & 3], .pos = how & 4 ? -1 : 4096,
						     .n = req.s.items });
		traffic_reap(loop.traffic);
	}
}

static void
answer_request(struct server_peer *p, struct remoting_frame *f, int code)
{
	struct remoting_frame answer = { .opaque = f->opaque, .flag = REMOTING_RESPONSE, .ext = f->ext };
	const char *name;
	json_t *value;

	json_object_foreach(f->ext, name, value)
		MUST(json_is_string(value));
	if (!answer.ext)
		answer.ext = json_object();
	json_object_set_new(answer.ext, "mqfs.held", json_string("t 0\n"));
	(void)frames_answered(&loop, p, code, &answer);
	f->ext = answer.ext;
}

/* --- a frame ------------------------------------------------------------------------------------------------ */

static void
serve(struct server_peer *p, struct remoting_frame *f, int how)
{
	int code = f->code;
	enum server_served served;

	if (!frames_may_ask(&loop, p))
		return;
	served = frames_serve(&loop, p, f);
	if (served == SERVER_ASK_FIRST)
		served = frames_allowed(&loop, p, f, "1");
	MUST(served == SERVER_DONE || served == SERVER_ASK_MOUNT);
	if (served == SERVER_ASK_MOUNT)
		answer_request(p, f, code);
	answer_submissions(how);
}

/* The next frame of [*at, end). */
static bool
next_frame(struct remoting_reader *r, const uint8_t **at, const uint8_t *end, struct remoting_frame *ret)
{
	int rc = MQ_EEND;

	while (rc == MQ_EEND && *at < end) {
		size_t n, left = (size_t)(end - *at);
		void *place = remoting_reader_place(r, &n);

		MUST(place);
		n = n < left ? n : left;
		memcpy(place, *at, n);
		*at += n;
		rc = remoting_reader_take(r, n, ret);
	}
	return rc == MQ_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct remoting_reader r = { .head_len = 0 };
	const uint8_t *at = data + 1, *end = data + size;
	struct remoting_frame f;

	if (size == 0)
		return 0;
	if (!loop.traffic)
		begin();
	loop.d.config.acl = (data[0] & WITH_ACL) != 0;
	r.cuts = loop.d.config.acl ? NULL : traffic_cuts;
	mount.out->values.long_polling = (data[0] & LONG_POLLING) != 0;
	mount.out->values.store_replies = (data[0] & 1) != 0;
	for (int i = 0; next_frame(&r, &at, end, &f); i++) {
		serve(&peers[i % 2], &f, data[0]);
		remoting_frame_clear(&f);
	}
	remoting_reader_clear(&r);
	for (int i = 0; i < 2; i++) {
		frames_gone(&loop, &peers[i]);
		MUST(!peers[i].data && peers[i].under_way == 0);
	}
	answer_submissions(0);
	MUST(clients_count(loop.clients) == 0);
	return 0;
}
