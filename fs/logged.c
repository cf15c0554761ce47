#include "config.h"

#include "fs/dir.h"
#include "fs/logged.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/session.h"

bool
node_is_logged(const struct node *n)
{
	return n->topic || n->group;
}

struct logged
logged_now(const struct mount *m)
{
	return (struct logged){
		.logs = true,
		.before = offsets_logged(m->offsets),
		.needs = pending_needs_of_write(m, 0),
		.again = session_is_resent(),
	};
}

int
logged_begin(struct mount *m, struct logged *ret)
{
	int rc = slaves_suffice(m);

	if (rc == MQ_OK)
		*ret = logged_now(m);
	return rc;
}

/* Has it to wait, for what, and until where is the log durable then? */
static bool
has_to_wait(const struct mount *m, const struct logged *l, mq_pos *ret_end, unsigned *ret_needs)
{
	*ret_needs = l->needs | pending_needs_of_write(m, 0);
	*ret_end = offsets_logged(m->offsets);
	if (!l->logs || (ret_end->byte == l->before.byte && !l->again))
		return false;
	return *ret_needs != 0;
}

static void
logged_reply(struct mount *m, fuse_req_t req, const struct logged *l, const struct node *n, pending_answer *answer)
{
	unsigned needs;
	mq_pos end;

	if (has_to_wait(m, l, &end, &needs))
		pending_park_change(m->pending, req, end, needs, answer, n);
	else
		answer(m, req, n);
}

void
logged_reply_entry(struct mount *m, fuse_req_t req, const struct logged *l, const struct node *child)
{
	logged_reply(m, req, l, child, dir_reply);
}

void
logged_reply_attr(struct mount *m, fuse_req_t req, const struct logged *l, const struct node *n)
{
	logged_reply(m, req, l, n, reply_node_attr);
}

void
logged_reply_written(struct mount *m, fuse_req_t req, const struct logged *l, const struct pending_end *who, size_t n)
{
	unsigned needs;
	mq_pos end;

	if (has_to_wait(m, l, &end, &needs))
		pending_park_durable_of(m->pending, req, who, end, (ssize_t)n, needs);
	else
		fuse_reply_write(req, n);
}

static void
reply_ok(struct mount *m, fuse_req_t req, const struct node *n)
{
	(void)m, (void)n;
	reply_err(req, MQ_OK);
}

void
logged_reply_ok(struct mount *m, fuse_req_t req, const struct logged *l, const struct node *n)
{
	logged_reply(m, req, l, n, reply_ok);
}
