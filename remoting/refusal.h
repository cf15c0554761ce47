/* refusal.h - the reason why a client's request is refused: a code of the remoting protocol, and a text. */
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

/* Set the code and text that a client gets for a call that failed with rc. */
bool refuse_rc(struct refusal *r, int rc);

/* Copy code and text to the answer. */
void refusal_put(const struct refusal *r, struct ring_completion *c);

#endif
