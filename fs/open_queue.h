/* open_queue.h - an open queue file: its reads, appends and commits.
 *
 * The files of topics/T (qN, names with options, all) and of groups/G/T (qN,
 * any, all) are one kind of open file in different settings: a view to read from, an
 * appender for producers, a claim for consumers.
 */
#ifndef MQFS_FS_OPEN_QUEUE_H
#define MQFS_FS_OPEN_QUEUE_H

#include "fs/ahead.h"
#include "fs/appender.h"
#include "fs/closing.h"
#include "fs/handle.h"
#include "fs/view.h"

struct open_queue {
	struct view *view;		/* NULL: not open for reading */
	bool follow;			/* wait at the end */
	bool appends;
	struct appender appender;
	struct closing_note closing;
	bool accepted;			/* a close has succeeded: the rest of a line is stored at the last one */
	fuse_ino_t lane;		/* the lane that it appends through (lanes.h); 0: none is counted */
	int32_t queue;
	int32_t first, n_claimed;	/* a consumer's: it has claimed these queues of h->node.sub */
	bool roams;			/* any:follow: goes from queue to queue, see roam() */
	off_t shift;			/* byte of the file at which the view begins */
	enum topic_format format;
	mq_qoff until;			/* a roaming one's: where the queue ended when it claimed it */
	_Atomic off_t read_end;		/* where the last read ended, for poll */
	struct ahead_file ahead;
};

/* May messages of t (NULL: of a removed topic) be read here, where modes allow it?
 * -EACCES: the topic's permission has no read.  MQ_ENOREAD: this slave allows no reads. */
int open_queue_may_read(struct mount *m, const struct topic *t);

/* The parsed name of n, a queue of a topic or a group with or without options.  -EINVAL, noted. */
int open_queue_name(const struct node *n, struct name *ret);

/* A name with options below a subscription: qN:..., any:... or all:...  A range is
 * refused: a group's queue begins at its committed offset. */
int group_name_parse(const char *text, struct name *ret_name);

/* The format that a name shows: its own option, else that of topic t. */
enum topic_format open_queue_format(struct mount *m, const struct topic *t, const struct name *name);

/* Set in st the mode, owner and size of n, which shows the queues of `name`; its time is the store time of
 * their newest message, or that of the topic's creation. */
void open_queue_stat(struct mount *m, const struct node *n, const struct name *name, int64_t size, struct stat *st);

/* Open files of topics: by a parsed name. */
int open_queue_topic(struct mount *m, const struct node *n, const struct name *name, struct handle *h);

/* Open files of groups: consumers if h is open for reading and writing. */
int open_queue_group(struct mount *m, const struct node *n, struct handle *h);

/* A view of the messages that n's group has not consumed in queues first to first + count - 1.  The filter
 * is the view's, also on failure. */
int open_queue_group_view(struct mount *m, const struct node *n, int32_t first, int32_t count, enum topic_format format,
			  struct filter *filter, struct view **ret);

/* Open either of them again, as a broker that died had it open: by h->kept. */
int open_queue_resume(struct mount *m, const struct node *n, struct handle *h);

/* The node_class members they share. */
void open_queue_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);
void open_queue_write(struct mount *m, fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
		      const struct fuse_file_info *fi);
void open_queue_fsync(struct mount *m, fuse_req_t req, struct handle *h);
int open_queue_flush(struct mount *m, struct handle *h);
void open_queue_release(struct mount *m, struct handle *h);
/* Answer a read with the bytes that are there, or let it wait: for reads that waited (pending.h) or continue
 * (searcher.h).  Called without the handle's lock. */
void open_queue_read_on(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);
/* ahead.c calls this to fill a ring. */
int open_queue_fill(struct handle *h, int64_t byte, void *buf, size_t size, size_t *ret_n);
void open_queue_poll(struct mount *m, fuse_req_t req, struct handle *h, struct fuse_pollhandle *ph);

#endif
