#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "store/properties.h"

#define NAME_END '\x01'
#define VALUE_END '\x02'

static bool
has_separator(const char *text, size_t len)
{
	return memchr(text, NAME_END, len) || memchr(text, VALUE_END, len);
}

bool
properties_put(struct properties *p, const char *name, size_t name_len, const char *value, size_t value_len)
{
	size_t between = p->len > 0;
	char *to = p->buf + p->len;

	if (value_len > p->size || between + name_len + 1 + value_len > p->size - p->len) {
		p->full = true;
		return false;
	}
	if (between)
		*to++ = VALUE_END;
	memcpy(to, name, name_len);
	to += name_len;
	*to++ = NAME_END;
	memcpy(to, value, value_len);
	p->len += between + name_len + 1 + value_len;
	return true;
}

int
properties_add(struct properties *p, const char *name, const char *value, size_t len)
{
	size_t name_len = strlen(name);

	if (name_len == 0 || has_separator(name, name_len))
		return err_note(-EINVAL, "\"%.64s\" cannot be the name of a property", name);
	if (len == 0)
		return err_note(-EINVAL, "%.64s must be a text, not empty", name);
	if (has_separator(value, len))
		return err_note(-EINVAL, "%.64s: a property cannot hold U+0001 or U+0002", name);
	return properties_put(p, name, name_len, value, len)
		       ? MQ_OK : err_note(-EMSGSIZE, "the properties take more than %zu bytes", p->size);
}

int
properties_add_missing(struct properties *p, const char *more, size_t more_len)
{
	const char *name, *value;
	size_t name_len, value_len, len, cursor = 0;

	while (record_property_next(more, more_len, &cursor, &name, &name_len, &value, &value_len)) {
		char text[256];
		int rc;

		if (name_len >= sizeof(text))
			return err_note(-EMSGSIZE, "a property's name has %zu bytes", name_len);
		memcpy(text, name, name_len);
		text[name_len] = '\0';
		if (record_property(p->buf, p->len, text, &len))
			continue;
		rc = properties_add(p, text, value, value_len);
		if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}

bool
property_is_reserved(const char *name)
{
	static const char *const reserved[] = {
		"ARRIVE_TIME", "BUYER_ID", "CHECK_IMMUNITY_TIME_IN_SECONDS", "CLUSTER", "CONSUME_START_TIME",
		"CORRECTION_FLAG", "CORRELATION_ID", "DELAY", "INNER_MULTI_DISPATCH",
		"INNER_MULTI_QUEUE_OFFSET", "INSTANCE_ID", "KEYS", "MAX_OFFSET", "MAX_RECONSUME_TIMES",
		"MIN_OFFSET", "MQ2_FLAG", "MSG_REGION", "MSG_TYPE", "ORIGIN_MESSAGE_ID", "PGROUP",
		"PUSH_REPLY_TIME", "REAL_QID", "REAL_TOPIC", "RECONSUME_TIME", "REPLY_TO_CLIENT", "RETRY_TOPIC",
		"TAGS", "TRACE_ON", "TRANSACTION_CHECK_TIMES", "TRANSFER_FLAG", "TRAN_MSG",
		"TRAN_PREPARED_QUEUE_OFFSET", "TTL", "UNIQ_KEY", "WAIT",
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

/* --- UNIQ_KEY --------------------------------------------------------------------- */

/* When the month began in which that is: ms. */
static int64_t
month_begin(int64_t now_ms)
{
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm tm;

	if (!localtime_r(&seconds, &tm))
		return 0;
	tm.tm_mday = 1;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * 1000;
}

/* A time and a count, never the same again: 16 bits of the count below the time.  Where the
 * count runs over, or the clock goes back, the time goes on ahead of the clock. */
static uint64_t
next_moment(void)
{
	static _Atomic uint64_t last;
	uint64_t now = (uint64_t)clock_wall_ms() << 16;
	uint64_t before = atomic_load_explicit(&last, memory_order_relaxed), next;

	do {
		next = before >= now ? before + 1 : now;
	} while (!atomic_compare_exchange_weak_explicit(&last, &before, next, memory_order_relaxed,
							memory_order_relaxed));
	return next;
}

/* A number that other processes of this host with the same pid do not have. */
static uint32_t
process_mark(void)
{
	static _Atomic uint32_t mark;
	uint32_t there = atomic_load(&mark), made = 0;

	if (there)
		return there;
	if (getrandom(&made, sizeof(made), 0) != sizeof(made) || made == 0)
		made = (uint32_t)clock_wall_ms() | 1;
	return atomic_compare_exchange_strong(&mark, &there, made) ? made : there;
}

void
uniq_key_make(const struct host *host, char buf[UNIQ_KEY_MAX], size_t *ret_len)
{
	static const char hex[] = "0123456789ABCDEF";
	static _Thread_local int64_t day, month;	/* the month's begin is looked up once a day */
	size_t addr_len = host->v6 ? 16 : 4;
	unsigned char raw[UNIQ_KEY_MAX / 2];
	uint64_t moment = next_moment();
	int64_t ms = (int64_t)(moment >> 16);

	if (ms / 3600000 != day || month == 0) {
		day = ms / 3600000;
		month = month_begin(ms);
	}
	memcpy(raw, host->addr, addr_len);
	be16_put(raw + addr_len, (int16_t)getpid());
	be32_put(raw + addr_len + 2, (int32_t)process_mark());
	be32_put(raw + addr_len + 6, (int32_t)(ms - month));
	be16_put(raw + addr_len + 10, (int16_t)(moment & 0xffff));
	*ret_len = 2 * (addr_len + 12);
	for (size_t i = 0; i < addr_len + 12; i++) {
		buf[2 * i] = hex[raw[i] >> 4];
		buf[2 * i + 1] = hex[raw[i] & 15];
	}
}
