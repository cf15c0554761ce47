#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/thread.h"
#include "remoting/stats.h"
#include "store/record.h"

#define BUCKETS 4096
#define KEY_BYTES (2 * RECORD_TOPIC_MAX + 2)
#define TICK_MS 1000
#define SECONDS_MAX 601			/* of the broker's own samples */
#define SAMPLES_MAX 25

/* RocketMQ's, in this order. */
static const char *const names[STATS_NAMES] = {
	"TOPIC_PUT_NUMS", "TOPIC_PUT_SIZE", "GROUP_GET_NUMS", "GROUP_GET_SIZE", "GROUP_GET_LATENCY",
	"SNDBCK_PUT_NUMS", "BROKER_PUT_NUMS", "BROKER_GET_NUMS",
};

/* How often an item is sampled, and how many samples make a span. */
static const struct {
	int64_t ms;
	size_t n;
} spans[STATS_SPANS] = { { 10000, 7 }, { 600000, 7 }, { 3600000, SAMPLES_MAX } };

const int64_t stats_took_ms[STATS_TOOK - 1] = { 0, 10, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10000 };

struct sample {
	int64_t ms, value, times;
};

struct samples {
	struct sample *list;		/* the oldest first */
	size_t n;
};

struct item {
	struct item *next;		/* same bucket */
	struct item *next_of_all;
	enum stats_name name;
	int64_t value, times;
	int64_t queues, queues_seen;	/* puts: the sum of a topic's queues, while it is computed, and before */
	struct samples spans[STATS_SPANS];
	char key[];
};

/* What the broker has done by that second. */
struct second {
	int64_t ms, put, found, missed, transferred;
};

struct stats {
	const struct settings *settings;
	struct store *store;
	struct lock lock;		/* all below */
	pthread_cond_t closes;
	bool closing;
	struct thread thread;
	struct item *buckets[BUCKETS], *all;
	size_t n;
	int64_t sampled_ms[STATS_SPANS];
	struct second seconds[SECONDS_MAX];	/* a ring */
	uint64_t n_seconds;
	int64_t day;			/* since the epoch, where the clock is */
	struct stats_broker sum;
	int64_t took[2][STATS_TOOK];	/* of this minute, and the last */
	int64_t took_ms;		/* when this one began */
	int64_t found, missed;
};

/* --- items ------------------------------------------------------------------------------------- */

static size_t
bucket_of(enum stats_name name, const char *key)
{
	return bytes_hash(name, key) % BUCKETS;
}

static struct item *
item_find(struct stats *s, enum stats_name name, const char *key)
{
	struct item *i = s->buckets[bucket_of(name, key)];

	while (i && (i->name != name || strcmp(i->key, key) != 0))
		i = i->next;
	return i;
}

/* NULL: there is no memory for it, or there are too many. */
static struct item *
item_get(struct stats *s, enum stats_name name, const char *key)
{
	struct item *i = item_find(s, name, key);
	size_t len = strlen(key) + 1, at = bucket_of(name, key);

	if (i || s->n >= STATS_ITEMS_MAX)
		return i;
	i = calloc(1, sizeof(*i) + len);
	if (!i)
		return NULL;
	i->name = name;
	memcpy(i->key, key, len);
	i->next = s->buckets[at];
	s->buckets[at] = i;
	i->next_of_all = s->all;
	s->all = i;
	s->n++;
	return i;
}

static void
item_add(struct stats *s, enum stats_name name, const char *key, int64_t value, int64_t times)
{
	struct item *i = item_get(s, name, key);

	if (!i)
		return;
	i->value += value;
	i->times += times;
}

/* An item is there from its first count on; a latency may be 0. */
static bool
has_counted(const struct item *i)
{
	return i->value > 0 || i->times > 0;
}

