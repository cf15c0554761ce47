/* metrics.h - the numbers of topics, groups, subscriptions and peers at one moment.
 *
 * The only place where these numbers are computed: status/topics, status/groups, groups/G/lag,
 * status.json and metrics.prom show them (in the forms of figure.h).
 *
 * All topics and groups are gathered, and summed; that takes a few locks for each queue, and no
 * disk.  The age of messages, which is read from the log, is computed only for the rows that have
 * metrics of their own (row.named): at most `metricsTopics` topics, groups and subscriptions.  These
 * are the topics with the most messages ever stored (so that they stay the same), and the groups and
 * subscriptions with the greatest lag (so that an alert sees them).
 *
 * Threads: any; the caller's own struct.
 */
#ifndef MQFS_FS_METRICS_H
#define MQFS_FS_METRICS_H

#include "fs/figure.h"

/* What each of the following structs begins with. */
struct row {
	const char *names[2];	/* the values of its family's labels */
	bool named;		/* it has metrics of its own, and is in status.json */
};

struct topic_metrics {
	struct row row;
	struct topic *topic;
	int64_t queues, messages, bytes, retained, retained_bytes, oldest_ms, newest_ms;
};

struct group_metrics {
	struct row row;
	struct group *group;
	int64_t subscriptions, lag, age_ms, consumers, clients, retried, dead, dead_retained;
};

struct subscription_metrics {
	struct row row;
	struct subscription *sub;
	int64_t queues, lag, age_ms, consumers;
	struct queue *waits_in;		/* the queue of its oldest unconsumed message; NULL: there is none */
	mq_qoff waits_at;
	mq_pos waits_pos;
};

/* One queue as a group sees it. */
struct queue_metrics {
	int32_t queue;
	int64_t committed, end, lag, age_ms;
	int32_t consumer;		/* as of consumer_of() */
};

struct peer_metrics {
	struct row row;
	char name[32];			/* master, slave-N */
	char broker[400];		/* from its hello, or "" */
	int64_t connected, acknowledged, behind, rate;
};

/* Sums over all of them, and the numbers of those that are not named. */
struct totals {
	int64_t retained, retained_bytes, lag, age_ms, consumers, dead_retained, in_sync, replicated;
	int64_t topics_left_out, groups_left_out, subscriptions_left_out;
};

struct metrics {
	struct topic_metrics *topics;
	struct group_metrics *groups;
	struct subscription_metrics *subs;	/* of the groups, in their order */
	struct peer_metrics *peers;
	size_t n_topics, n_groups, n_subs, max_subs, n_peers;
	struct totals totals;
};

/* In order of names.  -ENOMEM; metrics_free() accepts *ret also then, and zeros. */
int metrics_gather(struct mount *m, struct metrics *ret);
void metrics_free(struct metrics *st);

/* One queue of a subscription, with the age of its oldest unconsumed message. */
int queue_metrics_gather(struct mount *m, struct subscription *sub, int32_t queue, struct queue_metrics *ret);

/* What the rows of one struct have in common. */
struct family {
	const char *prefix;		/* of the names of its metrics */
	const char *labels[2];		/* of its metrics; NULL: it has no second one */
	const struct figure *figures;	/* its numbers, up to a NULL name */
	size_t row_bytes;
	size_t weight_at;		/* the rows in which this number is greatest are named */
};
extern const struct family topic_family, group_family, subscription_family, peer_family;
extern const struct figure total_figures[];

#endif
