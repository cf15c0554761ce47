/* admit.h - who may come in, and how much is said of those who may not.
 *
 * A log is for people: a peer that is turned away is told of once, and not again
 * for the same reason within SAY_AGAIN_MS (it will try for ever); of a crowd the
 * first few, then their number.
 */
#ifndef MQFS_NET_ADMIT_H
#define MQFS_NET_ADMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADMIT_TOLD_MAX 8

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

/* Does haAllow have that address (`address` as text)?  If not, that was said. */
bool admit(struct daemon *d, const struct sockaddr *from, const char *address);

/* Somebody was turned away; or we were, or did not want whom we reached. */
void admit_refused(struct daemon *d, const char *address, const char *why);
void admit_failed(struct daemon *d, const char *address, const char *why);

#endif
