/* admit.h - who may come in, and how much is said of those who may not.
 *
 * A log is for people: a peer that is turned away is told of once, and not again
 * for the same reason within SAY_AGAIN_MS (it will try for ever); of a crowd the
 * first few, then their number.
 */
#ifndef MQFS_REPL_ADMIT_H
#define MQFS_REPL_ADMIT_H

#include <stdint.h>

#define ADMIT_TOLD_MAX 8
#define ADMIT_ADDRESS_BYTES 80

struct daemon;

struct admit_log {
	struct admit_told {
		char line[192];
		int64_t said_ms;
	} told[ADMIT_TOLD_MAX];		/* a place for the next one is where said_ms is least */
	int64_t window_ms;		/* when the present one began */
	int said;			/* in it */
	int unsaid;			/* since a line said how many */
};

struct caller {
	int fd;				/* non-blocking */
	char address[ADMIT_ADDRESS_BYTES];
};

/* The next connection that haAllow lets in.  -EACCES: one was turned away.
 * -EAGAIN: nobody waits.  Else why accepting fails. */
int admit_next(struct daemon *d, int listen_fd, struct caller *ret);

/* Somebody was turned away; or we were, or saw no reason to trust whom we reached. */
void admit_refused(struct daemon *d, const char *address, const char *why);
void admit_failed(struct daemon *d, const char *address, const char *why);

#endif
