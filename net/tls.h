/* tls.h - certificates: what this broker shows to its peers, and which peers it accepts.
 *
 * Both sides of a connection show a certificate, and each wants the other's to be
 * signed by an authority in tlsCa.  TLS 1.2 and later; no renegotiation, no resumed
 * sessions, so every connection is verified in full.
 *
 * The side that connects checks more: the certificate must have the name or address to
 * which it connected (subjectAltName).  A certificate without names is for no host: else
 * every client of the authority could pass for a server.
 *
 * A server of strangers, as RocketMQ's brokers are (tls_open_server()), may ask its clients
 * for less: for no certificate, or for any.
 *
 * The files are read once, by tls_open(), so it may be called with more rights
 * than what follows.
 */
#ifndef MQFS_NET_TLS_H
#define MQFS_NET_TLS_H

#include <stdbool.h>

struct ssl_st;
struct tls;

/* Files in PEM; the certificate's may also have the chain to its authority.
 * MQ_EBADCONF: they cannot be used (noted: which, and why). */
int tls_open(const char *cert, const char *key, const char *ca, struct tls **ret);

enum tls_ask { TLS_ASK_NONE, TLS_ASK_OPTIONAL, TLS_ASK_REQUIRE };

/* The certificate that we show to clients, and what we ask of theirs. */
struct tls_server {
	const char *cert, *key;		/* files in PEM; "": a self-signed certificate, made now */
	const char *password;		/* of the key; "": it needs none */
	const char *trust;		/* file of authorities; "": the system's */
	enum tls_ask ask;		/* for a certificate */
	bool verify;			/* and verify it: else any is accepted */
};

int tls_open_server(const struct tls_server *what, struct tls **ret);
void tls_close(struct tls *t);		/* accepts NULL */

/* What clients speak that connect to us. */
enum tls_how {
	TLS_ALWAYS,			/* they speak TLS */
	TLS_TOO,			/* they may: their first byte shows it */
	TLS_NEVER,			/* they must not */
};

/* One connection over fd, which stays the caller's.  `host`: we connect to it;
 * NULL: it connects to us. */
int tls_session(struct tls *t, int fd, const char *host, struct ssl_st **ret);

/* The reason why the last call for ssl failed, in words for an operator: noted, and
 * returned as -errno; -EPROTONOSUPPORT: the other side does not speak TLS at all. */
int tls_note(const struct ssl_st *ssl, int ret);

#endif
