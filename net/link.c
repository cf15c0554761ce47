#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/link.h"

#define VIP_BELOW 2			/* listenPort: clients of RocketMQ try that port first */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

size_t
link_size(uint32_t kind)
{
	return kind == LINK_CONFIG ? sizeof(struct link_message) : offsetof(struct link_message, config);
}

void
link_config_init(struct link_config *c, const struct settings *s, int64_t segment_bytes, bool ports)
{
	memset(c, 0, sizeof(*c));	/* configurations are compared as bytes */
	c->remoting_port = ports ? (int32_t)s->listenPort : -1;
	c->vip_port = c->remoting_port > VIP_BELOW ? c->remoting_port - VIP_BELOW : -1;
	c->segment_bytes = segment_bytes;
	c->heartbeat_ms = s->haSendHeartbeatInterval;
	c->housekeeping_ms = s->haHousekeepingInterval;
	c->batch_bytes = s->haTransferBatchSize;
}

/* --- sending ------------------------------------------------------------------------ */

/* Room for one descriptor; a packet with more of them is told apart by MSG_CTRUNC. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_LEN(sizeof(int))];
};

static void
put_blob(struct msghdr *hdr, union control *control, int blob_fd)
{
	struct cmsghdr *c = &control->align;

	memset(control, 0, sizeof(*control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(blob_fd));
	memcpy(CMSG_DATA(c), &blob_fd, sizeof(blob_fd));
	hdr->msg_control = control;
	hdr->msg_controllen = CMSG_LEN(sizeof(blob_fd));
}

int
link_send_blob(int fd, int flags, const struct link_message *msg, int blob_fd)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = link_size(msg->kind) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	if (blob_fd >= 0)
		put_blob(&hdr, &control, blob_fd);
	do
		n = sendmsg(fd, &hdr, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)link_size(msg->kind))
		return MQ_OK;
	return n < 0 ? -errno : -EPIPE;
}

int
link_send(int fd, const struct link_message *msg)
{
	return link_send_blob(fd, 0, msg, -1);
}

/* --- receiving ------------------------------------------------------------------------ */

static bool
ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool
allow_can_be(const struct allow *allow)
{
	if (allow->n < 0 || allow->n > ALLOW_MAX)
		return false;
	for (int32_t i = 0; i < allow->n; i++)
		if (allow->list[i].bits > 128)
			return false;
	return true;
}

static bool
port_can_be(int32_t port)
{
	return port >= -1 && port <= 65535;
}

static bool
config_can_be(const struct link_config *c)
{
	return ends(c->listen, sizeof(c->listen)) && ends(c->master, sizeof(c->master)) &&
	       ends(c->master_remoting, sizeof(c->master_remoting)) && ends(c->user, sizeof(c->user)) &&
	       ends(c->tls_cert, sizeof(c->tls_cert)) && ends(c->tls_key, sizeof(c->tls_key)) &&
	       ends(c->tls_ca, sizeof(c->tls_ca)) && ends(c->tls_password, sizeof(c->tls_password)) &&
	       ends(c->namesrv, sizeof(c->namesrv)) && allow_can_be(&c->allow) && c->segment_bytes > 0 &&
	       c->heartbeat_ms > 0 && c->housekeeping_ms > 0 && c->batch_bytes > 0 && c->port >= 0 &&
	       port_can_be(c->port) && port_can_be(c->remoting_port) && port_can_be(c->vip_port);
}

static bool
exchange_can_be(const struct link_message *msg)
{
	return msg->len <= LINK_BLOB_MAX && msg->ext_len <= msg->len && msg->timeout_ms >= 0;
}

static bool
peer_can_be(const struct link_message *msg)
{
	return msg->peer >= 0 && msg->peer <= LINK_PEERS_MAX && msg->state >= LINK_PEER_GONE &&
	       msg->state <= LINK_PEER_TRANSFER;
}

/* Check that texts end and that numbers are in range. */
static int
check(const struct link_message *msg)
{
	if (msg->version != LINK_VERSION)
		return err_note(MQ_ECORRUPT, "link: version %u, not %d", msg->version, LINK_VERSION);
	if (msg->kind < LINK_CONFIG || msg->kind >= LINK_KINDS_END)
		return err_note(MQ_ECORRUPT, "link: message of kind %u", msg->kind);
	if (!ends(msg->text, sizeof(msg->text)) || msg->pos < 0 || msg->ack < 0 || msg->sent < 0)
		return err_note(MQ_ECORRUPT, "link: a message of kind %u that cannot be", msg->kind);
	if (msg->kind == LINK_PEER && !peer_can_be(msg))
		return err_note(MQ_ECORRUPT, "link: a peer that cannot be");
	if (msg->kind == LINK_READY && !(port_can_be(msg->port) && port_can_be(msg->remoting_port) &&
					 port_can_be(msg->vip_port)))
		return err_note(MQ_ECORRUPT, "link: a port that cannot be");
	if (msg->kind == LINK_CONFIG && !config_can_be(&msg->config))
		return err_note(MQ_ECORRUPT, "link: a configuration that cannot be");
	if (msg->kind == LINK_REQUEST || msg->kind == LINK_RESPONSE ? !exchange_can_be(msg)
								    : msg->len > LINK_RING_BYTES)
		return err_note(MQ_ECORRUPT, "link: a message of kind %u with %u bytes", msg->kind, msg->len);
	return MQ_OK;
}

