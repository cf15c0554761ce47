/* channel.h - a connection that carries remoting frames, both ways.
 *
 * Frames to be sent are queued here, in memory.  What is received between two calls of
 * channel_tick() is bounded, in bytes and in frames.  The first failure is remembered in
 * `rc`, and later calls do nothing: the owner checks `rc` once, after its calls.
 * -ECONNRESET: the other side has closed; MQ_ECLOSED: the connection was idle for
 * CHANNEL_IDLE_MS.  A channel never waits for the other side longer than
 *
 *      CHANNEL_FRAME_MS    for the rest of a frame that has begun, or for the
 *                          other side to take any of what we send
 *      CHANNEL_IDLE_MS     for anything at all
 */
#ifndef MQFS_NET_CHANNEL_H
#define MQFS_NET_CHANNEL_H

#include "net/daemon.h"
#include "net/remoting.h"
#include "net/stream.h"

#define CHANNEL_FRAME_MS 30000
#define CHANNEL_IDLE_MS 120000

struct parcel;

/* Bytes of the commit log, within one segment. */
struct log_piece {
	int64_t pos;
	uint32_t bytes;
};

struct channel {
	struct watch watch;		/* `ready` is the owner's */
	struct daemon *d;
	struct stream stream;
	struct remoting_reader reader;
	unsigned char *ahead;		/* NULL, or bytes received behind the frame that came: */
	size_t ahead_at, ahead_len;	/* from here on, so many */
	bool dry;			/* the socket has no more before epoll says so */
	size_t allowed;			/* bytes that a frame may have, see channel_receive() */
	size_t turn;			/* bytes received since channel_tick(), */
	int turn_frames;		/* and frames, */
	int turn_frames_max;		/* at most; 0: a few */
	bool plain;			/* never in TLS; set before channel_open() */
	bool paused;			/* the owner reads no more frames for now */
	struct parcel *first, **last;	/* frames to send */
	size_t waiting;			/* number of these: frames that were posted together count as one */
	size_t waiting_bytes;		/* of memory that they hold */
	int64_t moved_ms;		/* when bytes were last sent or received, */
	int64_t began_ms, sent_ms;	/* a frame began to come, bytes of our first frame were sent */
	int rc;
	char why[112];			/* the reason, when rc is not MQ_OK */
};

/* `watch.ready`, `d` and `allowed` are set.  fd (non-blocking, connected, in TLS if
 * d has it and `plain` is not set) is the channel's, also on failure.  `host` as in stream_connect(); NULL:
 * the other side has connected. */
int channel_open(struct channel *ch, int fd, const char *host);
void channel_close(struct channel *ch);		/* accepts a closed one */

/* Send f, with its body.  Not MQ_OK: f is not sent; later frames may still be. */
int channel_send(struct channel *ch, const struct remoting_frame *f);

/* The same, but it goes out in channel_tick() only: many small frames at once. */
int channel_post(struct channel *ch, const struct remoting_frame *f);

/* The same with a body that consists of `n` pieces of the log, each read when it is sent.
 * If a piece does not exist any more by then, the connection ends. */
int channel_send_log(struct channel *ch, const struct remoting_frame *f, const struct log_piece *pieces, size_t n);

/* Send as much as the events of epoll allow. */
void channel_ready(struct channel *ch, uint32_t events);

/* Receive the next frame (the caller's).  MQ_OK; -EAGAIN: no more in this turn; -EDQUOT: the frame
 * has more than `allowed` bytes: reader.size; else the channel's rc. */
int channel_receive(struct channel *ch, struct remoting_frame *ret);

/* Are there bytes to be received for which epoll reports no event?  Then the owner calls channel_receive()
 * again in the next turn. */
static inline bool
channel_pending(const struct channel *ch)
{
	return ch->ahead_len > 0 || stream_pending(&ch->stream);
}

/* Do what is due now, and choose the events for epoll: called at the end of each turn of
 * the loop.  Returns when to call again. */
int64_t channel_tick(struct channel *ch);

#endif
