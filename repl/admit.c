#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "conf/err.h"
#include "repl/admit.h"
#include "repl/daemon.h"

#define SAY_AGAIN_MS (10 * 60 * 1000)
#define WINDOW_MS 10000
#define WINDOW_LINES 4

/* --- saying so ---------------------------------------------------------------------- */

/* Its place among those told; if it is not there, the oldest one's. */
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

static int
host_len(const char *address)
{
	const char *colon = strrchr(address, ':');

	return colon ? (int)(colon - address) : (int)strlen(address);
}

/* Whatever port it came from, it is the same one. */
void
admit_refused(struct daemon *d, const char *address, const char *why)
{
	char line[sizeof(d->admit_log.told[0].line)];

	snprintf(line, sizeof(line), "connection from %.*s refused: %s", host_len(address), address, why);
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

/* --- coming in ------------------------------------------------------------------------- */

static void
address_text(const struct sockaddr_storage *addr, socklen_t len, char *text, size_t size)
{
	char host[64], port[8];

	if (getnameinfo((const struct sockaddr *)addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "unknown");
	else
		snprintf(text, size, addr->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int
admit_next(struct daemon *d, int listen_fd, struct caller *ret)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct caller caller;
	int on = 1;

	caller.fd = accept4(listen_fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (caller.fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
	address_text(&addr, len, caller.address, sizeof(caller.address));
	if (!allow_has(&d->config.allow, (const struct sockaddr *)&addr)) {
		close(caller.fd);
		admit_refused(d, caller.address, "haAllow does not have it");
		return -EACCES;
	}
	(void)setsockopt(caller.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*ret = caller;
	return MQ_OK;
}
