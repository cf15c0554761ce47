#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/dial.h"
#include "net/stream.h"
#include "repl/ha.h"
#include "repl/peer.h"
#include "repl/receiver.h"

#define TELL_BYTES (64 << 10)		/* the mount is told of so many bytes at once, */
#define TELL_MS 5			/* and of fewer after so long, or when it has written all others */
#define APPEND_MAX (1 << 20)
#define APPEND_SPARE 96			/* places in the outbox that are for other news */
#define TURN_BYTES (1 << 20)
#define READ_BYTES 4096			/* what the shortest read counts as: heartbeats cost, too */
#define AGAIN_BYTES 16384		/* compared at once */
#define SPILL_BYTES 4096		/* received behind a header, into the ring */

enum phase {
	RESTING,
	ABOUT_TO,			/* told to follow, but the mount still has to apply */
	DIALING,
	SHAKING,			/* TLS begins */
	FOLLOWING,
};

struct receiver {
	struct watch watch;		/* the master */
	struct stream stream;
	uint32_t wants;			/* EPOLLIN, EPOLLOUT: what is waited for */
	struct daemon *d;
	struct peer peer;
	enum phase phase;
	int64_t until_ms;		/* SHAKING: when that ends */
	int64_t from;			/* the first byte we want */

	struct dial dial;
	char host[256];			/* of the master, as it is configured */

	struct ha_frames frames;
	int64_t heard_ms, wrote_ms, told_ms;
	int64_t pos;			/* where in the log the ring's byte `put` belongs */
	uint64_t put, told, applied;	/* bytes of the ring: received, the mount was told, it has written */

	unsigned char report[HA_REPORT_BYTES];
	size_t report_left;
	int64_t reported;

	bool byte0;			/* it is still to be supplied */

	struct receiver_again again;	/* bytes before `from` that are compared, */
	int64_t again_left;		/* still to come; of those that have: */
	uint32_t again_crc;
	unsigned char again_buf[AGAIN_BYTES];
};

static const struct link_config *
config(const struct receiver *r)
{
	return &r->d->config;
}

/* The place of a byte of the ring in the log. */
static int64_t
pos_of(const struct receiver *r, uint64_t ring_at)
{
	return r->pos - (int64_t)(r->put - ring_at);
}

static void
ask(struct receiver *r, uint32_t events)
{
	r->wants = events;
	watch_ask(r->d, &r->watch, stream_wants(&r->stream, events));
}

static void
disconnect(struct receiver *r)
{
	stream_close(&r->stream);
	watch_close(&r->watch);
}

/* --- the end of a connection -------------------------------------------------------- */

static void
rest(struct receiver *r, const char *why)
{
	disconnect(r);
	dial_stop(&r->dial);
	r->phase = RESTING;
	r->pos = pos_of(r, r->told);	/* the mount never heard of the rest */
	r->put = r->told;
	r->report_left = 0;
	r->byte0 = false;
	r->again_left = 0;
	peer_set(r->d, &r->peer, LINK_PEER_GONE, why);
}

/* The stream has failed; a certificate that was refused is a line of admit.h. */
static void
broken(struct receiver *r, int rc)
{
	if (rc == -EPROTO || rc == -EPROTONOSUPPORT)
		admit_failed(r->d, r->peer.address, err_text(rc));
	rest(r, err_text(rc));
}

/* --- reports --------------------------------------------------------------------------- */

static void
report_send(struct receiver *r)
{
	ssize_t n;

	if (r->report_left == 0)
		return;
	n = stream_send(&r->stream, r->report + HA_REPORT_BYTES - r->report_left, r->report_left, false);
	if (n < 0 && n != -EAGAIN) {
		broken(r, (int)n);
		return;
	}
	if (n > 0)
		r->report_left -= (size_t)n;
	ask(r, (r->wants & EPOLLIN) | (r->report_left ? EPOLLOUT : 0));
}