static void
sample(struct samples *list, int span, const struct item *i, int64_t now_ms)
{
	if (!list->list)
		list->list = calloc(spans[span].n + 1, sizeof(*list->list));
	if (!list->list)
		return;
	if (list->n == 0)
		list->list[list->n++] = (struct sample){ .ms = now_ms - spans[span].ms };
	list->list[list->n++] = (struct sample){ now_ms, i->value, i->times };
	if (list->n > spans[span].n)
		memmove(list->list, list->list + 1, --list->n * sizeof(*list->list));
}

static struct stats_rate
rate_of(const struct samples *list)
{
	const struct sample *first = list->list, *last;
	struct stats_rate r = { 0 };

	if (list->n < 2)
		return r;
	last = &list->list[list->n - 1];
	r.sum = last->value - first->value;
	if (last->ms > first->ms)
		r.per_second = (double)r.sum * 1000 / (double)(last->ms - first->ms);
	if (last->times > first->times)
		r.per_time = (double)r.sum / (double)(last->times - first->times);
	return r;
}

static void
view_of(const struct item *i, struct stats_view *ret)
{
	ret->value = i->value;
	for (int span = 0; span < STATS_SPANS; span++)
		ret->spans[span] = rate_of(&i->spans[span]);
}

/* --- messages in queues --------------------------------------------------------------------- */

static int
add_queue(struct queue *q, void *arg)
{
	struct stats *s = arg;
	struct item *nums, *sizes;
	int64_t n, bytes;

	if (strcmp(queue_topic(q), META_TOPIC) == 0)
		return 0;
	nums = item_get(s, STATS_TOPIC_PUT_NUMS, queue_topic(q));
	sizes = item_get(s, STATS_TOPIC_PUT_SIZE, queue_topic(q));
	queue_puts(q, &n, &bytes);
	if (nums)
		nums->queues += n;
	if (sizes)
		sizes->queues += bytes;
	return 0;
}

/* How many more messages or bytes its topic's queues have had since the last call. */
static int64_t
see_queues(struct item *i)
{
	int64_t more = i->queues - i->queues_seen;

	if (i->name != STATS_TOPIC_PUT_NUMS && i->name != STATS_TOPIC_PUT_SIZE)
		return 0;
	i->queues_seen = i->queues;
	i->queues = 0;
	return more;
}

static void
count_puts(struct stats *s, struct item *i)
{
	int64_t more = see_queues(i);

	if (s->settings->brokerRole == SLAVE)	/* its master counts them */
		return;
	i->value += more;
	if (i->name == STATS_TOPIC_PUT_SIZE) {
		s->sum.put_bytes += more;
	} else {
		i->times += more;
		s->sum.put_n += more;
	}
}

static void
collect(struct stats *s)
{
	int64_t before = s->sum.put_n;

	(void)store_each_queue(s->store, add_queue, s);
	for (struct item *i = s->all; i; i = i->next_of_all)
		count_puts(s, i);
	for (struct item *i = s->all; i; i = i->next_of_all) {
		const struct item *nums = i->name == STATS_TOPIC_PUT_SIZE ? item_find(s, STATS_TOPIC_PUT_NUMS, i->key) : NULL;

		if (nums)		/* the times of sizes are messages */
			i->times = nums->times;
	}
	if (s->sum.put_n > before)
		item_add(s, STATS_BROKER_PUT_NUMS, s->settings->brokerClusterName, s->sum.put_n - before, 0);
}

/* --- time ------------------------------------------------------------------------------------------ */

static void
sample_second(struct stats *s, int64_t now_ms)
{
	struct store_stats st;

	store_stats(s->store, &st);
	s->seconds[s->n_seconds++ % SECONDS_MAX] =
		(struct second){ now_ms, st.appended_messages, s->found, s->missed, s->sum.got_n };
}

static int64_t
day_of(int64_t wall_ms)
{
	time_t now = (time_t)(wall_ms / 1000);
	struct tm tm;

	localtime_r(&now, &tm);
	return (wall_ms / 1000 + tm.tm_gmtoff) / 86400;
}

