/* view.h - messages of one queue, or of several in log order, as a stream of bytes.
 *
 *   sources   q0 [from, to)  q1 [from, to) ...      byte 0 is the first message's
 *   cursor    each source's next message; the byte where the next one begins
 *
 * Reading on from the cursor costs nothing but the messages; any other byte is
 * found by binary search in the queues' files.  json has no fixed length per
 * message: there a jump ahead measures what lies between, and remembers.
 *
 * A view with a filter shows the messages that the filter accepts (store/filter.h).  It skips
 * others by their consume queue entries where the filter has tags, by the key index where it has
 * keys, and by their records otherwise.  As with json, lengths have to be measured.
 * Messages stored while messageIndexEnable was off are not found by their keys.
 *
 * One thread at a time uses a view (the open file's lock).
 */
#ifndef MQFS_FS_VIEW_H
#define MQFS_FS_VIEW_H

#include "fs/mount.h"
#include "fs/name.h"

struct estate_view;
struct filter;
struct view;

/* What a view shows. */
struct view_spec {
	struct topic *topic;
	bool all;			/* every queue, merged */
	int32_t queue;
	struct name_point from, to;	/* POINT_NONE: first, open end */
	const struct estate_view *kept;	/* begin where view_keep() says, whatever from and to are; NULL: do not */
	enum topic_format format;
	struct filter *filter;		/* the view's from here on, also on failure; NULL: shows all */
};

/* MQ_EGONE: retention has dropped message `from`.  -ESTALE: `kept` does not hold all of its view. */
int view_open(struct mount *m, const struct view_spec *spec, struct view **ret);
void view_close(struct view *v);	/* accepts NULL */

/* From now on view_read() and view_go() search for VIEW_SLICE_MS at most, where messages have to be
 * searched for, and return MQ_ELATER then; they continue when they are called again. */
#define VIEW_SLICE_MS 20
void view_work_in_slices(struct view *v);

/* A view of n queues, each from a message on, for groups; the filter as above. */
int view_open_from(struct mount *m, struct queue *const *q, const mq_qoff *from, size_t n, enum topic_format format,
		   struct filter *filter, struct view **ret);

/* Copy to *ret_kept where v began, for the next broker. */
void view_keep(const struct view *v, struct estate_view *ret_kept);

/* Read up to size bytes from `byte` on; the last message may be cut.  MQ_OK with *ret_n == 0
 * at the (present) end.  MQ_EGONE: retention has dropped the message, or the queue was cut
 * (store/cut.h) and more of it had been read; -EIO: the first message there is damaged;
 * MQ_ELATER as above. */
int view_read(struct view *v, int64_t byte, void *buf, size_t size, size_t *ret_n);

/* The same, but fewer than `size` bytes are followed by the end; an error before it is returned. */
int view_read_whole(struct view *v, int64_t byte, void *buf, size_t size, size_t *ret_n);

/* Has a queue's end been cut since this was last noticed by view_read()?  Any thread. */
bool view_was_cut(const struct view *v);

/* Can a read at `byte` be answered: with bytes, or because there never will be any (the
 * end of a closed range)?  Cheap, for waiting readers. */
bool view_is_ready(struct view *v, int64_t byte);

/* The i-th queue that it shows; NULL: it has no more. */
struct queue *view_queue(const struct view *v, size_t i);

/* Does it have a filter?  Then its length is known only when all of it was read. */
bool view_filters(const struct view *v);

/* The number of bytes that a reader would get now. */
int view_size(struct view *v, int64_t *ret_bytes);

/* Can it not grow any more: does it have a given end, which the queues have reached? */
bool view_is_finished(struct view *v);

/* Go to `byte`.  Then view_next() is, of the i-th queue, the first message that does not end at or
 * before it, and view_from() the one at which the view began.  A message that the filter skips
 * counts as ending where the message before it ends.  MQ_ELATER as above. */
int view_go(struct view *v, int64_t byte);
mq_qoff view_next(const struct view *v, size_t i);
mq_qoff view_from(const struct view *v, size_t i);

#endif
