/* stats.h - counts of stored and pulled messages, as RocketMQ's brokers count them, so that its
 * tools and exporters show the same.
 *
 *      name                key              value               times
 *      TOPIC_PUT_NUMS      topic            messages stored     the same
 *      TOPIC_PUT_SIZE      topic            bytes of records    messages
 *      GROUP_GET_NUMS      topic@group      messages pulled     pulls that found some
 *      GROUP_GET_SIZE      topic@group      bytes of records    〃
 *      GROUP_GET_LATENCY   topic@group      ms                  〃
 *      SNDBCK_PUT_NUMS     topic@group      messages sent back  the same
 *      BROKER_PUT_NUMS     cluster's name   messages stored     0
 *      BROKER_GET_NUMS     cluster's name   messages pulled     0
 *
 * Stored messages are counted at the queues, whether they came over the network, through a file,
 * or are delivered late.  On a slave none are counted.
 *
 * An item is sampled every 10 seconds, 10 minutes and hour, and what RocketMQ calls a minute, an
 * hour and a day are the last 7, 7 and 25 samples of these, its begin (0, a period before the
 * first sample) being one of them.  All of it begins with the mount.
 *
 * Any thread.
 */
#ifndef MQFS_REMOTING_STATS_H
#define MQFS_REMOTING_STATS_H

#include "conf/settings.h"
#include "store/store.h"

enum stats_name {
	STATS_TOPIC_PUT_NUMS,
	STATS_TOPIC_PUT_SIZE,
	STATS_GROUP_GET_NUMS,
	STATS_GROUP_GET_SIZE,
	STATS_GROUP_GET_LATENCY,
	STATS_SNDBCK_PUT_NUMS,
	STATS_BROKER_PUT_NUMS,
	STATS_BROKER_GET_NUMS,
	STATS_NAMES
};

#define STATS_ITEMS_MAX 65536		/* further items are not counted */

struct stats;

/* Starts a thread, which samples.  Both stay the caller's. */
int stats_open(const struct settings *settings, struct store *store, struct stats **ret);
void stats_close(struct stats *s);	/* accepts NULL */

/* Sample what is due at that time (conf/clock.h); the thread calls it each second. */
void stats_tick(struct stats *s, int64_t now_ms, int64_t wall_ms);

/* --- counting; s may be NULL: nothing is counted --------------------------------------------- */

/* Pulls have found so many messages, the longest took took_ms; or one has found none. */
void stats_got(struct stats *s, const char *topic, const char *group, int64_t pulls, int64_t messages, int64_t bytes,
	       int64_t took_ms);
void stats_got_nothing(struct stats *s);

void stats_sent_back(struct stats *s, const char *topic, const char *group);

/* Messages that clients sent together were stored, or refused. */
void stats_put_took(struct stats *s, int64_t messages, int64_t took_ms);
void stats_put_failed(struct stats *s, int64_t messages);

/* --- reading -------------------------------------------------------------------------------------- */

enum stats_span { STATS_MINUTE, STATS_HOUR, STATS_DAY, STATS_SPANS };

struct stats_view {
	int64_t value;			/* in all */
	struct stats_rate {
		int64_t sum;
		double per_second;
		double per_time;
	} spans[STATS_SPANS];
};

/* The item with RocketMQ's name and key.  False: nothing was counted there. */
bool stats_view(struct stats *s, const char *name, const char *key, struct stats_view *ret);

/* Messages that the group pulled of the topic, per second of the last minute. */
double stats_consume_tps(struct stats *s, const char *topic, const char *group);

/* Every item that counted something; `each` may not call anything here. */
void stats_each(struct stats *s, void (*each)(void *arg, enum stats_name name, const char *key,
					       const struct stats_view *view), void *arg);

#define STATS_TOOK 13
extern const int64_t stats_took_ms[STATS_TOOK - 1];	/* the limits of such times; the last has none */

/* Of the broker in all. */
struct stats_broker {
	int64_t put_n, put_bytes, put_failed, got_n;
	int64_t put_today, put_yesterday;	/* put_n and got_n at midnight, and at the one before */
	int64_t got_today, got_yesterday;
	struct stats_tps {			/* of the last 10, 60 and 600 seconds */
		double put, found, missed, transferred;
	} tps[3];
	int64_t put_most_ms, got_most_ms;	/* the longest in all */
	int64_t took[STATS_TOOK];		/* messages that took so long, in the last minute */
};

void stats_broker(struct stats *s, struct stats_broker *ret);

#endif
