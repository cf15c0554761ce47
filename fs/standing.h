/* standing.h - the numbers of topics, groups, subscriptions and peers at one moment.
 *
 * The only place where these numbers are computed: status/topics, status/groups, groups/G/lag,
 * status.json and metrics.prom show them (in the forms of figure.h).
 *
 * All topics and groups are gathered, and summed; that takes a few locks for each queue, and no
 * disk.  The age of messages, which is read from the log, is computed only for the rows that are
 * `named`: at most `metricsTopics` topics, groups and subscriptions.  The named ones are the topics
 * with the most messages ever stored (so that they stay the same), and the groups and subscriptions
 * with the greatest lag (so that an alert sees them).
 *
 * Threads: any; the caller's own struct.
 */
#ifndef MQFS_FS_STANDING_H
#define MQFS_FS_STANDING_H

#include "fs/figure.h"

struct topic_standing {
	struct topic *topic;
	bool named;
	int64_t queues, messages, bytes, retained, retained_bytes, oldest_ms, newest_ms;
};

struct group_standing {
	struct group *group;
	bool named;
	int64_t subscriptions, lag, age_ms, consumers, clients, retried, dead, dead_retained;
};

struct subscription_standing {
	struct subscription *sub;
	bool named;
	int64_t queues, lag, age_ms, consumers;
	struct queue *waits_in;		/* the queue of its oldest unconsumed message; NULL: there is none */
	mq_qoff waits_at;
	mq_pos waits_pos;
};

/* One queue as a group sees it. */
struct place_standing {
	int32_t queue;
	int64_t committed, end, lag, age_ms;
	int32_t consumer;		/* as of consumer_of() */
};

struct peer_standing {
	char name[32];			/* master, slave-N */
	char broker[400];		/* from its hello, or "" */
	int64_t connected, acknowledged, behind, rate;
};

/* Sums over all of them, and the numbers of those that are not named. */
struct totals {
	int64_t retained, retained_bytes, lag, age_ms, consumers, dead_retained, in_sync, replicated;
	int64_t topics_left_out, groups_left_out, subscriptions_left_out;
};

struct standing {
	struct topic_standing *topics;
	struct group_standing *groups;
	struct subscription_standing *subs;	/* of the groups, in their order */
	struct peer_standing *peers;
	size_t n_topics, n_groups, n_subs, n_peers;
	struct totals totals;
};

/* In order of names.  -ENOMEM; standing_free() accepts *ret also then, and zeros. */
int standing_gather(struct mount *m, struct standing *ret);
void standing_free(struct standing *st);

/* One queue of a subscription, with the age of its oldest unconsumed message. */
int standing_place(struct mount *m, struct subscription *sub, int32_t queue, struct place_standing *ret);

/* The numbers of each struct, as rows that end with a NULL name. */
extern const struct figure topic_figures[], group_figures[], subscription_figures[], peer_figures[], total_figures[];

#endif