/* A report that is not completely sent yet is followed by another one, which says more. */
static void
report(struct receiver *r, int64_t pos)
{
	if (r->phase != FOLLOWING || r->report_left > 0)
		return;
	ha_put_report(r->report, pos);
	r->report_left = sizeof(r->report);
	r->reported = pos;
	r->wrote_ms = r->d->now_ms;
	report_send(r);
}

/* --- telling the mount ------------------------------------------------------------------- */

/* How much of the ring from `told` on is one message: no end of it or of a segment within. */
static uint32_t
append_len(const struct receiver *r)
{
	uint64_t len = r->put - r->told;
	uint64_t in_ring = LINK_RING_BYTES - r->told % LINK_RING_BYTES;
	uint64_t in_segment = (uint64_t)(config(r)->segment_bytes - pos_of(r, r->told) % config(r)->segment_bytes);

	len = len < in_ring ? len : in_ring;
	len = len < in_segment ? len : in_segment;
	return (uint32_t)(len < APPEND_MAX ? len : APPEND_MAX);
}

/* Small pieces are gathered while the mount is busy with others. */
static bool
worth_telling(const struct receiver *r)
{
	return r->told < r->put && (r->told == r->applied || r->put - r->told >= TELL_BYTES ||
				    r->d->now_ms >= r->told_ms + TELL_MS);
}

static void
tell(struct receiver *r)
{
	while (worth_telling(r)) {
		struct link_message msg = { .kind = LINK_APPEND, .pos = pos_of(r, r->told),
					    .ring_at = r->told, .len = append_len(r) };

		if (!outbox_put(&r->d->out, &msg, APPEND_SPARE))
			return;
		r->told += msg.len;
		r->told_ms = r->d->now_ms;
	}
}

/* --- hearing the master ------------------------------------------------------------------- */

static void
on_frame(struct receiver *r)
{
	const struct ha_frames *f = &r->frames;
	char why[112];

	if (f->pos != r->pos - r->again_left) {
		snprintf(why, sizeof(why), "sends from %" PRId64 ", but this log ends at %" PRId64, f->pos, r->pos);
		rest(r, why);
		return;
	}
	if (r->again_left > 0)
		return;
	r->peer.sent = f->pos + f->left - (r->byte0 && f->left == 0 ? 1 : 0);
	peer_set(r->d, &r->peer, LINK_PEER_TRANSFER, NULL);
}

static void
on_head(struct receiver *r, size_t n)
{
	int rc = ha_frames_head(&r->frames, n);

	if (rc == MQ_OK)
		on_frame(r);
	else if (rc != MQ_EEND)
		rest(r, err_text(rc));
}

/* The bytes are the same: all of this log is part of the master's. */
static void
again_done(struct receiver *r)
{
	r->peer.sent = r->pos;
	peer_set(r->d, &r->peer, LINK_PEER_TRANSFER, NULL);
	if (r->phase == FOLLOWING)
		report(r, r->d->written);
}

/* n bytes that this log has, too, are in again_buf. */
static void
on_again(struct receiver *r, size_t n)
{
	char why[112];

	r->again_crc = libdeflate_crc32(r->again_crc, r->again_buf, n);
	r->again_left -= (int64_t)n;
	ha_frames_body(&r->frames, n);
	if (r->again_left > 0)
		return;
	if (r->again_crc == r->again.crc) {
		again_done(r);
		return;
	}
	r->peer.code = MQ_ECORRUPT;
	snprintf(why, sizeof(why), "has other bytes than this log between %" PRId64 " and %" PRId64,
		 r->pos - r->again.len, r->pos);
	rest(r, why);
}

static void
on_body(struct receiver *r, size_t n)
{
	if (r->again_left > 0) {
		on_again(r, n);
		return;
	}
	if (r->byte0) {
		r->d->ring[r->put++ % LINK_RING_BYTES] = 0;
		r->byte0 = false;
	}
	r->put += n;
	r->pos += (int64_t)n;
	ha_frames_body(&r->frames, n);
}

