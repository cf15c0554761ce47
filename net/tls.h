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
 * The files are read once, by tls_open(), so it may be called with more rights
 * than what follows.
 */
#ifndef MQFS_NET_TLS_H
#define MQFS_NET_TLS_H

struct ssl_st;
struct tls;

/* Files in PEM; the certificate's may go on with what leads to its authority.
 * MQ_EBADCONF: they cannot be used (noted: which, and why). */
int tls_open(const char *cert, const char *key, const char *ca, struct tls **ret);
void tls_close(struct tls *t);		/* accepts NULL */

/* One connection over fd, which stays the caller's.  `host`: we connect to it;
 * NULL: it connects to us. */
int tls_session(struct tls *t, int fd, const char *host, struct ssl_st **ret);

/* Why the last call for ssl failed, as an operator wants to hear it: noted, and
 * returned as -errno; -EPROTONOSUPPORT: the other side does not speak TLS at all. */
int tls_note(const struct ssl_st *ssl, int ret);

#endif
