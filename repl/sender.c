#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/stream.h"
#include "repl/ha.h"
#include "repl/peer.h"
#include "repl/sender.h"

#define SETTLE_MS 5000			/* before the mount hears of a connection without a report */
#define SHORT_BYTES 4096		/* read and sent sooner than handed over by sendfile(2) */
#define GATHER_MS 1			/* bytes for a slave that has not acknowledged the last ones */
#define GATHER_BYTES (64 << 10)		/* but no more than so many */
#define FRAME_MAX (1 << 20)		/* a RocketMQ slave has 4 MiB for a frame and what came with it */
#define TURN_BYTES (1 << 20)		/* then it is another slave's turn */

enum phase {
	SHAKING,			/* TLS begins; the mount has not heard of it */
	ASKED_NOTHING,			/* no report yet */
	REFUSED,			/* heartbeats only */
	SENDING,
};

struct sender {
	struct watch watch;
	struct stream stream;
	uint32_t wants;			/* EPOLLIN, EPOLLOUT: what is waited for */
	struct daemon *d;
	const struct board_seat *board;
	struct peer peer;

	struct ha_reports reports;
	enum phase phase;
	int64_t next;			/* first byte of the log that no frame has held */

	unsigned char head[HA_HEADER_BYTES + SHORT_BYTES];	/* of a short frame all */
	size_t head_len, head_left;
	int64_t body_at;
	size_t body_left;
	int segment_fd;
	int64_t segment_base;		/* of segment_fd */

	int64_t opened_ms, read_ms, write_ms;
	int64_t round_end;		/* where the bytes of this round end */
	int64_t gather_ms;		/* until when the next round may gather bytes */
	int64_t acked_ms;		/* it acknowledged more than before; 0: never */
};

static void
gone(struct sender *s, const char *why)
{
	if (s->watch.fd < 0)
		return;
	stream_close(&s->stream);
	watch_close(&s->watch);
	if (s->peer.state != LINK_PEER_GONE)
		peer_set(s->d, &s->peer, LINK_PEER_GONE, why);
	else if (why)			/* the mount has not heard of it */
		admit_refused(s->d, s->peer.address, why);
}

static void
ask(struct sender *s, uint32_t events)
{
	s->wants = events;
	watch_ask(s->d, &s->watch, stream_wants(&s->stream, events));
}

/* --- sending ---------------------------------------------------------------------- */

static void
frame_begin(struct sender *s, int64_t len)
{
	ha_put_header(s->head, s->next, (int32_t)len);
	s->head_len = s->head_left = HA_HEADER_BYTES;
	s->body_at = s->next;
	s->body_left = (size_t)len;
	s->next += len;
}

