#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/outbox.h"

#define SAY_SPARE (OUTBOX_MAX / 2)

struct outbox_entry {
	struct link_message msg;
	int blob_fd;			/* -1: none */
};

int
outbox_open(struct outbox *out, int fd)
{
	*out = (struct outbox){ .fd = fd, .queue = calloc(OUTBOX_MAX, sizeof(*out->queue)) };
	return out->queue ? MQ_OK : -ENOMEM;
}

static void
drop_first(struct outbox *out)
{
	if (out->queue[out->first].blob_fd >= 0)
		close(out->queue[out->first].blob_fd);
	out->first = (out->first + 1) % OUTBOX_MAX;
	out->n--;
}

void
outbox_close(struct outbox *out)
{
	while (out->n > 0)
		drop_first(out);
	free(out->queue);
	out->queue = NULL;
}

bool
outbox_put_blob(struct outbox *out, const struct link_message *msg, int blob_fd, size_t spare)
{
	struct outbox_entry *kept;

	if (out->n + spare >= OUTBOX_MAX)
		return false;
	kept = &out->queue[(out->first + out->n++) % OUTBOX_MAX];
	*kept = (struct outbox_entry){ *msg, blob_fd };
	kept->msg.version = LINK_VERSION;
	(void)outbox_send(out);		/* if the link has ended, the loop notices */
	return true;
}

bool
outbox_put(struct outbox *out, const struct link_message *msg, size_t spare)
{
	return outbox_put_blob(out, msg, -1, spare);
}

int
outbox_send(struct outbox *out)
{
	while (out->n > 0) {
		const struct outbox_entry *next = &out->queue[out->first];
		int rc = link_send_blob(out->fd, MSG_DONTWAIT, &next->msg, next->blob_fd);

		if (rc == -EAGAIN || rc == -ENOBUFS)
			return MQ_OK;
		if (rc != MQ_OK)
			return -EPIPE;
		drop_first(out);
	}
	return MQ_OK;
}

void
outbox_say(struct outbox *out, int level, const char *fmt, ...)
{
	struct link_message msg = { .kind = LINK_SAY, .level = level };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg.text, sizeof(msg.text), fmt, ap);
	va_end(ap);
	(void)outbox_put(out, &msg, SAY_SPARE);
}
