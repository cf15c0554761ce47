#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "conf/err.h"
#include "repl/outbox.h"

#define SAY_SPARE (OUTBOX_MAX / 2)

int
outbox_open(struct outbox *out, int fd)
{
	*out = (struct outbox){ .fd = fd, .queue = calloc(OUTBOX_MAX, sizeof(*out->queue)) };
	return out->queue ? MQ_OK : -ENOMEM;
}

void
outbox_close(struct outbox *out)
{
	free(out->queue);
	out->queue = NULL;
}

bool
outbox_put(struct outbox *out, const struct link_message *msg, size_t spare)
{
	struct link_message *kept;

	if (out->n + spare >= OUTBOX_MAX)
		return false;
	kept = &out->queue[(out->first + out->n++) % OUTBOX_MAX];
	*kept = *msg;
	kept->version = LINK_VERSION;
	(void)outbox_send(out);		/* if the mount is gone, the loop hears of it */
	return true;
}

int
outbox_send(struct outbox *out)
{
	while (out->n > 0) {
		ssize_t n = send(out->fd, &out->queue[out->first], sizeof(out->queue[0]),
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == ENOBUFS ? MQ_OK : -EPIPE;
		out->first = (out->first + 1) % OUTBOX_MAX;
		out->n--;
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
