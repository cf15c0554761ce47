#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/channel.h"

#define TURN_BYTES (256 << 10)		/* then it is another connection's turn */
#define TURN_FRAMES 4			/* each costs, be it small */
#define LONG_HEADER 4096		/* one of them is enough for a turn */

#define AHEAD_BYTES (16 << 10)		/* of later frames, received with one that comes */
#define POSTED_BYTES (32 << 10)		/* frames that go out as one parcel, at most */

/* Frames on their way out, or one with pieces of the log. */
struct parcel {
	struct parcel *next;
	char *bytes;
	size_t len, sent, room;		/* room 0: nothing more joins it */
	struct log_piece *pieces;	/* behind bytes; NULL: none */
	size_t n_pieces, piece;		/* the one that is sent now, */
	uint32_t piece_sent;		/* and how much of it was */
};

static void
fail(struct channel *ch, int rc)
{
	if (ch->rc != MQ_OK)
		return;
	ch->rc = rc;
	snprintf(ch->why, sizeof(ch->why), "%s", err_text(rc));
}

/* --- sending ---------------------------------------------------------------------------- */

static void
drop_first(struct channel *ch)
{
	struct parcel *p = ch->first;

	ch->first = p->next;
	if (!ch->first)
		ch->last = &ch->first;
	ch->waiting--;
	ch->waiting_bytes -= p->len;
	free(p->pieces);
	free(p->bytes);
	free(p);
}

/* Some of a piece, from its segment. */
static ssize_t
send_piece(struct channel *ch, struct parcel *p)
{
	const struct log_piece *piece = &p->pieces[p->piece];
	int64_t segment = ch->d->config.segment_bytes, at = piece->pos + p->piece_sent;
	ssize_t n;
	int fd, rc = segments_find(ch->d, at - at % segment, &fd);

	if (rc != MQ_OK)
		return rc;
	n = stream_sendfile(&ch->stream, fd, at % segment, piece->bytes - p->piece_sent);
	if (n == 0)
		return err_note(-EIO, "commitlog/%020" PRId64 " ends too early", at - at % segment);
	if (n < 0)
		return n;
	p->piece_sent += (uint32_t)n;
	if (p->piece_sent == piece->bytes) {
		p->piece++;
		p->piece_sent = 0;
	}
	return n;
}

static ssize_t
send_some(struct channel *ch, struct parcel *p)
{
	ssize_t n;

	if (p->sent == p->len)
		return send_piece(ch, p);
	n = stream_send(&ch->stream, p->bytes + p->sent, p->len - p->sent, p->n_pieces > 0);
	if (n > 0)
		p->sent += (size_t)n;
	return n;
}

/* As far as it goes. */
static void
flush(struct channel *ch)
{
	while (ch->rc == MQ_OK && ch->first) {
		struct parcel *p = ch->first;
		ssize_t n = send_some(ch, p);

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			fail(ch, (int)n);
			return;
		}
		ch->moved_ms = ch->sent_ms = ch->d->now_ms;
		if (p->sent == p->len && p->piece == p->n_pieces)
			drop_first(ch);
	}
}

static void
put_last(struct channel *ch, struct parcel *p)
{
	if (!ch->first)
		ch->sent_ms = ch->d->now_ms;
	*ch->last = p;
	ch->last = &p->next;
	ch->waiting++;
	ch->waiting_bytes += p->len;
}

int
channel_send(struct channel *ch, const struct remoting_frame *f)
{
	struct parcel *p = calloc(1, sizeof(*p));
	int rc = p ? remoting_encode(f, &p->bytes, &p->len) : -ENOMEM;

	if (rc != MQ_OK) {
		free(p);
		return rc;
	}
	put_last(ch, p);
	if (ch->stream.up)
		flush(ch);
	return MQ_OK;
}

/* Room for `len` more bytes in p, up to POSTED_BYTES.  False: there is none. */
static bool
make_room(struct parcel *p, size_t len)
{
	size_t room = p->room;
	char *bytes;

	while (room < p->len + len)
		room *= 2;
	if (room == p->room)
		return true;
	bytes = room <= POSTED_BYTES ? realloc(p->bytes, room) : NULL;
	if (!bytes)
		return false;
	p->bytes = bytes;
	p->room = room;
	return true;
}

/* The last parcel, if `len` more bytes may join it. */
static struct parcel *
last_with_room(struct channel *ch, size_t len)
{
	struct parcel *p = ch->first ? (struct parcel *)((char *)ch->last - offsetof(struct parcel, next)) : NULL;

	return p && p->room > 0 && make_room(p, len) ? p : NULL;
}

