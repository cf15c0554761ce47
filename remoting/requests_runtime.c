/* GET_BROKER_RUNTIME_INFO: what the broker is doing, under RocketMQ's names, all of it texts. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "net/remoting.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

/* "512 B", "1.5 GiB"; buf of 32 bytes. */
static const char *
readable(int64_t bytes, char *buf)
{
	double n = (double)bytes;
	const char *unit = "BKMGTPE";

	for (; n >= 1024 && unit[1]; unit++)
		n /= 1024;
	if (*unit == 'B')
		snprintf(buf, 32, "%" PRId64 " B", bytes);
	else
		snprintf(buf, 32, "%.1f %ciB", n, *unit);
	return buf;
}

/* --- time and messages --------------------------------------------------------------------------- */

static void
say_times(struct service *s, json_t *table)
{
	int64_t up_s = (clock_wall_ms() - s->started_ms) / 1000;

	ext_print(table, "bootTimestamp", "%" PRId64, s->started_ms);
	ext_print(table, "runtime", "[ %" PRId64 " days, %" PRId64 " hours, %" PRId64 " minutes, %" PRId64 " seconds ]",
		  up_s / 86400, up_s / 3600 % 24, up_s / 60 % 60, up_s % 60);
	ext_print(table, "brokerVersionDesc", "V4_9_8");
	ext_print(table, "brokerVersion", "%d", REMOTING_VERSION);
}

static void
say_tps(json_t *table, const char *key, const struct stats_broker *b, size_t member)
{
	double rate[3];

	for (int i = 0; i < 3; i++)
		memcpy(&rate[i], (const char *)&b->tps[i] + member, sizeof(rate[i]));
	ext_print(table, key, "%.4f %.4f %.4f", rate[0], rate[1], rate[2]);
}

#define SAY_TPS(table, key, b, member) say_tps(table, key, b, offsetof(struct stats_tps, member))

/* The time, in ms, that so great a part of messages did not take longer than. */
static double
took_percentile(const struct stats_broker *b, double part)
{
	int64_t all = 0, passed = 0;
	double wanted;

	for (int i = 0; i < STATS_TOOK; i++)
		all += b->took[i];
	wanted = (double)all * part;
	for (int i = 0; i < STATS_TOOK; i++) {
		if (b->took[i] > 0 && wanted <= (double)(passed + b->took[i])) {
			double low = i > 0 ? (double)stats_took_ms[i - 1] : 0;
			double high = i < STATS_TOOK - 1 ? (double)stats_took_ms[i] : low;

			return low + (high - low) * (wanted - (double)passed) / (double)b->took[i];
		}
		passed += b->took[i];
	}
	return 0;
}

static void
say_took(json_t *table, const struct stats_broker *b)
{
	static const char *const names[STATS_TOOK] = {
		"[<=0ms]", "[0~10ms]", "[10~50ms]", "[50~100ms]", "[100~200ms]", "[200~500ms]", "[500ms~1s]",
		"[1~2s]", "[2~3s]", "[3~4s]", "[4~5s]", "[5~10s]", "[10s~]",
	};
	char text[512] = "";
	size_t len = 0;

	for (int i = 0; i < STATS_TOOK; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s:%" PRId64 " ", names[i], b->took[i]);
	ext_print(table, "putMessageDistributeTime", "%s", text);
	ext_print(table, "putMessageEntireTimeMax", "%" PRId64, b->put_most_ms);
	ext_print(table, "getMessageEntireTimeMax", "%" PRId64, b->got_most_ms);
	ext_print(table, "putLatency99", "%.2f", took_percentile(b, 0.99));
	ext_print(table, "putLatency999", "%.2f", took_percentile(b, 0.999));
}

static void
say_messages(struct service *s, json_t *table)
{
	struct stats_broker b;

	stats_broker(s->remoting.stats, &b);
	ext_print(table, "putMessageTimesTotal", "%" PRId64, b.put_n);
	ext_print(table, "putMessageSizeTotal", "%" PRId64, b.put_bytes);
	ext_print(table, "putMessageFailedTimes", "%" PRId64, b.put_failed);
	ext_print(table, "putMessageAverageSize", "%.1f", b.put_n > 0 ? (double)b.put_bytes / (double)b.put_n : 0.0);
	SAY_TPS(table, "putTps", &b, put);
	SAY_TPS(table, "getFoundTps", &b, found);
	SAY_TPS(table, "getMissTps", &b, missed);
	SAY_TPS(table, "getTransferedTps", &b, transferred);
	ext_print(table, "getTotalTps", "%.4f %.4f %.4f", b.tps[0].found + b.tps[0].missed, b.tps[1].found + b.tps[1].missed,
		  b.tps[2].found + b.tps[2].missed);
	ext_print(table, "msgPutTotalTodayNow", "%" PRId64, b.put_n);
	ext_print(table, "msgPutTotalTodayMorning", "%" PRId64, b.put_today);
	ext_print(table, "msgPutTotalYesterdayMorning", "%" PRId64, b.put_yesterday);
	ext_print(table, "msgGetTotalTodayNow", "%" PRId64, b.got_n);
	ext_print(table, "msgGetTotalTodayMorning", "%" PRId64, b.got_today);
	ext_print(table, "msgGetTotalYesterdayMorning", "%" PRId64, b.got_yesterday);
	say_took(table, &b);
}

/* --- the log --------------------------------------------------------------------------------------- */

/* When the log's first record was stored; -1: there is none. */
static int64_t
earliest_ms(struct store *store, int64_t begin)
{
	AUTO_FREE unsigned char *buf = NULL;
	struct record rec;
	size_t size = 0;

	return store_read(store, MQ_POS(begin), &buf, &size, &rec) == MQ_OK ? rec.store_ms : -1;
}

static void
say_disk(struct service *s, json_t *table, int64_t percent)
{
	char proc[64], key[PATH_MAX + 64] = "commitLogDiskRatio_", total[32], free_[32];
	size_t len = strlen(key);
	int fd = store_commitlog_fd(s->broker.store);
	struct statvfs vfs;
	ssize_t n;

	ext_print(table, "commitLogDiskRatio", "%.2f", (double)percent / 100);
	ext_print(table, "consumeQueueDiskRatio", "%.2f", (double)percent / 100);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, key + len, sizeof(key) - len - 1);
	if (n > 0) {
		key[len + (size_t)n] = '\0';
		ext_print(table, key, "%.2f", (double)percent / 100);
	}
	if (fstatvfs(fd, &vfs) == 0)
		ext_print(table, "commitLogDirCapacity", "Total : %s, Free : %s.",
			  readable((int64_t)(vfs.f_blocks * vfs.f_frsize), total),
			  readable((int64_t)(vfs.f_bavail * vfs.f_frsize), free_));
}

