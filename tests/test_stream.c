/* Connections that are plain or TLS, over a pair of sockets. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "net/stream.h"
#include "tests/tree.h"

#define WAIT_MS 10000
#define FILE_BYTES (1 << 20)

static char dir[128];

struct pair {
	struct tls *server_tls, *client_tls;
	int fd[2];
	struct stream server, client;
};

/* --- pairs ---------------------------------------------------------------------------- */

static struct tls *
tls_of(const char *name, const char *ca)
{
	char cert[160], key[160], authority[160];
	struct tls *t = NULL;

	if (!name)
		return NULL;
	snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
	snprintf(key, sizeof(key), "%s/%s.key", dir, name);
	snprintf(authority, sizeof(authority), "%s/%s.pem", dir, ca);
	if (tls_open(cert, key, authority, &t) != MQ_OK)
		fail_msg("%s", err_text(MQ_EBADCONF));
	return t;
}

static void
pair_open(struct pair *p, const char *server, const char *client, const char *client_ca, const char *host)
{
	*p = (struct pair){ .server_tls = tls_of(server, "ca"), .client_tls = tls_of(client, client_ca) };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fd), 0);
	assert_int_equal(stream_accept(&p->server, p->fd[0], p->server_tls, TLS_ALWAYS), MQ_OK);
	assert_int_equal(stream_connect(&p->client, p->fd[1], p->client_tls, host), MQ_OK);
}

static void
pair_close(struct pair *p)
{
	stream_close(&p->server);
	stream_close(&p->client);
	close(p->fd[0]);
	close(p->fd[1]);
	tls_close(p->server_tls);
	tls_close(p->client_tls);
}

/* Until both are up, or both have failed or wait in vain. */
static void
shake(struct pair *p, int *ret_server, int *ret_client)
{
	*ret_server = *ret_client = -EAGAIN;
	for (int i = 0; i < 10; i++) {
		if (*ret_client == -EAGAIN)
			*ret_client = stream_handshake(&p->client);
		if (*ret_server == -EAGAIN)
			*ret_server = stream_handshake(&p->server);
	}
}

static void
pair_up(struct pair *p, bool tls)
{
	int server, client;

	pair_open(p, tls ? "names" : NULL, tls ? "plain" : NULL, "ca", "localhost");
	shake(p, &server, &client);
	assert_int_equal(server, MQ_OK);
	assert_int_equal(client, MQ_OK);
}

