#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/clock.h"
#include "conf/scope.h"
#include "fs/metrics.h"
#include "fs/workers.h"
#include "remoting/service.h"
#include "repl/replication.h"

/* --- the numbers of each ---------------------------------------------------------------------- */

#define OF_TOPIC(member) offsetof(struct topic_metrics, member)
static const struct figure topic_figures[] = {
	{ "queues", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_TOPIC(queues), "queues of the topic" },
	{ "messages", NULL, FIGURE_COUNTER, FIGURE_NONE, OF_TOPIC(messages), "messages ever stored in the topic" },
	{ "bytes", NULL, FIGURE_COUNTER, FIGURE_BYTES, OF_TOPIC(bytes), "bytes of their bodies" },
	{ "retained", "retained_messages", FIGURE_GAUGE, FIGURE_NONE, OF_TOPIC(retained),
	  "messages that are there to be read" },
	{ "retained_bytes", NULL, FIGURE_GAUGE, FIGURE_BYTES, OF_TOPIC(retained_bytes), "bytes of their bodies" },
	{ "oldest", "oldest_message", FIGURE_GAUGE, FIGURE_TIME_MS, OF_TOPIC(oldest_ms),
	  "store time of the oldest of them" },
	{ "newest", "newest_message", FIGURE_GAUGE, FIGURE_TIME_MS, OF_TOPIC(newest_ms),
	  "store time of the last message" },
	{ 0 },
};

#define OF_GROUP(member) offsetof(struct group_metrics, member)
static const struct figure group_figures[] = {
	{ "subscriptions", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(subscriptions), "topics that the group consumes" },
	{ "lag", "lag_messages", FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(lag), "messages that the group has still to consume" },
	{ "age", "lag", FIGURE_GAUGE, FIGURE_MS, OF_GROUP(age_ms), "how long the oldest of them has waited" },
	{ "consumers", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(consumers), "files of the mount that consume" },
	{ "clients", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(clients), "connections that consume over the network" },
	{ "retried", "retried_messages", FIGURE_COUNTER, FIGURE_NONE, OF_GROUP(retried),
	  "messages that were sent back to be consumed again" },
	{ "dead", "dead_messages", FIGURE_COUNTER, FIGURE_NONE, OF_GROUP(dead),
	  "messages that were sent back too often, and went to the dead letters" },
	{ "dead_retained", "dead_retained_messages", FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(dead_retained),
	  "dead letters that are still there" },
	{ 0 },
};

#define OF_SUB(member) offsetof(struct subscription_metrics, member)
static const struct figure subscription_figures[] = {
	{ "queues", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_SUB(queues), "queues of the topic" },
	{ "lag", "lag_messages", FIGURE_GAUGE, FIGURE_NONE, OF_SUB(lag),
	  "messages of the topic that the group has still to consume" },
	{ "age", "lag", FIGURE_GAUGE, FIGURE_MS, OF_SUB(age_ms), "how long the oldest of them has waited" },
	{ "consumers", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_SUB(consumers), "files of the mount that consume it" },
	{ 0 },
};

#define OF_PEER(member) offsetof(struct peer_metrics, member)
static const struct figure peer_figures[] = {
	{ "connected", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_PEER(connected), "1: the log goes over this connection" },
	{ "acknowledged", NULL, FIGURE_GAUGE, FIGURE_BYTES, OF_PEER(acknowledged), "position up to which it has the log" },
	{ "behind", NULL, FIGURE_GAUGE, FIGURE_BYTES, OF_PEER(behind), "bytes of the log that are still to be sent" },
	{ "rate", "bytes_per_second", FIGURE_GAUGE, FIGURE_NONE, OF_PEER(rate), "bytes of the log that go over it in a second" },
	{ 0 },
};