/* The segment of the byte at pos. */
static int
segment_open(struct sender *s, int64_t pos)
{
	int64_t base = pos - pos % s->d->config.segment_bytes;
	char name[24];

	if (s->segment_fd >= 0 && s->segment_base == base)
		return MQ_OK;
	if (s->segment_fd >= 0)
		close(s->segment_fd);
	snprintf(name, sizeof(name), "%020" PRId64, base);
	s->segment_fd = openat(s->d->commitlog_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	s->segment_base = base;
	return s->segment_fd >= 0 ? MQ_OK : err_note(-errno, "commitlog/%s: %m", name);
}

static int
file_ended(const struct sender *s)
{
	return err_note(MQ_ECORRUPT, "commitlog/%020" PRId64 " ends before position %" PRId64, s->segment_base,
			s->body_at);
}

/* The body of a frame that has just begun goes behind its header. */
static int
body_read(struct sender *s)
{
	ssize_t n = pread(s->segment_fd, s->head + HA_HEADER_BYTES, s->body_left, s->body_at - s->segment_base);

	if (n != (ssize_t)s->body_left)
		return n < 0 ? err_note(-errno, "commitlog/%020" PRId64 ": %m", s->segment_base) : file_ended(s);
	s->head_len += s->body_left;
	s->head_left += s->body_left;
	s->body_at += n;
	s->body_left = 0;
	return MQ_OK;
}

static int
head_send(struct sender *s)
{
	ssize_t n = stream_send(&s->stream, s->head + s->head_len - s->head_left, s->head_left, s->body_left > 0);

	if (n < 0)
		return (int)n;
	s->head_left -= (size_t)n;
	if (s->head_left == 0)
		s->peer.sent = s->body_at;
	return MQ_OK;
}

static int
body_send(struct sender *s)
{
	ssize_t n = stream_sendfile(&s->stream, s->segment_fd, s->body_at - s->segment_base, s->body_left);

	if (n < 0)
		return (int)n;
	if (n == 0)
		return file_ended(s);
	s->body_at += n;
	s->body_left -= (size_t)n;
	s->peer.sent = s->body_at;
	return MQ_OK;
}

/* May more come before the next round goes out? */
static bool
gathers(const struct sender *s)
{
	const struct daemon *d = s->d;

	if (s->next < s->round_end || d->written - s->next >= GATHER_BYTES || d->now_ms >= s->gather_ms)
		return false;
	return !d->config.eager || s->peer.ack < s->next;
}

/* The next bytes there are, as a frame.  MQ_EEND: none, or none yet. */
static int
frame_next(struct sender *s)
{
	const struct link_config *c = &s->d->config;
	int64_t len = s->d->written - s->next;
	int64_t in_segment = c->segment_bytes - s->next % c->segment_bytes;
	int rc;

	if (s->phase != SENDING || len <= 0 || gathers(s))
		return MQ_EEND;
	if (s->next < s->d->begin)
		return err_note(MQ_EGONE, "is at position %" PRId64 ", which is no longer retained", s->next);
	len = len < in_segment ? len : in_segment;
	len = len < c->batch_bytes ? len : c->batch_bytes;
	rc = segment_open(s, s->next);
	if (rc != MQ_OK)
		return rc;
	if (s->next >= s->round_end) {
		s->round_end = s->d->written;
		s->gather_ms = s->d->now_ms + GATHER_MS + 1;	/* the clock may be about to turn */
	}
	frame_begin(s, len < FRAME_MAX ? len : FRAME_MAX);
	return s->body_left <= SHORT_BYTES ? body_read(s) : MQ_OK;
}

static int
send_some(struct sender *s)
{
	int rc;

	if (s->head_left > 0)
		rc = head_send(s);
	else if (s->body_left > 0)
		rc = body_send(s);
	else
		return frame_next(s);
	if (rc == MQ_OK)
		s->write_ms = s->d->now_ms;
	return rc;
}

/* As much as the socket takes, but not more than a turn's worth. */
static void
push(struct sender *s)
{
	int64_t enough = s->next + TURN_BYTES;
	int rc = MQ_OK;

	while (rc == MQ_OK && s->next < enough)
		rc = send_some(s);
	if (rc == MQ_OK || rc == -EAGAIN)
		ask(s, EPOLLIN | EPOLLOUT);
	else if (rc == MQ_EEND)
		ask(s, EPOLLIN);
	else
		gone(s, err_text(rc));
}

/* --- reports of the slave ----------------------------------------------------------- */

static void
refuse(struct sender *s, int rc)
{
	char why[112];

	snprintf(why, sizeof(why), "asks for position %" PRId64 ", but this log %s %" PRId64, s->next,
		 rc == MQ_EGONE ? "begins at" : "ends at", rc == MQ_EGONE ? s->d->begin : s->d->written);
	s->phase = REFUSED;
	peer_set(s->d, &s->peer, LINK_PEER_WAITING, why);
}

/* Find out where to send from. */
static void
start(struct sender *s)
{
	const struct daemon *d = s->d;
	int rc;

	rc = ha_start(s->next, d->begin, d->written, &s->next);
	if (rc != MQ_OK) {
		refuse(s, rc);
		return;
	}
	s->phase = SENDING;
	s->peer.sent = s->next;
	peer_set(s->d, &s->peer, LINK_PEER_TRANSFER, NULL);
}

static void
acked(struct sender *s, int64_t pos)
{
	s->peer.ack = pos;
	board_acked(s->board, s->peer.number, pos);
}

static void
on_report(struct sender *s, int64_t pos)
{
	char why[112];

	s->read_ms = s->d->now_ms;
	if (s->phase == ASKED_NOTHING) {
		s->next = s->peer.first = pos;
		peer_set(s->d, &s->peer, LINK_PEER_WAITING, NULL);
		start(s);
		if (s->phase == SENDING && pos > 0)
			acked(s, pos);
	} else if (pos > s->next) {
		snprintf(why, sizeof(why), "reports position %" PRId64 ", but was sent no more than %" PRId64, pos,
			 s->next);
		gone(s, why);
	} else if (s->phase == SENDING && pos > s->peer.ack) {
		s->acked_ms = s->d->now_ms;
		acked(s, pos);
	}
}

/* The connection has ended; n as stream_recv() returned it. */
static void
broken(struct sender *s, ssize_t n)
{
	if (n < 0)
		gone(s, err_text((int)n));
	else
		gone(s, s->phase == ASKED_NOTHING ? NULL : "closed the connection");
}

static void
receive(struct sender *s)
{
	unsigned char buf[4096];
	int64_t pos;
	ssize_t n = stream_recv(&s->stream, buf, sizeof(buf));
	int rc;

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		broken(s, n);
		return;
	}
	rc = ha_reports_take(&s->reports, buf, (size_t)n, &pos);
	if (rc == MQ_ECORRUPT)
		gone(s, err_text(rc));
	else if (rc == MQ_OK)
		on_report(s, pos);
}

static void
shake(struct sender *s)
{
	int rc = stream_handshake(&s->stream);

	if (rc == MQ_OK)
		s->phase = ASKED_NOTHING;
	else if (rc == -EAGAIN)
		ask(s, EPOLLIN);
	else
		gone(s, err_text(rc));
}

static void
ready(struct watch *w, uint32_t events)
{
	struct sender *s = (struct sender *)w;

	(void)events;
	if (w->fd >= 0 && s->phase == SHAKING)
		shake(s);
	if (s->phase == SHAKING)
		return;
	do {
		if (w->fd >= 0)
			receive(s);
	} while (w->fd >= 0 && stream_pending(&s->stream));
	if (w->fd >= 0)
		push(s);
}