/* The next bytes are ones that the log has: they go to again_buf, then a header. */
static int
places_again(struct receiver *r, struct iovec iov[3], size_t *ret_body)
{
	int64_t body = r->frames.left < r->again_left ? r->frames.left : r->again_left;
	int n = 0;

	body = body < AGAIN_BYTES ? body : AGAIN_BYTES;
	if (body > 0)
		iov[n++] = (struct iovec){ r->again_buf, (size_t)body };
	if (body == r->frames.left)
		iov[n++] = (struct iovec){ r->frames.head + r->frames.head_len, ha_frames_head_left(&r->frames) };
	*ret_body = (size_t)body;
	return n;
}

/* The place of the next byte of a body in the ring. */
static size_t
place_of_next(const struct receiver *r, size_t *ret_room)
{
	uint64_t at = r->put + (r->byte0 ? 1 : 0);

	*ret_room = LINK_RING_BYTES - (size_t)(at - r->applied);
	return (size_t)(at % LINK_RING_BYTES);
}

/* A header is next, and with it in one read what has come behind it: a short frame, or several. */
static int
places_of_frames(struct receiver *r, struct iovec iov[3], size_t *ret_body)
{
	size_t room, place = place_of_next(r, &room), spill = LINK_RING_BYTES - place;

	spill = spill < room ? spill : room;
	spill = spill < SPILL_BYTES ? spill : SPILL_BYTES;
	iov[0] = (struct iovec){ r->frames.head + r->frames.head_len, ha_frames_head_left(&r->frames) };
	iov[1] = (struct iovec){ r->d->ring + place, spill };
	*ret_body = 0;
	return spill > 0 ? 2 : 1;
}

/* n bytes were received by places_of_frames(): the body is where it belongs already; what is behind it moves to
 * where it belongs. */
static void
on_frames(struct receiver *r, size_t n)
{
	size_t room, head = ha_frames_head_left(&r->frames);
	unsigned char *at = r->d->ring + place_of_next(r, &room);

	head = head < n ? head : n;
	on_head(r, head);
	for (size_t spill = n - head; spill > 0 && r->phase == FOLLOWING; spill -= head) {
		if (r->frames.left > 0) {
			head = spill < (size_t)r->frames.left ? spill : (size_t)r->frames.left;
			on_body(r, head);
			at += head;
			continue;
		}
		head = ha_frames_head_left(&r->frames);
		head = head < spill ? head : spill;
		memcpy(r->frames.head + r->frames.head_len, at, head);
		memmove(at, at + head, spill - head);
		on_head(r, head);
	}
}

/* Where the next bytes go: what is left of the body to the ring, as far as it
 * has room, then a header. */
static int
places(struct receiver *r, struct iovec iov[3], size_t *ret_body)
{
	size_t room, place = place_of_next(r, &room);
	size_t body = (size_t)r->frames.left < room ? (size_t)r->frames.left : room;
	size_t first = body < LINK_RING_BYTES - place ? body : LINK_RING_BYTES - place;
	int n = 0;

	if (first > 0)
		iov[n++] = (struct iovec){ r->d->ring + place, first };
	if (body > first)
		iov[n++] = (struct iovec){ r->d->ring, body - first };
	if (body == (size_t)r->frames.left)
		iov[n++] = (struct iovec){ r->frames.head + r->frames.head_len, ha_frames_head_left(&r->frames) };
	*ret_body = body;
	return n;
}

