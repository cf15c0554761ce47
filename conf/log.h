/* log.h - log lines: one for each event, to syslog, or stderr with -f.  The newest ones stay
 * in memory for status/log.  Any thread may log.
 */
#ifndef MQFS_CONF_LOG_H
#define MQFS_CONF_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

enum log_sink {
	LOG_TO_STDERR,
	LOG_TO_SYSLOG,
};

/* ident is kept, not copied.  Until called: stderr. */
void log_open(const char *ident, enum log_sink sink, int max_level);

/* Do lines go to stderr?  Then a child may write there, too. */
bool log_is_on_stderr(void);

/* One line: control characters become blanks, what is beyond 1023 bytes is cut.
 * A line equal to the last one is written once in ten seconds, with how often it was repeated.
 * errno is kept.  level: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG of syslog(3) */
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* The newest lines, oldest first, each with its time and a '\n': a malloc'ed
 * string for the caller to free, NULL without memory. */
char *log_recent(size_t *ret_len);

#endif