const struct family topic_family = {
	"topic_", { "topic" }, topic_figures, sizeof(struct topic_metrics), OF_TOPIC(messages),
};
const struct family group_family = {
	"group_", { "group" }, group_figures, sizeof(struct group_metrics), OF_GROUP(lag),
};
const struct family subscription_family = {
	"subscription_", { "group", "topic" }, subscription_figures, sizeof(struct subscription_metrics), OF_SUB(lag),
};
const struct family peer_family = {
	"replication_peer_", { "peer", "remote" }, peer_figures, sizeof(struct peer_metrics), 0,
};

#define OF_ALL(member) offsetof(struct totals, member)
const struct figure total_figures[] = {
	{ "retained", "retained_messages", FIGURE_GAUGE, FIGURE_NONE, OF_ALL(retained),
	  "messages that are there to be read" },
	{ "retained_bytes", NULL, FIGURE_GAUGE, FIGURE_BYTES, OF_ALL(retained_bytes), "bytes of their bodies" },
	{ "lag", "lag_messages", FIGURE_GAUGE, FIGURE_NONE, OF_ALL(lag), "messages that all groups have still to consume" },
	{ "age", "lag", FIGURE_GAUGE, FIGURE_MS, OF_ALL(age_ms), "how long the oldest of them has waited" },
	{ "consumers", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_ALL(consumers), "files of the mount that consume" },
	{ "dead_retained", "dead_retained_messages", FIGURE_GAUGE, FIGURE_NONE, OF_ALL(dead_retained),
	  "dead letters of all groups that are still there" },
	{ "in_sync", "replication_in_sync", FIGURE_GAUGE, FIGURE_NONE, OF_ALL(in_sync),
	  "1: as many slaves are connected and near as inSyncReplicas asks for" },
	{ "replicated", NULL, FIGURE_COUNTER, FIGURE_BYTES, OF_ALL(replicated),
	  "mark: in the logs of enough slaves up to here" },
	{ "topics_left_out", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_ALL(topics_left_out),
	  "topics without metrics of their own: metricsTopics" },
	{ "groups_left_out", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_ALL(groups_left_out),
	  "groups without metrics of their own" },
	{ "subscriptions_left_out", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_ALL(subscriptions_left_out),
	  "subscriptions without metrics of their own" },
	{ 0 },
};

/* --- ages ------------------------------------------------------------------------------------------ */

/* How long message `at` of q has waited; FIGURE_UNKNOWN: it cannot be read. */
static int64_t
age_of(struct mount *m, struct queue *q, mq_qoff at)
{
	int64_t ms, now_ms = clock_wall_ms();

	if (store_time_of(m->store, q, at, &ms) != MQ_OK)
		return FIGURE_UNKNOWN;
	return ms < now_ms ? now_ms - ms : 0;
}

static void
keep_greatest(int64_t *greatest, int64_t n)
{
	if (n > *greatest)
		*greatest = n;
}

/* --- topics ------------------------------------------------------------------------------------------ */

static void
topic_measure(struct mount *m, struct topic *t, struct topic_metrics *ret)
{
	*ret = (struct topic_metrics){ .row.names = { t->name }, .topic = t, .queues = topic_queues(m->offsets, t),
					.oldest_ms = FIGURE_UNKNOWN,
					.newest_ms = FIGURE_UNKNOWN };
	for (int32_t i = 0; i < ret->queues; i++) {
		struct queue *q = topic_queue_if_any(m->offsets, t, i);
		struct queue_span span;

		if (!q)
			continue;
		queue_span(q, &span);
		ret->messages += span.end.n;
		ret->bytes += span.end_bytes;
		ret->retained += span.end.n - span.min.n;
		ret->retained_bytes += span.end_bytes - span.start_bytes;
		if (span.last_store_ms)
			keep_greatest(&ret->newest_ms, span.last_store_ms);
	}
}

/* The first of the queues' first messages is the one with the lowest position. */
static void
topic_find_oldest(struct mount *m, struct topic_metrics *t)
{
	struct queue *oldest = NULL;
	int64_t lowest = INT64_MAX, ms;

	for (int32_t i = 0; t->retained && i < t->queues; i++) {
		struct queue *q = topic_queue_if_any(m->offsets, t->topic, i);
		mq_pos pos;

		if (q && queue_first_pos(q, &pos) == MQ_OK && pos.byte < lowest) {
			lowest = pos.byte;
			oldest = q;
		}
	}
	if (oldest && store_time_of(m->store, oldest, queue_min(oldest), &ms) == MQ_OK)
		t->oldest_ms = ms;
}

