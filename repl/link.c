#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "conf/err.h"
#include "repl/link.h"

int
link_send(int fd, const struct link_message *msg)
{
	ssize_t n;

	do
		n = send(fd, msg, sizeof(*msg), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(*msg))
		return MQ_OK;
	return n < 0 ? -errno : -EPIPE;
}

/* Texts end, numbers are in range: what a message says can then be used as it is. */
static int
check(const struct link_message *msg)
{
	if (msg->version != LINK_VERSION)
		return err_note(MQ_ECORRUPT, "link: version %u, not %d", msg->version, LINK_VERSION);
	if (msg->kind < LINK_CONFIG || msg->kind > LINK_SAY)
		return err_note(MQ_ECORRUPT, "link: message of kind %u", msg->kind);
	if (!memchr(msg->text, '\0', sizeof(msg->text)) || msg->pos < 0 || msg->begin < 0 ||
	    msg->written < msg->begin || msg->len > LINK_RING_BYTES || msg->ack < 0 || msg->sent < 0)
		return err_note(MQ_ECORRUPT, "link: a message of kind %u that cannot be", msg->kind);
	if (msg->kind == LINK_CONFIG &&
	    (!memchr(msg->config.listen, '\0', sizeof(msg->config.listen)) ||
	     !memchr(msg->config.master, '\0', sizeof(msg->config.master)) ||
	     !memchr(msg->config.user, '\0', sizeof(msg->config.user)) || msg->config.segment_bytes <= 0))
		return err_note(MQ_ECORRUPT, "link: a configuration that cannot be");
	return MQ_OK;
}

int
link_receive(int fd, int flags, struct link_message *ret_msg)
{
	struct link_message msg;
	ssize_t n;
	int rc;

	do
		n = recv(fd, &msg, sizeof(msg), flags | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return MQ_EEND;
	if (n < 0)
		return errno == ECONNRESET ? MQ_EEND : -errno;
	if (n != (ssize_t)sizeof(msg))
		return err_note(MQ_ECORRUPT, "link: a message of %zd bytes", n);
	rc = check(&msg);
	if (rc == MQ_OK)
		*ret_msg = msg;
	return rc;
}
