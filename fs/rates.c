#include "config.h"

#include <stdio.h>
#include <string.h>

#include "conf/err.h"
#include "fs/figure.h"
#include "fs/rates.h"
#include "remoting/service.h"
#include "remoting/stats.h"
#include "store/record.h"

enum labels { OF_BROKER, OF_TOPIC, OF_GROUP };

static const struct family {
	const char *metric;		/* NULL: the exporter has none */
	enum labels labels;
	const char *help;
} families[STATS_NAMES] = {
	[STATS_BROKER_PUT_NUMS] = { "rocketmq_broker_tps", OF_BROKER, "messages stored per second" },
	[STATS_BROKER_GET_NUMS] = { "rocketmq_broker_qps", OF_BROKER, "messages pulled per second" },
	[STATS_TOPIC_PUT_NUMS] = { "rocketmq_producer_tps", OF_TOPIC, "messages stored per second" },
	[STATS_TOPIC_PUT_SIZE] = { "rocketmq_producer_message_size", OF_TOPIC, "bytes of records stored per second" },
	[STATS_GROUP_GET_NUMS] = { "rocketmq_consumer_tps", OF_GROUP, "messages pulled per second" },
	[STATS_GROUP_GET_SIZE] = { "rocketmq_consumer_message_size", OF_GROUP, "bytes of records pulled per second" },
	[STATS_SNDBCK_PUT_NUMS] = { "rocketmq_send_back_nums", OF_GROUP, "messages sent back per second" },
};

struct gathered {
	const struct settings *settings;
	struct text lines[STATS_NAMES];
	int64_t n[STATS_NAMES];
};

/* key: as in stats.h. */
static void
add_labels(const struct gathered *g, enum labels which, const char *key, struct text *t)
{
	const char *at = strchr(key, '@');
	char topic[RECORD_TOPIC_MAX + 1];

	label_add(t, "cluster", g->settings->brokerClusterName);
	label_add(t, "broker", g->settings->brokerName);
	if (which == OF_BROKER)
		return;
	snprintf(topic, sizeof(topic), "%.*s", at ? (int)(at - key) : RECORD_TOPIC_MAX, key);
	label_add(t, "topic", topic);
	if (which == OF_GROUP && at)
		label_add(t, "group", at + 1);
}

static void
gather(void *arg, enum stats_name name, const char *key, const struct stats_view *view)
{
	const struct family *f = &families[name];
	struct text labels = { 0 };
	struct gathered *g = arg;

	if (!f->metric || ++g->n[name] > g->settings->metricsTopics)
		return;
	add_labels(g, f->labels, key, &labels);
	if (labels.err == MQ_OK)
		text_printf(&g->lines[name], "%s{%s} %.3f\n", f->metric, labels.buf, view->spans[STATS_MINUTE].per_second);
	text_free(&labels);
}

void
rates_metrics(struct mount *m, struct text *t)
{
	struct gathered g = { .settings = m->settings };

	if (!m->service)
		return;
	stats_each(service_counts(m->service), gather, &g);
	for (int i = 0; i < STATS_NAMES; i++) {
		if (g.lines[i].len > 0) {
			text_printf(t, "# HELP %s %s\n# TYPE %s gauge\n", families[i].metric, families[i].help,
				    families[i].metric);
			text_add(t, g.lines[i].buf, g.lines[i].len);
		}
		text_free(&g.lines[i]);
	}
}
