/* err.h - how errors travel.
 *
 * Functions return int: MQ_OK (0), a negative errno, or one of the codes
 * below.  The place that knows the name and the byte says so once with
 * err_note(); whoever decides what happens next logs err_text() once, or
 * passes the code on.  fs/reply.c alone turns codes into errno.
 */
#ifndef MQFS_CONF_ERR_H
#define MQFS_CONF_ERR_H

#include <stdbool.h>

#define MQ_OK 0

/* Own codes, far below any -errno. */
enum {
	MQ_ECLOSED = -10001,	/* what was waited for is being closed */
	MQ_ECORRUPT = -10002,	/* bytes that are not what they should be */
	MQ_EEND = -10003,	/* nothing more here (end of log, queue, file) */
	MQ_EBLANK = -10004,	/* the blank record that fills a segment's end */
	MQ_EGONE = -10005,	/* retention or a trim has removed it */
	MQ_EBADCONF = -10006,	/* a setting's key or value is wrong */
	MQ_ENOSLAVE = -10007,	/* SYNC_MASTER without a usable slave */
	MQ_EROLE = -10008,	/* this role may not do that (append on a slave) */
	MQ_ENOREAD = -10009,	/* slaveReadEnable=false */
	MQ_ELATER = -10010,	/* a slice of time is over: ask again to go on */
};

/* Note what went wrong, in this thread, and return rc: `return err_note(rc, ...)`.
 * `%m` in fmt stands for the errno that rc is shown as, see err_to_errno().  The last note wins. */
int err_note(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last note of this thread, for a log line or a message to the user;
 * the text of rc itself if nothing was noted for it.  Valid until the
 * thread's next err_note(). */
const char *err_text(int rc);

/* Was something noted for rc since err_clear()? */
bool err_is_noted(int rc);

/* Forget this thread's note. */
void err_clear(void);

/* The errno (positive) a system call would report for rc; 0 for MQ_OK. */
int err_to_errno(int rc);

/* A broken invariant: say the sentence and stop the program. */
_Noreturn void err_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define MUST(cond)                                                              \
	do {                                                                    \
		if (!(cond))                                                    \
			err_panic("%s:%d: must hold: %s", __FILE__, __LINE__, #cond); \
	} while (0)

#endif
