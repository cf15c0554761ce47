/* scratch.h - memory that a thread keeps from request to request. */
#ifndef MQFS_FS_SCRATCH_H
#define MQFS_FS_SCRATCH_H

#include "store/batch.h"

struct scratch {
	unsigned char *run;	/* records as they lie in the log */
	size_t run_size;
	unsigned char *body;	/* the body of one of these records, unpacked */
	size_t body_size;
	unsigned char *out;	/* the rendered bytes for a reader */
	size_t out_size;
	unsigned char *held;	/* the first message's beginning, from an earlier write */
	size_t held_size;
	unsigned char *waiting;	/* properties of a message that is delivered later */
	size_t waiting_size;
	struct batch batch;	/* the messages of a write, as records */
	size_t *ends;		/* of each entry of batch: where its message ended in the write */
	size_t ends_size;
};

/* This thread's scratch, freed when the thread ends.  NULL: no memory. */
struct scratch *scratch_get(void);

/* Free this thread's scratch, which is not used soon again. */
void scratch_drop(void);

/* Make one of its buffers at least `want` bytes long, its content lost.  -ENOMEM. */
int scratch_grow(unsigned char **buf, size_t *size, size_t want);

#endif
