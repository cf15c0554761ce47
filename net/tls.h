/* tls.h - certificates: what this broker shows to its peers, and which peers it accepts.
 *
 * Both sides of a connection show a certificate, and each wants the other's
 * signed by an authority in tlsCa.  TLS 1.2 and later; no renegotiation, no
 * sessions to resume, so every connection has been looked at in full.
 *
 * Who connects asks for more: the certificate must have the name or address that
 * was connected to (subjectAltName).  One without names is for no host: else every
 * client of the authority could pass for a server.
 *
 * A server of strangers, as RocketMQ's brokers are (tls_open_server()), may ask less of who
 * connects: no certificate, or any.
 *
 * The files are read once, by tls_open(), so it may be called with more rights
 * than what follows.
 */
#ifndef MQFS_NET_TLS_H
#define MQFS_NET_TLS_H

#include <stdbool.h>

struct ssl_st;
struct tls;

/* Files in PEM; the certificate's may go on with what leads to its authority.
 * MQ_EBADCONF: they cannot be used (noted: which, and why). */
int tls_open(const char *cert, const char *key, const char *ca, struct tls **ret);

enum tls_ask { TLS_ASK_NONE, TLS_ASK_OPTIONAL, TLS_ASK_REQUIRE };

/* What those who connect see of us, and what we want to see of them. */
struct tls_server {
	const char *cert, *key;		/* files in PEM; "": a certificate made on the spot, of no authority */
	const char *password;		/* of the key; "": it needs none */
	const char *trust;		/* file of authorities; "": the system's */
	enum tls_ask ask;		/* for a certificate */
	bool verify;			/* and look at it: else any will do */
};

int tls_open_server(const struct tls_server *what, struct tls **ret);
void tls_close(struct tls *t);		/* accepts NULL */

/* Of those who connect to us. */
enum tls_how {
	TLS_ALWAYS,			/* they speak TLS */
	TLS_TOO,			/* they may: their first byte says so */
	TLS_NEVER,			/* they must not */
};

/* One connection over fd, which stays the caller's.  `host`: we connect to it;
 * NULL: it connects to us. */
int tls_session(struct tls *t, int fd, const char *host, struct ssl_st **ret);

/* Why the last call for ssl failed, as an operator wants to hear it: noted, and
 * returned as -errno; -EPROTONOSUPPORT: the other side does not speak TLS at all. */
int tls_note(const struct ssl_st *ssl, int ret);

#endif