/* The frame is the last parcel's, or if that has no room, a parcel of its own; bytes are taken over. */
static int
post(struct channel *ch, char *bytes, size_t len)
{
	struct parcel *p = last_with_room(ch, len);

	if (p) {
		memcpy(p->bytes + p->len, bytes, len);
		free(bytes);
		p->len += len;
		ch->waiting_bytes += len;
		return MQ_OK;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		free(bytes);
		return -ENOMEM;
	}
	p->bytes = bytes;
	p->len = p->room = len;
	put_last(ch, p);
	return MQ_OK;
}

int
channel_post(struct channel *ch, const struct remoting_frame *f)
{
	char *bytes;
	size_t len;
	int rc = remoting_encode(f, &bytes, &len);

	return rc == MQ_OK ? post(ch, bytes, len) : rc;
}

int
channel_send_log(struct channel *ch, const struct remoting_frame *f, const struct log_piece *pieces, size_t n)
{
	struct parcel *p = calloc(1, sizeof(*p));
	struct remoting_frame frame = *f;
	int rc = p ? MQ_OK : -ENOMEM;

	frame.body = NULL;
	frame.body_len = 0;
	for (size_t i = 0; i < n; i++)
		frame.body_len += pieces[i].bytes;
	if (rc == MQ_OK)
		rc = remoting_encode(&frame, &p->bytes, &p->len);
	if (rc == MQ_OK && n > 0) {
		p->pieces = malloc(n * sizeof(*pieces));
		rc = p->pieces ? MQ_OK : -ENOMEM;
	}
	if (rc != MQ_OK) {
		free(p ? p->bytes : NULL);
		free(p);
		return rc;
	}
	if (n > 0)
		memcpy(p->pieces, pieces, n * sizeof(*pieces));
	p->n_pieces = n;
	put_last(ch, p);
	if (ch->stream.up)
		flush(ch);
	return MQ_OK;
}

/* --- hearing ------------------------------------------------------------------------------ */

/* From the socket: up to len bytes to `place`, and what has come behind them is read ahead.  A
 * plain socket that gives less than there is room for is empty: epoll tells when it is not. */
static ssize_t
receive(struct channel *ch, void *place, size_t len)
{
	struct iovec iov[2] = { { place, len }, { NULL, AHEAD_BYTES } };
	ssize_t n;

	if (ch->dry)
		return -EAGAIN;
	if (!ch->ahead && !ch->stream.ssl)
		ch->ahead = malloc(AHEAD_BYTES);
	iov[1].iov_base = ch->ahead;
	n = stream_recvv(&ch->stream, iov, ch->ahead ? 2 : 1);
	if (n == 0)
		return err_note(-ECONNRESET, "closed the connection");
	if (n < 0)
		return n;
	ch->dry = ch->ahead && (size_t)n < len + AHEAD_BYTES;
	ch->turn += (size_t)n;
	ch->moved_ms = ch->d->now_ms;
	if ((size_t)n > len) {
		ch->ahead_at = 0;
		ch->ahead_len = (size_t)n - len;
	}
	return (size_t)n < len ? n : (ssize_t)len;
}

static ssize_t
take_ahead(struct channel *ch, void *place, size_t len)
{
	size_t n = len < ch->ahead_len ? len : ch->ahead_len;

	memcpy(place, ch->ahead + ch->ahead_at, n);
	ch->ahead_at += n;
	ch->ahead_len -= n;
	return (ssize_t)n;
}

/* Some of the frame that comes.  MQ_EEND: not all of it. */
static int
hear_some(struct channel *ch, struct remoting_frame *ret)
{
	bool begins = !remoting_reader_is_amid(&ch->reader);
	size_t len;
	void *place;
	ssize_t n;

	if (ch->reader.size > ch->allowed)
		return -EDQUOT;
	if (ch->turn >= TURN_BYTES || ch->turn_frames >= (ch->turn_frames_max ? ch->turn_frames_max : TURN_FRAMES))
		return -EAGAIN;
	place = remoting_reader_place(&ch->reader, &len);
	if (!place)
		return err_note(-ENOMEM, "%m");
	n = ch->ahead_len > 0 ? take_ahead(ch, place, len) : receive(ch, place, len);
	if (n < 0)
		return (int)n;
	if (begins)
		ch->began_ms = ch->d->now_ms;
	return remoting_reader_take(&ch->reader, (size_t)n, ret);
}

