/* supervise.h - a process that starts the broker again when it dies.
 *
 *     supervisor ── fork ──> broker ── "ready" ──> serves ── "ended", exit ──> both end
 *        ^                                           │
 *        └── waits a little, if it died at once <────┴── a signal, or an exit unannounced
 *
 * If the kernel can deliver the dead broker's requests again (Linux 6.9), the
 * supervisor holds the FUSE connection, and the next broker takes over both it and
 * the estate (estate.h): open files stay open, callers notice a pause.  Else, and when
 * brokers die so quickly that a request may be the cause, the dead mount is unmounted
 * and a new one is made, and open files answer ENOTCONN.
 *
 * A broker that hangs (watchdog.h) is killed.
 *
 * The supervisor has no thread, no lock and nothing of FUSE, so a failure of the
 * broker does not reach it.  Signals that end a mount are passed on to the broker.
 * Between the two is a socket: if the supervisor dies, the broker gets the end of
 * file there, logs that, and continues to serve.
 */
#ifndef MQFS_FS_SUPERVISE_H
#define MQFS_FS_SUPERVISE_H

#include <stdint.h>

struct estate;

/* A broker's connection to its supervisor. */
struct lifeline {
	int fd;			/* -1: there is no supervisor */
	int64_t restarts;	/* brokers that died before this one */
	struct estate *estate;	/* NULL: there is none, and the next broker inherits nothing */
	int session_fd;		/* the FUSE connection of a dead broker; -1: none */
};

struct supervise_conf {
	const char *mountpoint;
	int (*serve)(void *arg, struct lifeline *line);	/* in the broker; its exit code */
	void (*ready)(void *arg);	/* in the supervisor, when the first broker is usable */
	const _Atomic int64_t *watchdog_s;	/* see watchdog.h; 0: never; it may change */
	/* in the supervisor: brokers that are started from now on begin with this setting */
	void (*setting)(void *arg, const char *key, const char *value);
	void *arg;
};

/* Start a broker, and others after it, until one ends in order, or never could
 * begin, or QUICK_DEATHS_MAX in a row die at once.  SIGTERM, SIGINT and SIGHUP must be
 * blocked.  Returns the exit code. */
int supervise(const struct supervise_conf *conf);

/* Messages of the broker to its supervisor; without a supervisor they do nothing.
 *
 * setting   a setting was changed: brokers after this one begin with it
 * ready     the mount is usable; the supervisor keeps session_fd (-1: none) open for the next broker
 * let_go    the broker is about to unmount: returns when the supervisor has closed session_fd
 * ended     the broker ends in order: no other one is to be started
 */
void lifeline_setting(const struct lifeline *line, const char *key, const char *value);
void lifeline_ready(const struct lifeline *line, int session_fd);
void lifeline_let_go(const struct lifeline *line);
void lifeline_ended(const struct lifeline *line);

#endif
