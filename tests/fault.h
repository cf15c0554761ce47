/* fault.h - system calls that fail on request.
 *
 * A program linked with $(FAULT_LINK) and fault.c can let the n-th call of
 * some system call fail; the product has no switches for it.
 */
#ifndef MQFS_TESTS_FAULT_H
#define MQFS_TESTS_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>

struct fault {
	const char *call;	/* "pwrite" ...; NULL: any of them */
	bool changes;		/* only those that change a file: a process that dies at another leaves what
				 * it leaves at the next of these */
	int at;			/* which call, from 1; 0: none */
	int number;		/* errno */
	bool for_ever;		/* and every later one */
	int dies;		/* not an error: the process ends there, with this status */
};

void fault_set(struct fault f);
void fault_none(void);

/* For a call that a test wraps by itself: is it to fail now?  errno is set. */
bool fault_due(const char *call);
int fault_calls(void);		/* counted since fault_set() */

#endif