static void
wait_for(struct stream *s, uint32_t events)
{
	uint32_t wants = stream_wants(s, events);
	struct pollfd p = { .fd = s->fd, .events = (short)wants };	/* the bits are the same */

	assert_true(wants != 0);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static ssize_t
recv_waiting(struct stream *s, void *buf, size_t len)
{
	ssize_t n;

	while ((n = stream_recv(s, buf, len)) == -EAGAIN)
		wait_for(s, EPOLLIN);
	return n;
}

static void
expect(struct stream *from, struct stream *to, const char *text)
{
	char got[64];

	assert_int_equal(stream_send(from, text, strlen(text), false), strlen(text));
	assert_int_equal(recv_waiting(to, got, sizeof(got)), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* --- what comes through --------------------------------------------------------------------- */

static void
goes_both_ways(bool tls)
{
	struct pair p;
	char byte;

	pair_up(&p, tls);
	expect(&p.client, &p.server, "to the server");
	expect(&p.server, &p.client, "and back");
	assert_int_equal(stream_recv(&p.server, &byte, 1), -EAGAIN);
	assert_int_equal(stream_wants(&p.server, EPOLLIN), EPOLLIN);
	assert_int_equal(stream_wants(&p.server, EPOLLIN | EPOLLOUT), EPOLLIN | EPOLLOUT);
	assert_int_equal(stream_wants(&p.server, 0), 0);
	stream_close(&p.client);
	shutdown(p.fd[1], SHUT_WR);
	assert_int_equal(recv_waiting(&p.server, &byte, 1), 0);
	pair_close(&p);
}

static void
what_is_sent_arrives_both_ways(void **state)
{
	(void)state;
	goes_both_ways(false);
	goes_both_ways(true);
}

/* All of a file while the other side reads it with a buffer of an odd size. */
static void
file_arrives(bool tls, int file, const unsigned char *bytes)
{
	static unsigned char got[FILE_BYTES];
	size_t sent = 0, have = 0;
	struct pair p;

	pair_up(&p, tls);
	while (have < FILE_BYTES) {
		size_t left = FILE_BYTES - have;
		ssize_t n = sent < FILE_BYTES ? stream_sendfile(&p.server, file, (off_t)sent, FILE_BYTES - sent)
					      : -EAGAIN;

		assert_true(n > 0 || n == -EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		n = stream_recv(&p.client, got + have, left < 777 ? left : 777);
		assert_true(n > 0 || n == -EAGAIN);
		have += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(stream_sendfile(&p.server, file, FILE_BYTES, 1), 0);
	assert_memory_equal(got, bytes, FILE_BYTES);
	pair_close(&p);
}

static void
a_file_arrives_as_it_is(void **state)
{
	static unsigned char bytes[FILE_BYTES];
	char path[160];
	int file;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	snprintf(path, sizeof(path), "%s/file", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(file, bytes, sizeof(bytes)), sizeof(bytes));
	file_arrives(false, file, bytes);
	file_arrives(true, file, bytes);
	close(file);
}

static void
what_is_decrypted_already_is_told_of(void **state)
{
	struct pollfd poll_in = { .events = POLLIN };
	struct pair p;
	char buf[4];

	(void)state;
	pair_up(&p, true);
	assert_int_equal(stream_send(&p.client, "12345678", 8, false), 8);
	assert_int_equal(recv_waiting(&p.server, buf, 4), 4);
	poll_in.fd = p.fd[0];
	assert_int_equal(poll(&poll_in, 1, 0), 0);
	assert_true(stream_pending(&p.server));
	assert_int_equal(stream_recv(&p.server, buf, 4), 4);
	assert_memory_equal(buf, "5678", 4);
	assert_false(stream_pending(&p.server));
	assert_int_equal(stream_recv(&p.server, buf, 4), -EAGAIN);
	pair_close(&p);
}

static void
a_peer_that_does_not_read_is_waited_for(void **state)
{
	static char bytes[1 << 16];
	size_t sent = 0, have = 0;
	struct pair p;
	ssize_t n;

	(void)state;
	pair_up(&p, true);
	while ((n = stream_send(&p.client, bytes, sizeof(bytes), false)) > 0)
		sent += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	assert_int_equal(stream_wants(&p.client, EPOLLOUT), EPOLLOUT);
	while (have < sent) {
		n = recv_waiting(&p.server, bytes, sizeof(bytes));
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_true(stream_send(&p.client, bytes, sizeof(bytes), false) > 0);
	pair_close(&p);
}

/* --- who is refused --------------------------------------------------------------------------- */

/* The first to know says why; the other one hears of it now or with the next bytes. */
static void
refused(const char *server, const char *client, const char *client_ca, const char *host,
	const char *says_server, const char *says_client)
{
	int rc_server, rc_client;
	char text[200], byte;
	struct pair p;

	pair_open(&p, server, client, client_ca, host);
	for (int i = 0; i < 10; i++) {
		rc_client = stream_handshake(&p.client);
		if (rc_client == MQ_OK)
			rc_client = (int)stream_recv(&p.client, &byte, 1);
		snprintf(text, sizeof(text), "%s", rc_client == -EAGAIN ? "" : err_text(rc_client));
		if (rc_client != -EAGAIN)
			break;
		rc_server = stream_handshake(&p.server);
		if (rc_server == MQ_OK)
			rc_server = (int)stream_recv(&p.server, &byte, 1);
		if (rc_server != -EAGAIN) {
			assert_string_equal(err_text(rc_server), says_server);
			says_server = NULL;
		}
	}
	assert_string_equal(text, says_client);
	if (says_server) {
		rc_server = stream_handshake(&p.server);
		assert_int_equal(rc_server, -EPROTO);
		assert_string_equal(err_text(rc_server), says_server);
	}
	pair_close(&p);
}

static void
a_certificate_of_another_authority_is_refused(void **state)
{
	(void)state;
	refused("names", "other", "ca", "localhost", "its certificate is of no authority in tlsCa",
		"does not take our certificate: unknown CA");
	refused("names", "plain", "other-ca", "localhost", "does not take our certificate: unknown CA",
		"its certificate is of no authority in tlsCa");
}

static void
an_expired_certificate_is_refused(void **state)
{
	(void)state;
	refused("names", "expired", "ca", "localhost", "its certificate is not good: certificate has expired",
		"does not take our certificate: certificate expired");
	refused("expired", "plain", "ca", "localhost", "does not take our certificate: certificate expired",
		"its certificate is not good: certificate has expired");
}

static void
a_certificate_for_another_host_is_refused(void **state)
{
	(void)state;
	refused("far", "plain", "ca", "localhost", "does not take our certificate: bad certificate",
		"its certificate is not for localhost");
	refused("far", "plain", "ca", "127.0.0.1", "does not take our certificate: bad certificate",
		"its certificate is not for 127.0.0.1");
}

static void
a_certificate_without_names_is_for_no_host(void **state)
{
	(void)state;
	refused("plain", "names", "ca", "localhost", "breaks off TLS: handshake failure",
		"its certificate has no names (subjectAltName), so it is for no host");
	refused("plain", "plain", "ca", "127.0.0.1", "breaks off TLS: handshake failure",
		"its certificate has no names (subjectAltName), so it is for no host");
}

static void
who_does_not_speak_tls_is_refused(void **state)
{
	struct pair p;
	char buf[12];

	(void)state;
	pair_open(&p, "names", NULL, NULL, NULL);
	assert_int_equal(stream_send(&p.client, "\0\0\0\0\0\0\4\0", 8, false), 8);
	assert_int_equal(stream_handshake(&p.server), -EPROTONOSUPPORT);
	assert_string_equal(err_text(-EPROTONOSUPPORT), "does not speak TLS");
	assert_int_equal(stream_recv(&p.client, buf, sizeof(buf)), -EPROTO);
	assert_string_equal(err_text(-EPROTO), "speaks TLS, but there is no tlsCert here");
	pair_close(&p);
}

/* --- files ---------------------------------------------------------------------------------------- */

static void
unusable(const char *cert, const char *key, const char *ca, const char *says)
{
	char path[3][160];
	struct tls *t = NULL;

	snprintf(path[0], sizeof(path[0]), "%s/%s", dir, cert);
	snprintf(path[1], sizeof(path[1]), "%s/%s", dir, key);
	snprintf(path[2], sizeof(path[2]), "%s/%s", dir, ca);
	assert_int_equal(tls_open(path[0], path[1], path[2], &t), MQ_EBADCONF);
	assert_null(t);
	if (!strstr(err_text(MQ_EBADCONF), says))
		fail_msg("'%s' does not say '%s'", err_text(MQ_EBADCONF), says);
}

static void
files_that_cannot_be_used_are_named(void **state)
{
	(void)state;
	unusable("none.pem", "names.key", "ca.pem", "none.pem: No such file or directory");
	unusable("names.key", "names.key", "ca.pem", "names.key: holds nothing of the kind (PEM)");
	unusable("names.pem", "names.pem", "ca.pem", "names.pem: holds nothing of the kind (PEM)");
	unusable("names.pem", "none.key", "ca.pem", "none.key: No such file or directory");
	unusable("names.pem", "plain.key", "ca.pem", "plain.key: is not the key of the certificate");
	unusable("names.pem", "secret.key", "ca.pem", "secret.key: wants a passphrase");
	unusable("names.pem", "names.key", "none.pem", "none.pem: No such file or directory");
	unusable("names.pem", "names.key", "names.key", "names.key: holds nothing of the kind (PEM)");
}

static int
make_certificates(void **state)
{
	(void)state;
	tree_make(dir, sizeof(dir), NULL, "stream");
	return sh_status("sh ${top_srcdir:-..}/tests/certificates.sh '%s'", dir);
}

static int
remove_certificates(void **state)
{
	(void)state;
	return tree_remove(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_arrives_both_ways),
		cmocka_unit_test(a_file_arrives_as_it_is),
		cmocka_unit_test(what_is_decrypted_already_is_told_of),
		cmocka_unit_test(a_peer_that_does_not_read_is_waited_for),
		cmocka_unit_test(a_certificate_of_another_authority_is_refused),
		cmocka_unit_test(an_expired_certificate_is_refused),
		cmocka_unit_test(a_certificate_for_another_host_is_refused),
		cmocka_unit_test(a_certificate_without_names_is_for_no_host),
		cmocka_unit_test(who_does_not_speak_tls_is_refused),
		cmocka_unit_test(files_that_cannot_be_used_are_named),
	};

	return cmocka_run_group_tests_name("stream", tests, make_certificates, remove_certificates);
}
