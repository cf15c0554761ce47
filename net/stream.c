#include "config.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "conf/err.h"
#include "net/stream.h"

#define FILE_PIECE 16384		/* a TLS record holds no more */

/* How TLS records begin. */
#define TLS_ALERT 0x15
#define TLS_HANDSHAKE 0x16
#define TLS_MAJOR 3

/* --- begin and end ---------------------------------------------------------------------- */

static int
begin(struct stream *s, int fd, struct tls *tls, const char *host)
{
	*s = (struct stream){ .fd = fd, .recv_waits = EPOLLIN, .send_waits = EPOLLOUT, .up = !tls };
	return tls ? tls_session(tls, fd, host, &s->ssl) : MQ_OK;
}

int
stream_accept(struct stream *s, int fd, struct tls *tls, enum tls_how how)
{
	int rc;

	if (!tls || how == TLS_ALWAYS)
		return begin(s, fd, tls, NULL);
	rc = begin(s, fd, NULL, NULL);
	s->up = false;
	s->maybe = tls;
	s->how = how;
	return rc;
}

int
stream_connect(struct stream *s, int fd, struct tls *tls, const char *host)
{
	return begin(s, fd, tls, host);
}

void
stream_close(struct stream *s)
{
	if (s->ssl && s->up) {
		ERR_clear_error();
		(void)SSL_shutdown(s->ssl);
	}
	SSL_free(s->ssl);
	s->ssl = NULL;
}

/* --- TLS ---------------------------------------------------------------------------------- */

/* What a call for s->ssl has returned; *waits: which event it waits for. */
static int
outcome(struct stream *s, int n, uint32_t *waits)
{
	switch (SSL_get_error(s->ssl, n)) {
	case SSL_ERROR_NONE:
		return n;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
		*waits = EPOLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*waits = EPOLLOUT;
		return -EAGAIN;
	default:
		return tls_note(s->ssl, n);
	}
}

static void
prepare(void)
{
	ERR_clear_error();
	errno = 0;
}

/* OpenSSL sends no alert to a side that does not speak TLS; stream_recv() there recognizes one. */
static int
shake_failed(struct stream *s, int rc)
{
	static const unsigned char alert[] = { TLS_ALERT, TLS_MAJOR, 1, 0, 2, 2, SSL_AD_PROTOCOL_VERSION };

	if (rc == -EPROTONOSUPPORT && SSL_is_server(s->ssl))
		(void)send(s->fd, alert, sizeof(alert), MSG_NOSIGNAL);
	else if (rc == -ECONNRESET || rc == -EPIPE)
		return err_note(rc, "closed the connection while TLS began");
	return rc;
}

/* Look at the first byte, if it has come: as in RocketMQ's server, it tells TLS from plain. */
static int
decide(struct stream *s)
{
	unsigned char byte;
	ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK);
	bool is_tls = n == 1 && byte == TLS_HANDSHAKE;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : err_note(-errno, "%m");
	if (n == 0)
		return err_note(-ECONNRESET, "closed the connection");
	if (is_tls && s->how == TLS_NEVER)
		return err_note(-EPROTO, "speaks TLS, which tls.server.mode does not allow");
	s->up = !is_tls;
	if (is_tls && tls_session(s->maybe, s->fd, NULL, &s->ssl) != MQ_OK)
		return -ENOMEM;
	s->maybe = NULL;
	return MQ_OK;
}

int
stream_handshake(struct stream *s)
{
	int rc = s->maybe ? decide(s) : MQ_OK;

	if (rc != MQ_OK || s->up)
		return rc;
	prepare();
	rc = outcome(s, SSL_do_handshake(s->ssl), &s->recv_waits);
	s->send_waits = s->recv_waits;
	if (rc == -EAGAIN)
		return rc;
	if (rc <= 0)
		return shake_failed(s, rc < 0 ? rc : -ECONNRESET);
	s->up = true;
	s->recv_waits = EPOLLIN;
	s->send_waits = EPOLLOUT;
	return MQ_OK;
}

static int
size_of(size_t len)
{
	return len < INT32_MAX ? (int)len : INT32_MAX;
}

static ssize_t
tls_recv(struct stream *s, void *buf, size_t len)
{
	prepare();
	s->recv_waits = EPOLLIN;
	return outcome(s, SSL_read(s->ssl, buf, size_of(len)), &s->recv_waits);
}

static ssize_t
tls_send(struct stream *s, const void *buf, size_t len)
{
	unsigned char byte;
	int rc, said;

	prepare();
	s->send_waits = EPOLLOUT;
	rc = outcome(s, SSL_write(s->ssl, buf, size_of(len)), &s->send_waits);
	if (rc != -EPIPE && rc != -ECONNRESET)
		return rc;
	prepare();			/* it may have said why it closed */
	said = SSL_peek(s->ssl, &byte, 1);
	if (said <= 0 && SSL_get_error(s->ssl, said) == SSL_ERROR_SSL)
		return tls_note(s->ssl, said);
	return err_note(rc, "%m");
}

/* --- plain ----------------------------------------------------------------------------------- */

static ssize_t
plain_outcome(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? -EAGAIN : err_note(-errno, "%m");
}

/* No protocol here begins like a TLS record of a handshake or an alert. */
static bool
is_tls(const struct iovec *iov, ssize_t n)
{
	const unsigned char *at = iov->iov_base;

	return n >= 2 && iov->iov_len >= 2 && at[1] == TLS_MAJOR &&
	       (at[0] == TLS_ALERT || at[0] == TLS_HANDSHAKE);
}

static ssize_t
plain_recv(struct stream *s, const struct iovec *iov, int places)
{
	ssize_t n = plain_outcome(readv(s->fd, iov, places));

	if (n > 0 && !s->received && is_tls(iov, n))
		return err_note(-EPROTO, "speaks TLS, but there is no tlsCert here");
	return n;
}

/* --- both ---------------------------------------------------------------------------------------- */

ssize_t
stream_recvv(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t got = s->ssl ? tls_recv(s, iov->iov_base, iov->iov_len) : plain_recv(s, iov, n);

	s->received |= got > 0;
	return got;
}

ssize_t
stream_recv(struct stream *s, void *buf, size_t len)
{
	return stream_recvv(s, &(struct iovec){ buf, len }, 1);
}

ssize_t
stream_send(struct stream *s, const void *buf, size_t len, bool more)
{
	if (s->ssl)
		return tls_send(s, buf, len);
	return plain_outcome(send(s->fd, buf, len, MSG_NOSIGNAL | (more ? MSG_MORE : 0)));
}

ssize_t
stream_sendfile(struct stream *s, int file, off_t at, size_t len)
{
	unsigned char piece[FILE_PIECE];
	ssize_t n;

	if (!s->ssl)
		return plain_outcome(sendfile(s->fd, file, &at, len));
	n = plain_outcome(pread(file, piece, len < sizeof(piece) ? len : sizeof(piece), at));
	return n > 0 ? tls_send(s, piece, (size_t)n) : n;
}

uint32_t
stream_wants(const struct stream *s, uint32_t events)
{
	if (!s->up)
		return s->recv_waits;
	return (events & EPOLLIN ? s->recv_waits : 0) | (events & EPOLLOUT ? s->send_waits : 0);
}

bool
stream_pending(const struct stream *s)
{
	return s->ssl && SSL_pending(s->ssl) > 0;
}