/* One read.  False: that was all for now. */
static bool
receive(struct receiver *r, size_t *turn)
{
	struct iovec iov[3];
	size_t body, asked = 0;
	bool again = r->again_left > 0, frames = !again && r->frames.left == 0;
	int places_n = (again ? places_again : frames ? places_of_frames : places)(r, iov, &body);
	ssize_t n;

	if (places_n == 0) {		/* the mount has to catch up: the network waits */
		ask(r, r->wants & (uint32_t)~EPOLLIN);
		return false;
	}
	for (int i = 0; i < places_n; i++)
		asked += iov[i].iov_len;
	n = stream_recvv(&r->stream, iov, places_n);
	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		if (n == 0)
			rest(r, "closed the connection");
		else
			broken(r, (int)n);
		return false;
	}
	r->heard_ms = r->d->now_ms;
	*turn += n > READ_BYTES ? (size_t)n : READ_BYTES;
	if (body > 0)
		on_body(r, (size_t)n < body ? (size_t)n : body);
	if (frames)
		on_frames(r, (size_t)n);
	else if ((size_t)n > body && r->phase == FOLLOWING)
		on_head(r, (size_t)n - body);
	if (r->phase != FOLLOWING)
		return false;
	if (stream_pending(&r->stream))
		return true;
	return (size_t)n == asked && *turn < TURN_BYTES;	/* fewer: there are no more now */
}

static void
hear_turn(struct receiver *r)
{
	size_t turn = 0;

	while (receive(r, &turn))
		;
}

/* --- connecting ------------------------------------------------------------------------------- */

/* Where our log ends, as it is reported to the master. */
static void
follow(struct receiver *r)
{
	r->phase = FOLLOWING;
	r->heard_ms = r->wrote_ms = r->d->now_ms;
	r->frames = (struct ha_frames){ .head_len = 0 };
	r->byte0 = r->from == 0;
	r->pos = r->byte0 ? 1 : r->from;
	r->again_left = r->again.len;
	r->again_crc = 0;
	r->peer.code = MQ_OK;
	r->peer.ack = r->d->written;
	ask(r, EPOLLIN);
	peer_set(r->d, &r->peer, LINK_PEER_WAITING, NULL);
	report(r, r->pos - r->again_left);
}

/* The address that was reached is not the master: try the next. */
static void
redial(struct receiver *r, int rc)
{
	disconnect(r);
	r->phase = DIALING;
	dial_next(&r->dial, rc);
}

/* Without TLS the handshake is done at once. */
static void
shake(struct receiver *r)
{
	int rc = stream_handshake(&r->stream);

	if (rc == MQ_OK) {
		follow(r);
	} else if (rc == -EAGAIN) {
		ask(r, EPOLLIN);
	} else {
		admit_failed(r->d, r->peer.address, err_text(rc));
		redial(r, rc);
	}
}

static void
dialed(struct dial *dial, int rc, int fd)
{
	struct receiver *r = (struct receiver *)((char *)dial - offsetof(struct receiver, dial));

	if (rc == MQ_OK)
		rc = watch_open(r->d, &r->watch, fd, EPOLLOUT);
	if (rc == MQ_OK)
		rc = stream_connect(&r->stream, r->watch.fd, r->d->tls, r->host);
	if (rc != MQ_OK) {
		rest(r, err_text(rc));
		return;
	}
	r->phase = SHAKING;
	r->until_ms = r->d->now_ms + STREAM_SHAKE_MS;
	shake(r);
}

static void
ready(struct watch *w, uint32_t events)
{
	struct receiver *r = (struct receiver *)w;

	(void)events;
	if (w->fd < 0)
		return;
	if (r->phase == SHAKING)
		shake(r);
	if (r->phase == FOLLOWING)
		report_send(r);
	if (r->phase == FOLLOWING)
		hear_turn(r);
	tell(r);
}

/* --- the owner's calls ---------------------------------------------------------------------------- */

int
receiver_open(struct daemon *d, int names_fd, const struct resolve_answer *master, struct receiver **ret)
{
	struct receiver *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->d = d;
	r->watch.ready = ready;
	r->watch.fd = -1;
	r->dial.done = dialed;
	snprintf(r->peer.address, sizeof(r->peer.address), "%.79s", d->config.master);
	resolve_host(d->config.master, r->host, sizeof(r->host));
	rc = dial_open(&r->dial, d, names_fd, master);
	if (rc != MQ_OK) {
		free(r);
		return rc;
	}
	r->peer.state = LINK_PEER_GONE;
	*ret = r;
	return MQ_OK;
}