static void
say_log(struct service *s, json_t *table)
{
	struct store_stats st;
	char text[32];

	store_stats(s->broker.store, &st);
	ext_print(table, "commitLogMinOffset", "%" PRId64, st.begin);
	ext_print(table, "commitLogMaxOffset", "%" PRId64, st.written);
	ext_print(table, "dispatchBehindBytes", "%" PRId64, st.written - st.dispatched);
	ext_print(table, "remainHowManyDataToFlush", "%s", readable(st.written - st.flushed, text));
	ext_print(table, "earliestMessageTimeStamp", "%" PRId64, earliest_ms(s->broker.store, st.begin));
	say_disk(s, table, st.disk_used_percent);
}

/* Of each level in use: how far delivery has come, and where its queue ends. */
static void
say_delays(struct service *s, json_t *table)
{
	struct delays_state at;
	char key[64];

	delays_state(s->broker.store, &at);
	for (int level = 1; level <= record_levels(); level++) {
		struct queue *q = store_queue(s->broker.store, SCHEDULE_TOPIC, level - 1);

		snprintf(key, sizeof(key), "scheduleMessageOffset_%d", level);
		if (q)
			ext_print(table, key, "%" PRId64 ",%" PRId64, at.level[level - 1].n, queue_end(q).n);
	}
}

/* --- queues, pools and locks that mqfs does not have -------------------------------------------------- */

static void
say_idle(json_t *table)
{
	static const char *const zeros[] = {
		"sendThreadPoolQueueSize", "pullThreadPoolQueueSize", "queryThreadPoolQueueSize",
		"EndTransactionQueueSize", "sendThreadPoolQueueHeadWaitTimeMills",
		"pullThreadPoolQueueHeadWaitTimeMills", "queryThreadPoolQueueHeadWaitTimeMills",
		"pageCacheLockTimeMills", "dispatchMaxBuffer",
	};

	for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
		ext_print(table, zeros[i], "0");
	ext_print(table, "sendThreadPoolQueueCapacity", "10000");
	ext_print(table, "pullThreadPoolQueueCapacity", "100000");
	ext_print(table, "queryThreadPoolQueueCapacity", "20000");
	ext_print(table, "EndTransactionThreadPoolQueueCapacity", "100000");
	ext_print(table, "remainTransientStoreBufferNumbs", "%d", INT32_MAX);
}

int
serve_runtime_info(struct service *s, const struct request *req, struct answer *ret)
{
	json_t *table = json_object();

	(void)req;
	if (!table)
		return -ENOMEM;
	say_times(s, table);
	say_messages(s, table);
	say_log(s, table);
	say_delays(s, table);
	say_idle(table);
	ext_print(table, "startAcceptSendRequestTimeStamp", "%" PRId64, (int64_t)s->settings->startAcceptSendRequestTimeStamp);
	return answer_json(ret, json_pack("{s:o}", "table", table));
}
