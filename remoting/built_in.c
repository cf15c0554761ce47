#include "config.h"

#include <stdio.h>
#include <string.h>

#include "offsets/rocketmq.h"
#include "remoting/built_in.h"

#define RW (PERM_READ | PERM_WRITE)
#define SCHEDULE_QUEUES 18
#define BENCHMARK_QUEUES 1024
#define CLUSTER_QUEUES 16
#define NAMES 9

struct built_in {
	char name[RECORD_TOPIC_MAX + 1];
	int32_t queues, perm;
	bool is_there;
};

/* A name that is too long for a topic is none. */
static void
put(struct built_in *b, const char *name, const char *suffix, int64_t queues, int32_t perm, bool is_there)
{
	int n = snprintf(b->name, sizeof(b->name), "%s%s", name, suffix);

	b->queues = (int32_t)queues;
	b->perm = perm;
	b->is_there = is_there && (size_t)n < sizeof(b->name) && record_topic_valid(b->name, (size_t)n);
}

static void
list_all(const struct settings *s, struct built_in list[static NAMES])
{
	const char *cluster = s->brokerClusterName, *broker = s->brokerName;

	put(list++, "SELF_TEST_TOPIC", "", 1, RW, true);
	put(list++, "TBW102", "", s->defaultTopicQueueNums, RW | PERM_INHERIT, s->autoCreateTopicEnable);
	put(list++, "BenchmarkTest", "", BENCHMARK_QUEUES, RW, true);
	put(list++, cluster, "", CLUSTER_QUEUES, PERM_INHERIT | (s->clusterTopicEnable ? RW : 0), true);
	put(list++, broker, "", 1, PERM_INHERIT | (s->brokerTopicEnable ? RW : 0), strcmp(broker, cluster) != 0);
	put(list++, "OFFSET_MOVED_EVENT", "", 1, RW, true);
	put(list++, "SCHEDULE_TOPIC_XXXX", "", SCHEDULE_QUEUES, RW, true);
	put(list++, "RMQ_SYS_TRACE_TOPIC", "", 1, RW, s->traceTopicEnable);
	put(list++, cluster, "_REPLY_TOPIC", 1, RW, true);
}

static void
conf_of(const struct built_in *b, struct topic_conf *ret)
{
	topic_conf_default(ret, b->name, b->queues);
	ret->perm = b->perm;
}

bool
built_in_find(const struct settings *s, const char *name, struct topic_conf *ret)
{
	struct built_in list[NAMES];

	list_all(s, list);
	for (size_t i = 0; i < NAMES; i++)
		if (list[i].is_there && strcmp(list[i].name, name) == 0) {
			conf_of(&list[i], ret);
			return true;
		}
	return false;
}

json_t *
built_in_table(const struct settings *s)
{
	struct built_in list[NAMES];
	struct topic_conf conf;
	json_t *table = json_object();

	list_all(s, list);
	for (size_t i = 0; i < NAMES && table; i++) {
		if (!list[i].is_there)
			continue;
		conf_of(&list[i], &conf);
		if (json_object_set_new(table, conf.name, rocketmq_topic_json(&conf)) != 0) {
			json_decref(table);
			table = NULL;
		}
	}
	return table;
}