/* --- the owner's calls ---------------------------------------------------------------- */

int
sender_open(struct daemon *d, const struct board_seat *board, int fd, int32_t number, uint64_t connection,
	    const char *address, struct sender **ret)
{
	struct sender *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->watch.ready = ready;
	s->d = d;
	s->board = board;
	s->segment_fd = -1;
	s->opened_ms = s->read_ms = s->write_ms = d->now_ms;
	s->peer.number = number;
	s->peer.turn = connection;
	board_connected(board, number, connection);
	s->peer.state = LINK_PEER_GONE;
	snprintf(s->peer.address, sizeof(s->peer.address), "%s", address);
	s->wants = EPOLLIN;
	rc = watch_open(d, &s->watch, fd, s->wants);
	if (rc == MQ_OK)
		rc = stream_accept(&s->stream, fd, d->tls, d->tls_how);
	if (rc != MQ_OK) {
		watch_close(&s->watch);
		free(s);
		return rc;
	}
	s->phase = s->stream.up ? ASKED_NOTHING : SHAKING;
	*ret = s;
	return MQ_OK;
}

void
sender_close(struct sender *s)
{
	if (!s)
		return;
	gone(s, NULL);
	if (s->segment_fd >= 0)
		close(s->segment_fd);
	free(s);
}

bool
sender_is_gone(const struct sender *s)
{
	return s->watch.fd < 0 && !s->peer.news;
}

bool
sender_is_connected(const struct sender *s)
{
	return s->watch.fd >= 0;
}

bool
sender_has_reported(const struct sender *s)
{
	return s->phase > ASKED_NOTHING;
}

const char *
sender_address(const struct sender *s)
{
	return s->peer.address;
}

int64_t
sender_idle_since(const struct sender *s)
{
	const struct daemon *d = s->d;

	if (s->watch.fd < 0)
		return 0;
	if (!s->acked_ms)
		return s->opened_ms;
	return s->peer.ack < d->written && d->now_ms >= s->acked_ms + d->config.housekeeping_ms ? s->acked_ms : 0;
}

void
sender_evict(struct sender *s)
{
	gone(s, sender_has_reported(s) ? "has acknowledged nothing that it was sent, and others want to connect"
				       : "has not said anything, and others want to connect");
}

void
sender_marks(struct sender *s)
{
	if (s->watch.fd >= 0 && s->phase == SENDING && !(s->wants & EPOLLOUT))
		push(s);
}

bool
sender_wants_marks(const struct sender *s)
{
	return s->watch.fd >= 0 && s->phase == SENDING && !(s->wants & EPOLLOUT) && !gathers(s);
}

/* Send what was gathered.  Returns until when more is gathered, 0: nothing is. */
static int64_t
gather_tick(struct sender *s)
{
	if (s->phase != SENDING || s->wants & EPOLLOUT)
		return 0;
	if (s->d->written > s->next)
		push(s);
	return gathers(s) ? s->gather_ms : 0;
}

/* Send a heartbeat to a slave that was sent nothing for a while. */
static int64_t
heartbeat(struct sender *s)
{
	int64_t every = s->d->config.heartbeat_ms;

	if (s->phase < REFUSED || s->head_left > 0 || s->body_left > 0)
		return 0;
	if (s->d->now_ms < s->write_ms + every)
		return s->write_ms + every;
	frame_begin(s, 0);
	push(s);
	return s->d->now_ms + every;
}

static int64_t
shake_tick(struct sender *s)
{
	if (s->d->now_ms < s->opened_ms + STREAM_SHAKE_MS)
		return s->opened_ms + STREAM_SHAKE_MS;
	gone(s, "did not finish the TLS handshake in time");
	return 0;
}

int64_t
sender_tick(struct sender *s)
{
	const struct daemon *d = s->d;
	int64_t dead_ms = s->read_ms + d->config.housekeeping_ms;
	int64_t next = dead_ms;
	char why[112];

	if (s->watch.fd < 0)
		return peer_tick(s->d, &s->peer);
	if (d->now_ms >= dead_ms) {
		snprintf(why, sizeof(why), "has reported nothing for %" PRId64 " ms", d->config.housekeeping_ms);
		gone(s, why);
		return peer_tick(s->d, &s->peer);
	}
	if (s->phase == SHAKING)
		return shake_tick(s);
	next = earlier(next, gather_tick(s));
	if (s->watch.fd < 0)
		return peer_tick(s->d, &s->peer);
	if (s->phase == ASKED_NOTHING && d->now_ms >= s->opened_ms + SETTLE_MS)
		peer_set(s->d, &s->peer, LINK_PEER_WAITING, NULL);
	else if (s->phase == ASKED_NOTHING)
		next = earlier(next, s->opened_ms + SETTLE_MS);
	next = earlier(next, heartbeat(s));
	return earlier(next, peer_tick(s->d, &s->peer));
}
