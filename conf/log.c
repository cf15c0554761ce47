#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/clock.h"
#include "conf/log.h"

#define RECENT_BYTES (64 * 1024)
#define LINE_BYTES 1024
#define REPEAT_MS 10000		/* a repeated line is written at most once in that time */

static struct {
	pthread_mutex_t lock;
	const char *ident;
	enum log_sink sink;
	int max_level;
	char *recent;		/* whole lines, oldest first */
	size_t recent_len;
	char last[LINE_BYTES];	/* the line that was written last, */
	int64_t last_ms;	/* when, */
	int repeats;		/* and how often it was logged again since */
} logger = { .lock = PTHREAD_MUTEX_INITIALIZER, .ident = "mqfs", .max_level = LOG_INFO };

void
log_open(const char *ident, enum log_sink sink, int max_level)
{
	pthread_mutex_lock(&logger.lock);
	logger.ident = ident;
	logger.sink = sink;
	logger.max_level = max_level;
	if (sink == LOG_TO_SYSLOG)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	pthread_mutex_unlock(&logger.lock);
}

bool
log_is_on_stderr(void)
{
	bool is;

	pthread_mutex_lock(&logger.lock);
	is = logger.sink == LOG_TO_STDERR;
	pthread_mutex_unlock(&logger.lock);
	return is;
}

/* Drop whole old lines until len more bytes fit.  The caller holds logger.lock. */
static void
recent_make_room(size_t len)
{
	size_t drop = 0;

	while (logger.recent_len - drop + len > RECENT_BYTES) {
		char *nl = memchr(logger.recent + drop, '\n', logger.recent_len - drop);

		drop = nl ? (size_t)(nl - logger.recent) + 1 : logger.recent_len;
	}
	if (drop) {
		memmove(logger.recent, logger.recent + drop, logger.recent_len - drop);
		logger.recent_len -= drop;
	}
}

static void
recent_add(const char *text)
{
	char line[LINE_BYTES + 64];
	struct timespec now;
	struct tm tm;
	char when[32];
	int len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	len = snprintf(line, sizeof(line), "%s.%03ldZ %s\n", when, now.tv_nsec / 1000000, text);
	if (len < 0 || (size_t)len >= sizeof(line))	/* LINE_BYTES and a time do fit */
		return;
	if (!logger.recent)
		logger.recent = malloc(RECENT_BYTES);
	if (!logger.recent)
		return;
	recent_make_room((size_t)len);
	memcpy(logger.recent + logger.recent_len, line, (size_t)len);
	logger.recent_len += (size_t)len;
}

/* The caller holds logger.lock. */
static void
write_line(int level, const char *text)
{
	if (level <= logger.max_level) {
		if (logger.sink == LOG_TO_SYSLOG)
			syslog(level, "%s", text);
		else
			fprintf(stderr, "%s: %s\n", logger.ident, text);
	}
	if (level <= LOG_INFO)
		recent_add(text);
}

/* A line equal to the last one is counted, and written at most every REPEAT_MS.
 * The caller holds logger.lock. */
static bool
is_repeated(const char *text)
{
	int64_t now = clock_mono_ms();
	char line[64];

	if (strcmp(text, logger.last) == 0 && now < logger.last_ms + REPEAT_MS) {
		logger.repeats++;
		return true;
	}
	if (logger.repeats > 0) {
		snprintf(line, sizeof(line), "the line before was repeated %d time%s", logger.repeats,
			 logger.repeats == 1 ? "" : "s");
		write_line(LOG_NOTICE, line);
	}
	logger.repeats = 0;
	logger.last_ms = now;
	snprintf(logger.last, sizeof(logger.last), "%s", text);
	return false;
}

void
log_line(int level, const char *fmt, ...)
{
	char text[LINE_BYTES];
	va_list ap;
	int saved = errno;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)	/* names and peers' words cannot forge a line */
		if (iscntrl((unsigned char)*c))
			*c = ' ';

	pthread_mutex_lock(&logger.lock);
	if (!is_repeated(text))
		write_line(level, text);
	pthread_mutex_unlock(&logger.lock);
	errno = saved;
}

char *
log_recent(size_t *ret_len)
{
	char *copy;

	pthread_mutex_lock(&logger.lock);
	copy = malloc(logger.recent_len + 1);
	if (copy) {
		if (logger.recent_len)
			memcpy(copy, logger.recent, logger.recent_len);
		copy[logger.recent_len] = '\0';
		*ret_len = logger.recent_len;
	}
	pthread_mutex_unlock(&logger.lock);
	return copy;
}