/* Check that the blob is sealed against changes, and as long as the message says. */
static int
check_blob(const struct link_message *msg, int blob_fd)
{
	bool wanted = (msg->kind == LINK_REQUEST || msg->kind == LINK_RESPONSE) && msg->len > 0;
	int seals = wanted && blob_fd >= 0 ? fcntl(blob_fd, F_GET_SEALS) : 0;
	struct stat st;

	if (msg->kind == LINK_RING && blob_fd >= 0)
		return MQ_OK;		/* its receiver checks the descriptor */
	if ((wanted || msg->kind == LINK_RING) != (blob_fd >= 0))
		return err_note(MQ_ECORRUPT, "link: a message of kind %u with%s a blob", msg->kind,
				wanted ? "out" : "");
	if (wanted && (seals < 0 || (seals & SEALS) != SEALS || fstat(blob_fd, &st) != 0 ||
		       st.st_size != msg->len))
		return err_note(MQ_ECORRUPT, "link: a blob that is none, or not of %u bytes", msg->len);
	return MQ_OK;
}

static int
taken_blob(struct msghdr *hdr)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(hdr);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int
link_receive(int fd, int flags, struct link_message *ret_msg, int *ret_blob)
{
	AUTO_CLOSE int blob_fd = -1;
	struct link_message msg = { .version = 0 };
	struct iovec iov = { .iov_base = &msg, .iov_len = sizeof(msg) };
	union control control;
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t n;
	int rc;

	/* If the other side closed with messages unread, ECONNRESET is reported once, before the
	 * messages that it had sent. */
	do
		n = recvmsg(fd, &hdr, flags | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n == 0)
		return MQ_EEND;
	if (n < 0)
		return -errno;
	blob_fd = taken_blob(&hdr);
	if (n < (ssize_t)link_size(0) || n != (ssize_t)link_size(msg.kind) || hdr.msg_flags & MSG_CTRUNC)
		return err_note(MQ_ECORRUPT, "link: a message of %zd bytes%s", n,
				hdr.msg_flags & MSG_CTRUNC ? ", and too many descriptors" : "");
	rc = check(&msg);
	if (rc == MQ_OK)
		rc = check_blob(&msg, blob_fd);
	if (rc == MQ_OK && blob_fd >= 0 && !ret_blob)
		rc = err_note(MQ_ECORRUPT, "link: a message of kind %u too early", msg.kind);
	if (rc != MQ_OK)
		return rc;
	*ret_msg = msg;
	if (ret_blob)
		*ret_blob = take_fd(&blob_fd);
	return MQ_OK;
}

/* --- blobs ------------------------------------------------------------------------------ */

static int
write_all(int fd, const char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return MQ_OK;
}

int
link_blob_make(struct link_message *msg, const void *ext, size_t ext_len, const void *body,
	       size_t body_len, int *ret_fd)
{
	AUTO_CLOSE int fd = -1;
	int rc = MQ_OK;

	if (ext_len > LINK_BLOB_MAX || body_len > LINK_BLOB_MAX - ext_len)
		return err_note(-EMSGSIZE, "more than %u bytes", LINK_BLOB_MAX);
	if (ext_len + body_len > 0) {
		fd = memfd_create("mqfs-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		rc = fd < 0 ? -errno : write_all(fd, ext, ext_len);
		if (rc == MQ_OK)
			rc = write_all(fd, body, body_len);
		if (rc == MQ_OK && fcntl(fd, F_ADD_SEALS, SEALS) != 0)
			rc = -errno;
	}
	if (rc != MQ_OK)
		return err_note(rc, "blob: %m");
	msg->ext_len = (uint32_t)ext_len;
	msg->len = (uint32_t)(ext_len + body_len);
	*ret_fd = take_fd(&fd);
	return MQ_OK;
}

int
link_blob_read(int fd, const struct link_message *msg, char **ret)
{
	AUTO_FREE char *buf = malloc((size_t)msg->len + 1);
	size_t len = 0;

	if (!buf)
		return -ENOMEM;
	while (len < msg->len) {
		ssize_t n = pread(fd, buf + len, msg->len - len, (off_t)len);

		if (n <= 0 && (n == 0 || errno != EINTR))
			return err_note(n < 0 ? -errno : MQ_ECORRUPT, "blob: %m");
		len += n > 0 ? (size_t)n : 0;
	}
	buf[len] = '\0';
	*ret = take_ptr(buf);
	return MQ_OK;
}
