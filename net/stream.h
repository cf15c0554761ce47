/* stream.h - a non-blocking connection, plain or TLS behind one interface.
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
 * All functions return the number of bytes (MQ_OK: 0), -EAGAIN, or an error, noted
 * with the peer as its subject: "does not take our certificate: expired".  After an
 * error the stream can only be closed.
 */
#ifndef MQFS_NET_STREAM_H
#define MQFS_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net/tls.h"

#define STREAM_SHAKE_MS 10000		/* time for a handshake */

struct stream {
	int fd;				/* the owner's to close, after stream_close() */
	struct ssl_st *ssl;		/* NULL: plain */
	bool up;			/* the handshake is done */
	struct tls *maybe;		/* the first byte will show whether it is TLS; NULL: that is known */
	enum tls_how how;
	bool received;			/* a byte was received */
	uint32_t recv_waits, send_waits; /* for these events of epoll */
};

/* fd is connected (or about to be, for stream_connect), and non-blocking.  tls
 * NULL: plain.  `host` (which lives as long as the stream) is the host that we connect
 * to, see tls.h; `how`: what the other side may speak.  With TLS_TOO and TLS_NEVER
 * stream_handshake() first waits for a byte, however long that takes. */
int stream_accept(struct stream *s, int fd, struct tls *tls, enum tls_how how);
int stream_connect(struct stream *s, int fd, struct tls *tls, const char *host);

/* TLS: tell the other side that this is the end, if that can be sent at once.  Accepts all zeros. */
void stream_close(struct stream *s);

/* MQ_OK: both sides have accepted each other's certificates.  (A client of TLS 1.3 learns
 * that it was refused only when it receives.)  The owner closes a stream whose handshake
 * takes longer than STREAM_SHAKE_MS. */
int stream_handshake(struct stream *s);

/* Receive; 0: the other side has closed.  With TLS only the first of iov is used. */
ssize_t stream_recv(struct stream *s, void *buf, size_t len);
ssize_t stream_recvv(struct stream *s, const struct iovec *iov, int n);

/* `more`: another send follows, and both may go in one packet. */
ssize_t stream_send(struct stream *s, const void *buf, size_t len, bool more);

/* Bytes of a file, from `at` on; 0: it ends there. */
ssize_t stream_sendfile(struct stream *s, int file, off_t at, size_t len);

/* The events to ask epoll for, when the owner wants `events` (EPOLLIN, EPOLLOUT). */
uint32_t stream_wants(const struct stream *s, uint32_t events);

/* Are there decrypted bytes, for which epoll reports no event? */
bool stream_pending(const struct stream *s);

#endif
