#include "config.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "net/address.h"
#include "net/admit.h"
#include "net/daemon.h"

#define SAY_AGAIN_MS (10 * 60 * 1000)
#define WINDOW_MS 10000
#define WINDOW_LINES 4

/* --- log lines ---------------------------------------------------------------------- */

/* The place of the line, if it was logged lately; else that of the oldest one. */
static struct admit_told *
find_told(struct admit_log *log, const char *line)
{
	struct admit_told *oldest = &log->told[0];

	for (size_t i = 0; i < ADMIT_TOLD_MAX; i++) {
		if (strcmp(log->told[i].line, line) == 0)
			return &log->told[i];
		if (log->told[i].said_ms < oldest->said_ms)
			oldest = &log->told[i];
	}
	return oldest;
}

static bool
may_say(struct daemon *d, const char *line)
{
	struct admit_log *log = &d->admit_log;
	struct admit_told *told = find_told(log, line);

	if (strcmp(told->line, line) == 0 && d->now_ms < told->said_ms + SAY_AGAIN_MS)
		return false;
	if (d->now_ms >= log->window_ms + WINDOW_MS) {
		log->window_ms = d->now_ms;
		log->said = 0;
		if (log->unsaid > 0)
			outbox_say(&d->out, LOG_WARNING, "%d more connections were refused", log->unsaid);
		log->unsaid = 0;
	}
	if (log->said == WINDOW_LINES)
		return false;
	log->said++;
	snprintf(told->line, sizeof(told->line), "%s", line);
	told->said_ms = d->now_ms;
	return true;
}

/* A peer is the same peer when it comes from another port. */
void
admit_refused(struct daemon *d, const char *address, const char *why)
{
	char line[sizeof(d->admit_log.told[0].line)];

	snprintf(line, sizeof(line), "connection from %.*s refused: %s", (int)address_host_len(address), address, why);
	if (may_say(d, line))
		outbox_say(&d->out, LOG_WARNING, "%s", line);
	else
		d->admit_log.unsaid++;
}

void
admit_failed(struct daemon *d, const char *address, const char *why)
{
	char line[sizeof(d->admit_log.told[0].line)];

	snprintf(line, sizeof(line), "connection to %s failed: %s", address, why);
	if (may_say(d, line))
		outbox_say(&d->out, LOG_WARNING, "%s", line);
}

/* --- addresses ------------------------------------------------------------------------- */

bool
admit(struct daemon *d, const struct sockaddr *from, const char *address)
{
	bool may = allow_has(&d->config.allow, from);

	if (!may)
		admit_refused(d, address, "haAllow does not have it");
	return may;
}