static void
begin_day(struct stats *s, int64_t day)
{
	s->day = day;
	s->sum.put_yesterday = s->sum.put_today;
	s->sum.got_yesterday = s->sum.got_today;
	s->sum.put_today = s->sum.put_n;
	s->sum.got_today = s->sum.got_n;
}

static void
begin_minute(struct stats *s, int64_t now_ms)
{
	s->took_ms = now_ms;
	memcpy(s->took[1], s->took[0], sizeof(s->took[1]));
	memset(s->took[0], 0, sizeof(s->took[0]));
}

static void
tick(struct stats *s, int64_t now_ms, int64_t wall_ms)
{
	int64_t day = day_of(wall_ms);

	MUST_HOLD(&s->lock);
	sample_second(s, now_ms);
	if (now_ms >= s->sampled_ms[STATS_MINUTE] + spans[STATS_MINUTE].ms || day > s->day)
		collect(s);
	for (int span = 0; span < STATS_SPANS; span++)
		if (now_ms >= s->sampled_ms[span] + spans[span].ms) {
			s->sampled_ms[span] = now_ms;
			for (struct item *i = s->all; i; i = i->next_of_all)
				if (has_counted(i))
					sample(&i->spans[span], span, i, now_ms);
		}
	if (now_ms >= s->took_ms + 60000)
		begin_minute(s, now_ms);
	if (day > s->day)
		begin_day(s, day);
}

void
stats_tick(struct stats *s, int64_t now_ms, int64_t wall_ms)
{
	LOCKED(&s->lock);
	tick(s, now_ms, wall_ms);
}

static void *
stats_main(void *arg)
{
	struct stats *s = arg;

	LOCKED(&s->lock);
	while (!s->closing) {
		tick(s, clock_mono_ms(), clock_wall_ms());
		lock_wait(&s->lock, &s->closes, TICK_MS);
	}
	return NULL;
}

/* --- begin and end ----------------------------------------------------------------------------------- */

int
stats_open(const struct settings *settings, struct store *store, struct stats **ret)
{
	struct stats *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->settings = settings;
	s->store = store;
	s->day = day_of(clock_wall_ms());
	s->took_ms = clock_mono_ms();
	lock_init(&s->lock, RANK_STATS);
	cond_init(&s->closes);
	(void)store_each_queue(store, add_queue, s);
	for (struct item *i = s->all; i; i = i->next_of_all)
		(void)see_queues(i);	/* messages that are there already are not counted */
	rc = thread_start(&s->thread, "stats", stats_main, s);
	if (rc == MQ_OK)
		*ret = s;
	else
		stats_close(s);
	return rc;
}

void
stats_close(struct stats *s)
{
	struct item *i;

	if (!s)
		return;
	lock_take(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->closes);
	lock_drop(&s->lock);
	thread_join(&s->thread);
	while ((i = s->all)) {
		s->all = i->next_of_all;
		for (int span = 0; span < STATS_SPANS; span++)
			free(i->spans[span].list);
		free(i);
	}
	pthread_cond_destroy(&s->closes);
	lock_destroy(&s->lock);
	free(s);
}

/* --- counting ------------------------------------------------------------------------------------------ */

static void
put_key(char *key, const char *topic, const char *group)
{
	snprintf(key, KEY_BYTES, "%.*s@%.*s", RECORD_TOPIC_MAX, topic, RECORD_TOPIC_MAX, group);
}

void
stats_got(struct stats *s, const char *topic, const char *group, int64_t pulls, int64_t messages, int64_t bytes,
	  int64_t took_ms)
{
	char key[KEY_BYTES];

	if (!s)
		return;
	put_key(key, topic, group);
	LOCKED(&s->lock);
	s->found += pulls;
	s->sum.got_n += messages;
	if (took_ms > s->sum.got_most_ms)
		s->sum.got_most_ms = took_ms;
	item_add(s, STATS_GROUP_GET_NUMS, key, messages, pulls);
	item_add(s, STATS_GROUP_GET_SIZE, key, bytes, pulls);
	item_add(s, STATS_GROUP_GET_LATENCY, key, took_ms, pulls);
	item_add(s, STATS_BROKER_GET_NUMS, s->settings->brokerClusterName, messages, 0);
}

