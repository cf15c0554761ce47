/* groups/G/T/qN.retry: a message of this queue comes again, later. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/number.h"
#include "conf/scope.h"
#include "fs/access.h"
#include "fs/command.h"
#include "fs/node.h"
#include "offsets/sendback.h"

#define USAGE "write NUMBER, NUMBER levelN, or NUMBER dlq"

/* "level4", or "dlq" for the dead letters. */
static bool
parse_level(const char *word, int *ret_level)
{
	int64_t n;

	if (strcmp(word, "dlq") == 0) {
		*ret_level = SEND_BACK_NEVER_AGAIN;
		return true;
	}
	if (!text_begins(word, "level") || word[5] == '+' || !text_number(word + 5, 1, DELAY_LEVELS_MAX, &n))
		return false;
	*ret_level = (int)n;
	return true;
}

/* What a line says. */
struct order {
	mq_qoff at;
	int level;
};

static int
order_parse(char **words, size_t n_words, struct order *ret)
{
	*ret = (struct order){ .level = SEND_BACK_BY_RULE };
	if (n_words < 1 || n_words > 2 || !text_number(words[0], 0, INT64_MAX, &ret->at.n) ||
	    (n_words == 2 && !parse_level(words[1], &ret->level)))
		return err_note(-EINVAL, USAGE);
	return MQ_OK;
}

static int
note_absent(const struct node *n, mq_qoff at)
{
	return err_note(-ERANGE, "topics/%s/q%u has no message %" PRId64, n->topic->name, n->queue, at.n);
}

static int
order_check(struct mount *m, const struct node *n, struct queue *q, const struct order *order)
{
	struct queue_span span;

	(void)m;		/* as order_run() */
	queue_span(q, &span);
	return order->at.n < span.min.n || order->at.n >= span.end.n ? note_absent(n, order->at) : MQ_OK;
}

static int
order_run(struct mount *m, const struct node *n, struct queue *q, const struct order *order)
{
	int rc = send_back(m->offsets, n->group, q, order->at, order->level, -1);

	return rc == MQ_EEND || rc == MQ_EGONE ? note_absent(n, order->at) : rc;
}

/* `each` of the text's lines. */
static int
orders(struct mount *m, const struct node *n, struct queue *q, const char *text, size_t len,
       int (*each)(struct mount *m, const struct node *n, struct queue *q, const struct order *order))
{
	AUTO_FREE char *copy = strndup(text, len);
	char *words[COMMAND_WORDS_MAX], *rest = NULL;
	struct order order;
	int rc = copy ? MQ_OK : -ENOMEM;

	for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; rc == MQ_OK && line;
	     line = strtok_r(NULL, "\n", &rest)) {
		rc = order_parse(words, words_split(line, words), &order);
		if (rc == MQ_OK)
			rc = each(m, n, q, &order);
	}
	return rc;
}

/* All lines are checked before the first message is sent back: a write that fails is written again. */
static int
retry_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	struct queue *q;
	int rc = topic_queue(m->offsets, n->topic, (int32_t)n->queue, &q);

	if (rc == MQ_OK)
		rc = orders(m, n, q, text, len, order_check);
	return rc == MQ_OK ? orders(m, n, q, text, len, order_run) : rc;
}

static int
retry_render(struct mount *m, const struct node *n, struct text *t)
{
	(void)m, (void)n;
	text_printf(t, USAGE ": that message of this queue comes again in %%RETRY%%, or goes to %%DLQ%%\n");
	return MQ_OK;
}

/* A message that is sent back can be read in the group's own topics, so a process must be allowed to read it
 * here. */
static int
retry_may_open(struct mount *m, const struct node *n, const struct handle *h)
{
	return access_check(m, h, n->topic, (int32_t)n->queue, ACCESS_READ);
}

const struct node_class node_group_retry = {
	.set_attr = node_set_owner,
	.render = retry_render,
	.accept = retry_accept,
	.may_open = retry_may_open,
};
