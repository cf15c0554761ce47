/* outbox.h - messages on their way to the mount.
 *
 * The mount may be busy; a daemon never waits for it.  A message that cannot be sent at once
 * stays here.  When the outbox is full outbox_put() refuses the message, so that memory
 * is bounded; its caller tries again later.
 */
#ifndef MQFS_NET_OUTBOX_H
#define MQFS_NET_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "net/link.h"

#define OUTBOX_MAX 256

struct outbox {
	int fd;
	struct outbox_entry *queue;
	size_t first, n;
};

int outbox_open(struct outbox *out, int fd);
void outbox_close(struct outbox *out);

/* Send msg, or keep it.  False if that would leave less than `spare` places. */
bool outbox_put(struct outbox *out, const struct link_message *msg, size_t spare);

/* The same with a blob, which is the outbox's if it returns true. */
bool outbox_put_blob(struct outbox *out, const struct link_message *msg, int blob_fd, size_t spare);

/* Send kept messages until the link takes no more.  -EPIPE: the mount has closed it. */
int outbox_send(struct outbox *out);

/* A line for the mount's log, of syslog's level; dropped when it is busy. */
void outbox_say(struct outbox *out, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
