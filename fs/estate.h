/* estate.h - the state that a broker leaves to the next broker when it dies.
 *
 * A supervised mount outlives its broker: the supervisor holds the FUSE connection, so the
 * kernel keeps every open file, and callers wait until the next broker serves (supervise.h).
 * To the next broker, the kernel's numbers must mean the same.  An inode number tells by itself
 * what it is (node.h); the rest is here, in memory that the supervisor shares with its brokers:
 *
 *   init     the kernel's INIT request, which it sends only once: the next broker reads it here
 *   files    the state of each open file that cannot be found in the store
 *   names    the texts behind interned inode numbers
 *   locks    what flock(2) and fcntl(2) have locked (locks.h)
 *   lives    how often a topic, group or subscription was made, since the kernel was told so
 *   beats    how many requests each worker has begun and ended: for the watchdog
 *
 * A broker can die between any two instructions.  So notes and tails exist twice: a new one is
 * written beside the valid one, and becomes valid by one store.
 *
 * A request that the dead broker had taken and not answered is delivered again, with the same
 * `unique`.  Reading again does no harm; appending again would.  So before a write's messages
 * go to the log, a note records which write it is and where its queue ends: the next broker sees
 * in the recovered queue how many of them were stored, and stores the others.  It looks
 * before any append, and writes the number into the note: if it dies, too, the broker after it
 * could not tell these messages from later ones.  When the write is done, and before others may
 * append to its queue, the tail is written: the unfinished line that the write leaves in the
 * open file, its answer, and the sums by which a repeated write is recognized (retry.h).  The kernel
 * sends one write(2) at a time for one open file, because a supervised mount does not offer ASYNC_DIO.
 *
 * Not kept: directories being read, small texts, more than ESTATE_SOURCES queues read as one,
 * lines whose beginning is longer than ESTATE_TAIL_BYTES, and open files beyond ESTATE_FILES.
 * Such an open file answers ESTALE (EIO if bytes that were accepted are lost) until it is
 * closed.
 *
 * The estate is for brokers that are killed, or abort at once when an invariant is broken.  A
 * broker that writes to wrong addresses can damage it, as it can damage everything else.
 *
 * A slot of `files` is protected by its open file's lock, names by the table's (names.c).
 */
#ifndef MQFS_FS_ESTATE_H
#define MQFS_FS_ESTATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/retry.h"

#define ESTATE_FILES 16384
#define ESTATE_SOURCES 16
#define ESTATE_TAIL_BYTES 16384
#define ESTATE_NAMES 16384
#define ESTATE_NAME_BYTES 256
#define ESTATE_LIVES 1024
#define ESTATE_LOCKS 4096
#define ESTATE_INIT_BYTES 256
#define ESTATE_BEATS 1088	/* as many CPUs as there may be, and some more */

/* Of a write that puts messages into the log. */
struct estate_note {
	uint64_t unique;	/* of the request; ESTATE_AT_CLOSE */
	int32_t queue;
	int64_t first;		/* number of the first message of this batch */
	size_t at;		/* bytes of the write before this batch, stored */
	int64_t stored;		/* messages of this batch that a later broker has found in the queue; */
	bool looked;		/* valid only then */
};

#define ESTATE_AT_CLOSE 1	/* no request has an odd number */

/* The state after the last write. */
struct estate_tail {
	uint64_t unique;	/* of the request; 0: there was none */
	ssize_t result;		/* bytes, or an error code of err.h */
	int64_t end;		/* position of the log that a durable answer waits for */
	int step;		/* the splitter, see framing.h */
	size_t refused_len;
	int32_t refused_crc;
	size_t held_len;	/* of estate_held(); above ESTATE_TAIL_BYTES: not kept */
};

/* Of a view: where its queues began at open. */
struct estate_view {
	uint32_t n;		/* 0: no view; above ESTATE_SOURCES: not kept */
	int64_t from[ESTATE_SOURCES], to[ESTATE_SOURCES];
};

struct estate_file {
	_Atomic bool used;		/* it was opened, the kernel may know of it */
	_Atomic uint64_t opening;	/* the OPEN that may not be answered yet; 0: it is */
	_Atomic bool released;		/* the kernel has sent its RELEASE */
	_Atomic bool closing;		/* a close of a descriptor of it has succeeded, with a line unfinished */
	_Atomic int broken;		/* every request on it gets this error code of err.h; 0: it works */
	_Atomic int64_t read_end;	/* where the last read ended */
	_Atomic uint64_t poll;		/* the kernel's name for the processes that poll it; 0: none did */

	uint64_t number;		/* the kernel's name for it */
	uint64_t ino;
	int flags;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	uint32_t fopen;
	int32_t backing_id;

	/* queues */
	int32_t queue;
	int format;
	bool consumes;
	struct estate_view view;
	_Atomic unsigned note_at, tail_at;	/* which of two is valid */
	struct estate_note notes[2];
	struct estate_tail tails[2];
	_Atomic uint64_t waited;		/* the write whose wait has ended; bit 0: without an error */
	struct retry retries[2];		/* each goes with its tail */
	unsigned char held[2][ESTATE_TAIL_BYTES];
};

struct estate_name {
	_Atomic bool used;
	uint64_t number;
	int kind;
	uint32_t id;
	char text[ESTATE_NAME_BYTES];
};

struct estate_life {
	uint64_t ino;
	uint32_t life;
};

/* A lock that is held. */
struct estate_lock {
	_Atomic bool used;
	bool whole;		/* flock(2)'s; else fcntl(2)'s, of the bytes start to end */
	int type;		/* F_RDLCK or F_WRLCK */
	pid_t pid;
	uint64_t ino;		/* st_ino of its file */
	uint64_t owner, handle;	/* the kernel's names for its owner, and for the open file it was taken through */
	int64_t start, end;
	int64_t closed_ms;	/* when a descriptor of that open file was closed (clock_mono_ms()); 0: none was */
};

/* Of one worker: counts each begin and end of a request, and of a wait within a request that is allowed to
 * be long; so it is odd while the worker serves.  A cache line each. */
struct estate_beat {
	_Alignas(64) _Atomic uint64_t n;
};

struct estate {
	struct estate_beat beats[ESTATE_BEATS];
	size_t init_len;	/* 0: INIT has not come yet */
	unsigned char init[ESTATE_INIT_BYTES];
	_Atomic uint64_t serial;	/* open files ever made */
	_Atomic uint32_t n_files, n_names;	/* only slots before these were ever used */
	struct estate_file files[ESTATE_FILES];
	struct estate_name names[ESTATE_NAMES];
	_Atomic uint32_t n_lives;
	struct estate_life lives[ESTATE_LIVES];
	_Atomic uint32_t n_locks;	/* only slots before this were ever used */
	struct estate_lock locks[ESTATE_LOCKS];
};

/* Memory for one, all zeros, shared with every process forked from here on; NULL:
 * no memory. */
struct estate *estate_open(void);
void estate_close(struct estate *e);	/* accepts NULL */

/* The valid note or tail; and: write the other one, and make it valid. */
const struct estate_note *estate_note(const struct estate_file *f);
void estate_set_note(struct estate_file *f, const struct estate_note *note);
const struct estate_tail *estate_tail(const struct estate_file *f);
void estate_set_tail(struct estate_file *f, const struct estate_tail *tail, const void *held,
		     const struct retry *retry);	/* NULL: no write is to be recognized */
const void *estate_held(const struct estate_file *f);	/* of the valid tail */
const struct retry *estate_retry(const struct estate_file *f);

#endif
