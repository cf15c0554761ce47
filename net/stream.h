/* stream.h - a connection that never blocks, plain or TLS behind one interface.
 *
 *   stream_accept/connect ──> stream_handshake until MQ_OK ──> recv, send, sendfile
 *
 * A call that cannot go on now returns -EAGAIN.  stream_wants() says what to ask epoll
 * for then; with TLS that may be the other direction (a send may have to read first), so
 * on any event the owner tries each direction that it wants.
 *
 * TLS decrypts whole records, and epoll does not know of decrypted bytes that wait in the
 * library: an owner that stops reading before -EAGAIN while stream_pending() is true has to
 * read again without an event.  And a send that said -EAGAIN is to be tried again with the
 * same bytes (there may be more of them) before any others are sent.
 *
 * All functions return the number of bytes (MQ_OK: 0), -EAGAIN, or what went
 * wrong, noted in words about the peer: "does not take our certificate: expired".
 * There is no way on from an error.
 */
#ifndef MQFS_NET_STREAM_H
#define MQFS_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net/tls.h"

#define STREAM_SHAKE_MS 10000		/* for stream_handshake() to come to an end */

struct stream {
	int fd;				/* the owner's to close, after stream_close() */
	struct ssl_st *ssl;		/* NULL: plain */
	bool up;			/* the handshake is done */
	struct tls *maybe;		/* its first byte will say whether it is TLS; NULL: that is known */
	enum tls_how how;
	bool heard;			/* something has come */
	uint32_t recv_waits, send_waits; /* for these events of epoll */
};

/* fd is connected (or about to be, for stream_connect), and non-blocking.  tls
 * NULL: plain.  `host` (which lives as long as the stream) is whom we want to
 * reach, see tls.h; `how`: what the other side may speak.  With TLS_TOO and TLS_NEVER
 * stream_handshake() first waits for a byte, however long that takes. */
int stream_accept(struct stream *s, int fd, struct tls *tls, enum tls_how how);
int stream_connect(struct stream *s, int fd, struct tls *tls, const char *host);

/* The other side hears that this is the end, if it goes out at once.  All zeros will do, too. */
void stream_close(struct stream *s);

/* MQ_OK: both sides know each other now.  (A client of TLS 1.3 hears only when it
 * receives that it was refused.)  The owner ends
 * it after STREAM_SHAKE_MS. */
int stream_handshake(struct stream *s);

/* What comes next; 0: the other side has closed.  With TLS only the first place is used. */
ssize_t stream_recv(struct stream *s, void *buf, size_t len);
ssize_t stream_recvv(struct stream *s, const struct iovec *iov, int n);

/* `more`: it would be nice to have it in one packet with what is sent next. */
ssize_t stream_send(struct stream *s, const void *buf, size_t len, bool more);

/* Bytes of a file, from `at` on; 0: it ends there. */
ssize_t stream_sendfile(struct stream *s, int file, off_t at, size_t len);

/* The owner wants these of EPOLLIN and EPOLLOUT: what is epoll to be asked for? */
uint32_t stream_wants(const struct stream *s, uint32_t events);

/* Bytes have come that epoll will not tell of. */
bool stream_pending(const struct stream *s);

#endif
