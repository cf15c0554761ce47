/* groups/G/T/qN.offset and qN.lag: the committed offset of a group in a queue. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/number.h"
#include "conf/scope.h"
#include "fs/command.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/point.h"
#include "fs/text.h"

static int
committed_here(struct mount *m, const struct node *n, struct queue **ret_q, mq_qoff *ret_at)
{
	int rc = node_find_queue(m, n, ret_q);

	return rc == MQ_OK ? committed(m->offsets, n->sub, (int32_t)n->queue, ret_at) : rc;
}

/* --- qN.offset: attributes ---------------------------------------------------------- */

/* mtime is the store time of the last consumed message. */
static int
offset_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct queue *q;
	mq_qoff at;
	int64_t ms;

	if (committed_here(m, n, &q, &at) == MQ_OK && at.n > 0 && store_time_of(m->store, q, qoff_add(at, -1), &ms) == MQ_OK)
		stat_set_ms(st, ms);
	return node_attr_text(m, n, st, ret_timeout);
}

/* touch -d: reset by store time; a plain touch goes to the end. */
static int
offset_set_time(struct mount *m, const struct node *n, const struct stat *st, int to_set)
{
	struct name_point point = { .kind = POINT_LAST };
	mq_qoff to;
	int rc;

	if (!(to_set & FUSE_SET_ATTR_MTIME_NOW)) {
		point.kind = POINT_TIME;
		point.value = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
	}
	rc = point_resolve(m, n->topic, (int32_t)n->queue, &point, &to);
	return rc == MQ_OK ? commit_reset(m->offsets, n->sub, (int32_t)n->queue, to, NULL) : rc;
}

static int
offset_set_attr(struct mount *m, const struct node *n, const struct stat *st, int to_set)
{
	int rc = node_set_owner(m, n, st, to_set);

	if (rc == MQ_OK && (to_set & FUSE_SET_ATTR_MTIME))
		rc = offset_set_time(m, n, st, to_set);
	return rc;
}

/* --- qN.offset: content -------------------------------------------------------------- */

static int
offset_render(struct mount *m, const struct node *n, struct text *t)
{
	struct queue *q;
	mq_qoff at;
	int rc;

	rc = committed_here(m, n, &q, &at);
	if (rc == MQ_OK)
		text_printf(t, "%" PRId64 "\n", at.n);
	return rc;
}

/* Here, unlike in a queue's name, -10 is ten before the committed offset. */
static int
offset_move(struct mount *m, const struct node *n, const char *word)
{
	struct name_point point;
	int64_t by;
	mq_qoff to;
	int rc;

	if ((*word == '+' || *word == '-') && text_number(word, INT64_MIN, INT64_MAX, &by)) {
		rc = committed(m->offsets, n->sub, (int32_t)n->queue, &to);
		if (rc == MQ_OK && __builtin_add_overflow(to.n, by, &to.n))
			to.n = by < 0 ? 0 : INT64_MAX;
	} else {
		rc = name_parse_point(word, &point);
		if (rc == MQ_OK)
			rc = point_resolve(m, n->topic, (int32_t)n->queue, &point, &to);
	}
	return rc == MQ_OK ? commit_reset(m->offsets, n->sub, (int32_t)n->queue, to, NULL) : rc;
}

static int
offset_swap(struct mount *m, const struct node *n, char **words)
{
	int64_t expected, new;
	mq_qoff at;
	int rc;

	if (!text_number(words[0], INT64_MIN, INT64_MAX, &expected) || !text_number(words[1], INT64_MIN, INT64_MAX, &new))
		return err_note(-EINVAL, "'%s %s': two numbers, EXPECTED and NEW", words[0], words[1]);
	rc = commit_compare(m->offsets, n->sub, (int32_t)n->queue, MQ_QOFF(expected), MQ_QOFF(new));
	if (rc == -ESTALE && committed(m->offsets, n->sub, (int32_t)n->queue, &at) == MQ_OK)
		return err_note(rc, "it is %" PRId64 ", not %s", at.n, words[0]);
	return rc;
}

static int
offset_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	AUTO_FREE char *line = text_line(text, len);
	char *words[COMMAND_WORDS_MAX];
	size_t n_words;

	if (!line)
		return -ENOMEM;
	n_words = words_split(line, words);
	if (n_words == 1)
		return offset_move(m, n, words[0]);
	if (n_words == 2)
		return offset_swap(m, n, words);
	return err_note(-EINVAL, "write N, +N, -N, first, last, a time, or EXPECTED NEW");
}

static void
offset_fsync(struct mount *m, fuse_req_t req, struct handle *h)
{
	struct pending_end who = text_fsync_end(h);

	pending_park_commits(m->pending, req, &who, h->node.sub);
}

const struct node_class node_group_offset = {
	.attr = offset_attr,
	.set_attr = offset_set_attr,
	.render = offset_render,
	.accept = offset_accept,
	.fsync = offset_fsync,
};

/* --- qN.lag ------------------------------------------------------------------------------ */

static int
lag_render(struct mount *m, const struct node *n, struct text *t)
{
	struct queue *q;
	mq_qoff at;
	int rc;

	rc = committed_here(m, n, &q, &at);
	if (rc == MQ_OK)
		text_printf(t, "%" PRId64 "\n", queue_end(q).n - at.n);
	return rc;
}

const struct node_class node_group_lag = {
	.set_attr = node_set_owner,
	.render = lag_render,
};