/* --- subscriptions ------------------------------------------------------------------------------------ */

/* Message `at` of q is not consumed: remember it if it is the oldest so far, the one with the lowest position. */
static void
note_waiting(struct subscription_metrics *s, struct queue *q, mq_qoff at)
{
	struct queue_entry e;
	size_t got;

	if (queue_entries(q, at, &e, 1, &got) != MQ_OK || (s->waits_in && s->waits_pos.byte <= e.pos.byte))
		return;
	s->waits_in = q;
	s->waits_at = at;
	s->waits_pos = e.pos;
}

static void
subscription_measure(struct mount *m, struct subscription *sub, struct subscription_metrics *ret)
{
	*ret = (struct subscription_metrics){ .row.names = { sub->group->name, sub->topic->name }, .sub = sub,
					       .queues = topic_queues(m->offsets, sub->topic) };
	for (int32_t i = 0; i < ret->queues; i++) {
		struct queue *q = topic_queue_if_any(m->offsets, sub->topic, i);
		mq_qoff at;

		ret->consumers += consumer_is_file(consumer_of(m->offsets, sub, i));
		if (q && committed(m->offsets, sub, i, &at) == MQ_OK && at.n < queue_end(q).n)
			ret->lag += queue_end(q).n - at.n;
	}
	if (ret->lag)
		ret->age_ms = FIGURE_UNKNOWN;
}

static void
subscription_find_age(struct mount *m, struct subscription_metrics *s)
{
	for (int32_t i = 0; s->lag && i < s->queues; i++) {
		struct queue *q = topic_queue_if_any(m->offsets, s->sub->topic, i);
		mq_qoff at;

		if (q && committed(m->offsets, s->sub, i, &at) == MQ_OK && at.n < queue_end(q).n)
			note_waiting(s, q, at);
	}
	if (s->waits_in)
		s->age_ms = age_of(m, s->waits_in, s->waits_at);
}

int
queue_metrics_gather(struct mount *m, struct subscription *sub, int32_t queue, struct queue_metrics *ret)
{
	struct queue *q = topic_queue_if_any(m->offsets, sub->topic, queue);
	mq_qoff at;
	int rc = committed(m->offsets, sub, queue, &at);

	if (rc != MQ_OK)
		return rc;
	*ret = (struct queue_metrics){ .queue = queue, .committed = at.n, .end = q ? queue_end(q).n : at.n,
					.consumer = consumer_of(m->offsets, sub, queue) };
	if (ret->end > at.n) {
		ret->lag = ret->end - at.n;
		ret->age_ms = age_of(m, q, at);
	}
	return MQ_OK;
}

/* --- groups ------------------------------------------------------------------------------------------ */

/* Measure the group's topic of messages to be consumed again, or of dead letters; zeros: there is none. */
static struct topic_metrics
measure_topic_of(struct mount *m, const char *prefix, const struct group *g)
{
	struct topic_metrics t = { 0 };
	char name[RECORD_TOPIC_MAX + 8];
	struct topic *topic;

	snprintf(name, sizeof(name), "%s%s", prefix, g->name);
	topic = topic_find(m->offsets, name);
	if (topic)
		topic_measure(m, topic, &t);
	return t;
}

static void
group_measure(struct mount *m, struct group *g, struct group_metrics *ret)
{
	struct topic_metrics retry = measure_topic_of(m, RETRY_PREFIX, g), dead = measure_topic_of(m, DLQ_PREFIX, g);

	*ret = (struct group_metrics){
		.row.names = { g->name }, .group = g, .retried = retry.messages, .dead = dead.messages,
		.dead_retained = dead.retained,
	};
}

