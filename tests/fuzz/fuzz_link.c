/* Any bytes as a packet on the link between the mount and mqrepld: what is
 * received can be used as it is. */
#include "config.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/link.h"
#include "tests/fuzz/target.h"

static int pair[2] = { -1, -1 };

static void
check_usable(const struct link_message *msg)
{
	MUST(msg->version == LINK_VERSION);
	MUST(msg->kind >= LINK_CONFIG && msg->kind < LINK_KINDS_END);
	MUST(strnlen(msg->text, sizeof(msg->text)) < sizeof(msg->text));
	MUST(msg->pos >= 0);
	MUST(msg->len <= LINK_RING_BYTES && msg->ack >= 0 && msg->sent >= 0);
	if (msg->kind != LINK_CONFIG)
		return;
	MUST(strnlen(msg->config.listen, sizeof(msg->config.listen)) < sizeof(msg->config.listen));
	MUST(strnlen(msg->config.master, sizeof(msg->config.master)) < sizeof(msg->config.master));
	MUST(strnlen(msg->config.user, sizeof(msg->config.user)) < sizeof(msg->config.user));
	MUST(msg->config.segment_bytes > 0);
	MUST(msg->config.allow.n >= 0 && msg->config.allow.n <= ALLOW_MAX);
}

static int
pass(const void *packet, size_t len, struct link_message *ret)
{
	MUST(send(pair[0], packet, len, MSG_DONTWAIT) == (ssize_t)len);
	return link_receive(pair[1], MSG_DONTWAIT, ret, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct link_message msg = { .version = LINK_VERSION }, got;
	int rc;

	if (pair[0] < 0)
		MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	if (size == 0 || size > 2 * sizeof(msg))
		return 0;
	rc = pass(data, size, &got);		/* as it is */
	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	if (rc == MQ_OK)
		check_usable(&got);

	/* and as the fields after the version of a whole one */
	memcpy((char *)&msg + sizeof(msg.version), data,
	       size < sizeof(msg) - sizeof(msg.version) ? size : sizeof(msg) - sizeof(msg.version));
	rc = pass(&msg, link_size(msg.kind), &got);
	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	if (rc == MQ_OK) {
		check_usable(&got);
		MUST(memcmp(&got, &msg, link_size(msg.kind)) == 0);
	}
	return 0;
}