/* Most connections are idle most of the time, and those that are not take turns with one memory. */
static void
drop_ahead(struct channel *ch)
{
	if (ch->ahead_len == 0)
		free(take_ptr(ch->ahead));
}

int
channel_receive(struct channel *ch, struct remoting_frame *ret)
{
	int rc = ch->rc;

	if (rc == MQ_OK && !ch->stream.up)
		return -EAGAIN;
	if (rc == MQ_OK)
		do
			rc = hear_some(ch, ret);
		while (rc == MQ_EEND);
	if (rc == MQ_OK)
		ch->turn_frames += ret->header_len > LONG_HEADER ? TURN_FRAMES : 1;
	else if (rc != -EAGAIN && rc != -EDQUOT)
		fail(ch, rc);
	if (rc != MQ_OK)
		drop_ahead(ch);
	return rc;
}

/* --- the owner's calls ------------------------------------------------------------------------ */

int
channel_open(struct channel *ch, int fd, const char *host)
{
	struct tls *tls = ch->plain ? NULL : ch->d->tls;
	int rc = host ? stream_connect(&ch->stream, fd, tls, host) : stream_accept(&ch->stream, fd, tls, ch->d->tls_how);

	ch->watch.fd = -1;
	ch->last = &ch->first;
	ch->moved_ms = ch->began_ms = ch->sent_ms = ch->d->now_ms;
	if (rc == MQ_OK)
		rc = watch_open(ch->d, &ch->watch, fd, EPOLLIN);
	else
		close(fd);
	if (rc == MQ_OK)
		channel_ready(ch, 0);	/* a side that connects in TLS speaks first */
	else
		stream_close(&ch->stream);
	return rc;
}

void
channel_close(struct channel *ch)
{
	if (ch->watch.fd < 0)
		return;
	stream_close(&ch->stream);
	watch_close(&ch->watch);
	remoting_reader_clear(&ch->reader);
	free(take_ptr(ch->ahead));
	ch->ahead_len = 0;
	while (ch->first)
		drop_first(ch);
}

static void
ask(struct channel *ch)
{
	uint32_t wanted = (ch->paused ? 0 : EPOLLIN) | (ch->first ? EPOLLOUT : 0);

	watch_ask(ch->d, &ch->watch, stream_wants(&ch->stream, wanted));
}

void
channel_ready(struct channel *ch, uint32_t events)
{
	const struct tls *maybe = ch->stream.maybe;
	int rc;

	if (ch->paused && events & (EPOLLHUP | EPOLLERR))
		fail(ch, err_note(-ECONNRESET, "closed the connection"));
	rc = ch->rc == MQ_OK ? stream_handshake(&ch->stream) : -EAGAIN;
	if (maybe && !ch->stream.maybe)
		ch->began_ms = ch->d->now_ms;
	if (rc == MQ_OK)
		flush(ch);
	else if (rc != -EAGAIN)
		fail(ch, rc);
}

/* When it is enough with the other side; NULL: it has only been silent. */
static int64_t
deadline(const struct channel *ch, const char **ret_why)
{
	int64_t at = ch->moved_ms + CHANNEL_IDLE_MS;

	*ret_why = NULL;
	if (ch->first && ch->sent_ms + CHANNEL_FRAME_MS < at) {
		*ret_why = "does not take what we send";
		at = ch->sent_ms + CHANNEL_FRAME_MS;
	}
	if (remoting_reader_is_amid(&ch->reader) && ch->began_ms + CHANNEL_FRAME_MS < at) {
		*ret_why = "is too slow";
		at = ch->began_ms + CHANNEL_FRAME_MS;
	}
	if (!ch->stream.up && !ch->stream.maybe && ch->began_ms + STREAM_SHAKE_MS < at) {
		*ret_why = "did not finish the TLS handshake in time";
		at = ch->began_ms + STREAM_SHAKE_MS;
	}
	return at;
}

int64_t
channel_tick(struct channel *ch)
{
	const char *why;
	int64_t at = deadline(ch, &why);

	if (ch->d->now_ms >= at)
		fail(ch, why ? err_note(-ETIMEDOUT, "%s", why) : err_note(MQ_ECLOSED, "is not needed any more"));
	if (ch->stream.up)
		flush(ch);		/* what was posted */
	if (ch->rc != MQ_OK)
		return ch->d->now_ms;
	ask(ch);
	ch->turn = 0;
	ch->turn_frames = 0;
	ch->dry = false;
	drop_ahead(ch);
	return channel_pending(ch) && !ch->paused ? ch->d->now_ms : at;
}
