/* refusal.h - why a client does not get what it asks for: a code of the remoting protocol, and words. */
#ifndef MQFS_REMOTING_REFUSAL_H
#define MQFS_REMOTING_REFUSAL_H

#include <stdbool.h>

#include "remoting/ring.h"

struct refusal {
	int code;			/* 0: none */
	char why[RING_REMARK_BYTES];
};

/* Returns false: `return refuse(...)`. */
bool refuse(struct refusal *r, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* What a call that failed with rc is for a client. */
bool refuse_rc(struct refusal *r, int rc);

/* The answer says so. */
void refusal_put(const struct refusal *r, struct ring_completion *c);

#endif