static int
group_by_name(const void *name, const void *row)
{
	return strcmp(name, ((const struct group_metrics *)row)->group->name);
}

#define CLIENTS_MS 300		/* mqremoted may take so long to answer */

/* A line "NAME COUNT". */
static void
note_clients(struct metrics *st, char *line)
{
	char *blank = strrchr(line, ' ');
	struct group_metrics *g;

	if (!blank)
		return;
	*blank = '\0';
	g = bsearch(line, st->groups, st->n_groups, sizeof(*g), group_by_name);
	if (g)
		g->clients = strtol(blank + 1, NULL, 10);
}

/* Ask mqremoted how many clients each group has.  Without mqremoted there are none; if it does not answer, the
 * number is not known. */
static void
count_clients(struct mount *m, struct metrics *st)
{
	struct answer a = { 0 };
	char *line, *rest;
	int rc;

	if (!m->service)
		return;
	workers_wait_begin(m);
	rc = service_call(m->service, SERVICE_CONSUMERS, NULL, CLIENTS_MS, &a);
	workers_wait_end(m);
	for (size_t i = 0; rc != MQ_OK && rc != -ENOTCONN && i < st->n_groups; i++)
		st->groups[i].clients = FIGURE_UNKNOWN;
	for (line = rc == MQ_OK && a.body ? strtok_r(a.body, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
		note_clients(st, line);
	answer_clear(&a);
}

/* --- gathering ------------------------------------------------------------------------------------------ */

static int
gather_topics(struct mount *m, struct metrics *st)
{
	size_t max = 0;

	for (struct topic *t = topic_next(m->offsets, ""); t; t = topic_next(m->offsets, t->name)) {
		if (ARRAY_ROOM(st->topics, max, st->n_topics + 1) != MQ_OK)
			return -ENOMEM;
		topic_measure(m, t, &st->topics[st->n_topics++]);
	}
	return MQ_OK;
}

static int
gather_subscriptions(struct mount *m, struct metrics *st, struct group_metrics *g)
{
	struct subscription *sub = subscription_next(m->offsets, g->group, "");

	for (; sub; sub = subscription_next(m->offsets, g->group, sub->topic->name)) {
		struct subscription_metrics *s;

		if (ARRAY_ROOM(st->subs, st->max_subs, st->n_subs + 1) != MQ_OK)
			return -ENOMEM;
		s = &st->subs[st->n_subs++];
		subscription_measure(m, sub, s);
		g->subscriptions++;
		g->consumers += s->consumers;
		g->lag += s->lag;
	}
	return MQ_OK;
}

static int
gather_groups(struct mount *m, struct metrics *st)
{
	size_t max = 0;
	int rc = MQ_OK;

	for (struct group *g = group_next(m->offsets, ""); g && rc == MQ_OK; g = group_next(m->offsets, g->name)) {
		if (meta_group_is_system(g->name))
			continue;
		if (ARRAY_ROOM(st->groups, max, st->n_groups + 1) != MQ_OK)
			return -ENOMEM;
		group_measure(m, g, &st->groups[st->n_groups]);
		rc = gather_subscriptions(m, st, &st->groups[st->n_groups++]);
	}
	return rc;
}

static int
gather_peers(struct mount *m, struct metrics *st)
{
	struct replication_peer list[REPLICATION_PEERS_MAX];
	size_t n = m->replication ? replication_peers(m->replication, list) : 0;
	mq_pos written = mark_at(store_written(m->store));

	st->peers = n ? calloc(n, sizeof(*st->peers)) : NULL;
	if (n && !st->peers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct peer_metrics *p = &st->peers[st->n_peers++];

		replication_peer_name(&list[i], p->name);
		snprintf(p->broker, sizeof(p->broker), "%s", list[i].broker);
		p->row = (struct row){ .names = { p->name, p->broker }, .named = true };
		p->connected = list[i].state == LINK_PEER_TRANSFER;
		p->acknowledged = list[i].ack;
		p->behind = replication_peer_behind(&list[i], written);
		p->rate = p->connected ? list[i].bytes_per_s : 0;
	}
	st->totals.in_sync = m->replication ? replication_in_sync(m->replication) : FIGURE_UNKNOWN;
	st->totals.replicated = m->replication ? mark_at(replication_replicated(m->replication)).byte : FIGURE_UNKNOWN;
	return MQ_OK;
}

/* --- which rows are named ------------------------------------------------------------------------------------------ */

/* A row, and what it is chosen by. */
struct candidate {
	int64_t weight;
	struct row *row;
};

static int
heaviest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return (x->row > y->row) - (x->row < y->row);
}

/* Name at most max of n rows, the heaviest; *ret_left is how many are not. */
static int
choose(void *rows, size_t n, const struct family *f, size_t max, int64_t *ret_left)
{
	AUTO_FREE struct candidate *list = calloc(n ? n : 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		list[i].row = (struct row *)((char *)rows + i * f->row_bytes);
		memcpy(&list[i].weight, (char *)list[i].row + f->weight_at, sizeof(int64_t));
	}
	if (n > max)
		qsort(list, n, sizeof(*list), heaviest_first);
	for (size_t i = 0; i < n && i < max; i++)
		list[i].row->named = true;
	*ret_left = n > max ? (int64_t)(n - max) : 0;
	return MQ_OK;
}

static int
choose_all(struct mount *m, struct metrics *st)
{
	size_t max = (size_t)m->settings->metricsTopics;
	struct totals *all = &st->totals;
	int rc = choose(st->topics, st->n_topics, &topic_family, max, &all->topics_left_out);

	if (rc == MQ_OK)
		rc = choose(st->groups, st->n_groups, &group_family, max, &all->groups_left_out);
	if (rc == MQ_OK)
		rc = choose(st->subs, st->n_subs, &subscription_family, max, &all->subscriptions_left_out);
	return rc;
}

/* --- ages and sums ------------------------------------------------------------------------------------------ */

/* A group has waited as long as the oldest message of its subscriptions. */
static void
find_ages(struct mount *m, struct metrics *st)
{
	struct subscription_metrics *s = st->subs;

	for (size_t i = 0; i < st->n_topics; i++)
		if (st->topics[i].row.named)
			topic_find_oldest(m, &st->topics[i]);
	for (size_t i = 0; i < st->n_groups; i++) {
		struct group_metrics *g = &st->groups[i];

		if (g->lag)
			g->age_ms = FIGURE_UNKNOWN;
		for (int64_t k = 0; k < g->subscriptions; k++, s++) {
			if (s->row.named)
				subscription_find_age(m, s);
			if (s->lag)
				keep_greatest(&g->age_ms, s->age_ms);
		}
	}
}

static void
sum_up(struct metrics *st)
{
	struct totals *all = &st->totals;

	for (size_t i = 0; i < st->n_topics; i++) {
		const struct topic_metrics *t = &st->topics[i];

		all->retained += t->retained;
		all->retained_bytes += t->retained_bytes;
	}
	for (size_t i = 0; i < st->n_groups; i++) {
		const struct group_metrics *g = &st->groups[i];

		all->lag += g->lag;
		all->consumers += g->consumers;
		all->dead_retained += g->dead_retained;
		keep_greatest(&all->age_ms, g->age_ms);
	}
}

int
metrics_gather(struct mount *m, struct metrics *ret)
{
	int rc;

	*ret = (struct metrics){ 0 };
	rc = gather_topics(m, ret);
	if (rc == MQ_OK)
		rc = gather_groups(m, ret);
	if (rc == MQ_OK)
		rc = gather_peers(m, ret);
	if (rc == MQ_OK)
		rc = choose_all(m, ret);
	if (rc != MQ_OK)
		return rc;
	count_clients(m, ret);
	find_ages(m, ret);
	sum_up(ret);
	return MQ_OK;
}

void
metrics_free(struct metrics *st)
{
	free(st->topics);
	free(st->groups);
	free(st->subs);
	free(st->peers);
	*st = (struct metrics){ 0 };
}
