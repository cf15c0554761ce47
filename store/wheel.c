#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <time.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/wheel.h"

#define CHECK_NAME "config/timercheck"
#define WHEEL_LOOK_MAX 65536		/* of the queue, the newest ones */
#define AT_ONCE 512		/* entries of the queue */

struct wheel {
	int64_t waiting;		/* not delivered; a message with a long delay is stored more than once, and
					 * each counts */
	int64_t first_ms;		/* when the first of them is due, or was */
};

/* Up to when messages have been delivered. */
static int64_t
delivered_ms(int store_fd, int64_t now_ms)
{
	AUTO_CLOSE int fd = openat(store_fd, CHECK_NAME, O_RDONLY | O_CLOEXEC);
	unsigned char raw[8];

	return fd >= 0 && file_read(fd, raw, sizeof(raw), 0, CHECK_NAME) == MQ_OK ? be64_get(raw) : now_ms;
}

/* When a message is due; 0: never, it cancels another one. */
static int64_t
due_ms(const struct record *rec)
{
	size_t len, props_len = (size_t)rec->props_len;

	return record_property(rec->props, props_len, "TIMER_DEL_UNIQKEY", &len)
		       ? 0 : record_property_number(rec->props, props_len, "TIMER_OUT_MS");
}

static int
look_at(struct store *s, const struct queue_entry *e, int64_t delivered, struct wheel *w)
{
	AUTO_FREE unsigned char *buf = NULL;
	size_t size = 0;
	struct record rec;
	int64_t due;
	int rc = e->total == QUEUE_HOLE_SIZE ? MQ_EGONE : store_read(s, e->pos, &buf, &size, &rec);

	if (rc != MQ_OK)			/* retention goes on meanwhile */
		return rc == MQ_EGONE ? MQ_OK : rc;
	due = due_ms(&rec);
	if (due < delivered || due == 0)
		return MQ_OK;
	if (w->waiting++ == 0 || due < w->first_ms)
		w->first_ms = due;
	return MQ_OK;
}

/* The next entries at or behind *at, which goes on behind them.  MQ_EEND: none. */
static int
next_entries(struct queue *q, int64_t *at, struct queue_entry entries[AT_ONCE], size_t *ret_n)
{
	int64_t min = queue_min(q).n;
	int rc;

	*at = *at > min ? *at : min;
	rc = queue_entries(q, MQ_QOFF(*at), entries, AT_ONCE, ret_n);
	if (rc == MQ_OK)
		*at += (int64_t)*ret_n;
	return rc;
}

/* Errors as store_read()'s. */
static int
look(struct store *s, int store_fd, int64_t now_ms, struct wheel *ret)
{
	struct queue *q = store_queue(s, WHEEL_TOPIC, 0);
	int64_t delivered = delivered_ms(store_fd, now_ms), at = q ? queue_end(q).n - WHEEL_LOOK_MAX : 0;
	struct queue_entry entries[AT_ONCE];
	struct wheel w = { 0 };
	size_t n;
	int rc = q ? MQ_OK : MQ_EEND;

	while (rc == MQ_OK) {
		rc = next_entries(q, &at, entries, &n);
		for (size_t i = 0; rc == MQ_OK && i < n; i++)
			rc = look_at(s, &entries[i], delivered, &w);
	}
	if (rc != MQ_EEND)
		return rc;
	*ret = w;
	return MQ_OK;
}

void
wheel_log(struct store *s, int store_fd, int64_t *ret_waiting)
{
	struct wheel w;
	struct tm tm;
	time_t first;
	char text[40];
	int rc = look(s, store_fd, clock_wall_ms(), &w);

	if (rc != MQ_OK) {
		log_warn("messages in " WHEEL_TOPIC " cannot be read: %s", err_text(rc));
		return;
	}
	*ret_waiting = w.waiting;
	if (w.waiting == 0)
		return;
	first = (time_t)(w.first_ms / 1000);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", localtime_r(&first, &tm) ? &tm : gmtime_r(&first, &tm));
	log_warn("%" PRId64 " messages wait in RocketMQ 5's timer wheel (topic " WHEEL_TOPIC "), the first until %s: "
		 "mqfs does not deliver them; RocketMQ does when it runs on this store again", w.waiting, text);
}