void
receiver_follow(struct receiver *r, int64_t from, struct receiver_again again, uint64_t turn)
{
	if (r->phase != RESTING)
		rest(r, "is to be followed anew");
	r->peer.turn = turn;
	r->from = from;
	r->again = again;
	r->phase = ABOUT_TO;
	peer_set(r->d, &r->peer, LINK_PEER_CONNECTING, NULL);
}

void
receiver_rest(struct receiver *r)
{
	if (r->phase != RESTING)
		rest(r, "is not followed any more");
}

void
receiver_close(struct receiver *r)
{
	if (!r)
		return;
	disconnect(r);
	dial_close(&r->dial);
	free(r);
}

/* The mount has written up to d->written.  A log that is empty has its end before what
 * it is to begin with. */
void
receiver_applied(struct receiver *r)
{
	const struct daemon *d = r->d;
	char why[112];

	if (d->written <= pos_of(r, r->applied))
		return;
	if (d->written > pos_of(r, r->told)) {
		snprintf(why, sizeof(why), "this log ends at %" PRId64 ", not at %" PRId64, d->written,
			 pos_of(r, r->told));
		if (r->phase == FOLLOWING)
			rest(r, why);
		return;
	}
	r->applied += (uint64_t)(d->written - pos_of(r, r->applied));
	if (r->phase != FOLLOWING)
		return;
	r->peer.ack = d->written;
	if (d->written > r->reported)
		report(r, d->written);
	if (r->phase == FOLLOWING && !(r->wants & EPOLLIN)) {
		r->heard_ms = d->now_ms;
		ask(r, r->wants | EPOLLIN);
		if (stream_pending(&r->stream))
			hear_turn(r);
	}
}

bool
receiver_wants_marks(const struct receiver *r)
{
	return r->applied < r->told;
}

/* A master that is silent, though it could speak, is dead. */
static int64_t
follow_tick(struct receiver *r)
{
	const struct daemon *d = r->d;
	int64_t dead_ms = r->heard_ms + config(r)->housekeeping_ms;
	int64_t beat_ms = r->wrote_ms + config(r)->heartbeat_ms;
	bool paused = !(r->wants & EPOLLIN);
	char why[112];

	if (!paused && d->now_ms >= dead_ms) {
		snprintf(why, sizeof(why), "has sent nothing for %" PRId64 " ms", config(r)->housekeeping_ms);
		rest(r, why);
		return 0;
	}
	if (d->written > r->reported && r->report_left == 0 && r->again_left == 0)
		report(r, d->written);	/* the one that had to wait */
	else if (d->now_ms >= beat_ms)
		report(r, r->reported);
	tell(r);
	beat_ms = r->wrote_ms + config(r)->heartbeat_ms;
	if (beat_ms <= d->now_ms)	/* it could not be written */
		beat_ms = 0;
	if (r->told < r->put)
		beat_ms = earlier(beat_ms, d->now_ms + TELL_MS);
	return earlier(beat_ms, paused ? 0 : dead_ms);
}

int64_t
receiver_tick(struct receiver *r)
{
	const struct daemon *d = r->d;
	int64_t next = 0;

	if (r->phase == ABOUT_TO && r->applied == r->told) {
		r->phase = DIALING;
		dial_start(&r->dial);
	}
	if (r->phase == DIALING)
		next = dial_tick(&r->dial);
	if (r->phase == SHAKING && d->now_ms >= r->until_ms)
		redial(r, err_note(-ETIMEDOUT, "did not finish the TLS handshake in time"));
	if (r->phase == FOLLOWING)
		next = follow_tick(r);
	else if (r->phase == SHAKING)
		next = r->until_ms;
	return earlier(next, peer_tick(r->d, &r->peer));
}
