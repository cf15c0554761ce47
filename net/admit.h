/* admit.h - which addresses may connect, and how many lines the log has of refused ones.
 *
 * People read the log: a refused peer gets one line, and none for the same reason within
 * SAY_AGAIN_MS (the peer will try for ever); when many are refused at a time, the first few
 * get a line, and then one line has the number of the others.
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
	} told[ADMIT_TOLD_MAX];		/* the next line takes the place where said_ms is least */
	int64_t window_ms;		/* when the present window began */
	int said;			/* lines in this window */
	int unsaid;			/* refusals without a line, since a line had their number */
};

/* Does haAllow have that address (`address` as text)?  If not, admit_refused() was called. */
bool admit(struct daemon *d, const struct sockaddr *from, const char *address);

/* We refused a connection from `address`; or one of ours to `address` has failed. */
void admit_refused(struct daemon *d, const char *address, const char *why);
void admit_failed(struct daemon *d, const char *address, const char *why);

#endif