void
stats_got_nothing(struct stats *s)
{
	if (!s)
		return;
	LOCKED(&s->lock);
	s->missed++;
}

void
stats_sent_back(struct stats *s, const char *topic, const char *group)
{
	char key[KEY_BYTES];

	if (!s)
		return;
	put_key(key, topic, group);
	LOCKED(&s->lock);
	item_add(s, STATS_SNDBCK_PUT_NUMS, key, 1, 1);
}

void
stats_put_took(struct stats *s, int64_t messages, int64_t took_ms)
{
	size_t at = 0;

	if (!s)
		return;
	while (at < STATS_TOOK - 1 && took_ms > stats_took_ms[at])
		at++;
	LOCKED(&s->lock);
	s->took[0][at] += messages;
	if (took_ms > s->sum.put_most_ms)
		s->sum.put_most_ms = took_ms;
}

void
stats_put_failed(struct stats *s, int64_t messages)
{
	if (!s)
		return;
	LOCKED(&s->lock);
	s->sum.put_failed += messages;
}

/* --- looking ---------------------------------------------------------------------------------------------- */

bool
stats_view(struct stats *s, const char *name, const char *key, struct stats_view *ret)
{
	const struct item *i = NULL;

	LOCKED(&s->lock);
	collect(s);
	for (int n = 0; n < STATS_NAMES; n++)
		if (strcmp(names[n], name) == 0)
			i = item_find(s, (enum stats_name)n, key);
	if (!i || !has_counted(i))
		return false;
	view_of(i, ret);
	return true;
}

double
stats_consume_tps(struct stats *s, const char *topic, const char *group)
{
	char key[KEY_BYTES];
	const struct item *i;

	put_key(key, topic, group);
	LOCKED(&s->lock);
	i = item_find(s, STATS_GROUP_GET_NUMS, key);
	return i ? rate_of(&i->spans[STATS_MINUTE]).per_second : 0;
}

void
stats_each(struct stats *s, void (*each)(void *arg, enum stats_name name, const char *key,
					  const struct stats_view *view), void *arg)
{
	struct stats_view view;

	LOCKED(&s->lock);
	collect(s);
	for (const struct item *i = s->all; i; i = i->next_of_all)
		if (has_counted(i)) {
			view_of(i, &view);
			each(arg, i->name, i->key, &view);
		}
}

/* From a sample some seconds ago, or the oldest, to the newest. */
static struct stats_tps
tps_of(const struct stats *s, uint64_t seconds)
{
	uint64_t have = s->n_seconds < SECONDS_MAX ? s->n_seconds : SECONDS_MAX;
	const struct second *last, *first;
	double took;

	if (have < 2)
		return (struct stats_tps){ 0 };
	last = &s->seconds[(s->n_seconds - 1) % SECONDS_MAX];
	first = &s->seconds[(s->n_seconds - 1 - (seconds < have ? seconds : have - 1)) % SECONDS_MAX];
	took = (double)(last->ms - first->ms) / 1000;
	if (took <= 0)
		return (struct stats_tps){ 0 };
	return (struct stats_tps){
		.put = (double)(last->put - first->put) / took,
		.found = (double)(last->found - first->found) / took,
		.missed = (double)(last->missed - first->missed) / took,
		.transferred = (double)(last->transferred - first->transferred) / took,
	};
}

void
stats_broker(struct stats *s, struct stats_broker *ret)
{
	static const uint64_t seconds[3] = { 10, 60, 600 };

	LOCKED(&s->lock);
	collect(s);
	*ret = s->sum;
	for (int i = 0; i < 3; i++)
		ret->tps[i] = tps_of(s, seconds[i]);
	for (int i = 0; i < STATS_TOOK; i++)
		ret->took[i] = s->took[0][i] + s->took[1][i];
}
