/* Requests that change what the log says: they are answered when disk and slaves have the change, as the
 * settings say.
 *
 *      SYNC_FLUSH    the log is flushed first
 *      SYNC_MASTER   slaves that are in sync acknowledge it first.  Without them a message that is sent
 *                    back is refused: its consumer takes it for handled otherwise.  A topic or a group
 *                    can be made all the same, as on RocketMQ's brokers
 *
 * A refusal names the state of the message as RocketMQ does (SLAVE_NOT_AVAILABLE …).  What was refused
 * here is in the log.
 */
#include "config.h"

#include <stdbool.h>

#include "conf/clock.h"
#include "remoting/codes.h"
#include "remoting/service_priv.h"

#define LOOK_MS 100

static bool
changes_the_log(int code)
{
	switch (code) {
	case REMOTING_CONSUMER_SEND_MSG_BACK:
	case REMOTING_UPDATE_AND_CREATE_TOPIC:
	case REMOTING_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP:
	case REMOTING_DELETE_SUBSCRIPTIONGROUP:
	case REMOTING_DELETE_TOPIC_IN_BROKER:
	case REMOTING_INVOKE_BROKER_TO_RESET_OFFSET:
	case REMOTING_CLONE_GROUP_OFFSET:
	case REMOTING_RESUME_CHECK_HALF_MESSAGE:
		return true;
	default:
		return false;
	}
}

static bool
in_sync(const struct service *s)
{
	return s->remoting.in_sync && s->remoting.in_sync(s->remoting.arg);
}

void
change_answer(struct service *s, const struct request *req, mq_pos before, struct answer *a)
{
	const struct settings *c = s->settings;
	mq_pos end = mark_at(store_written(s->broker.store));
	bool slaves = c->brokerRole == SYNC_MASTER;

	if (a->code != ANSWER_SUCCESS || req->only_judge || end.byte <= before.byte || !changes_the_log(req->code))
		return;
	if (slaves && !in_sync(s)) {
		slaves = false;
		if (req->code == REMOTING_CONSUMER_SEND_MSG_BACK && c->onSlaveUnavailable == ON_SLAVE_UNAVAILABLE_FAIL)
			answer_refuse(a, ANSWER_SYSTEM_ERROR, "SLAVE_NOT_AVAILABLE");
	}
	if (!slaves && c->flushDiskType != SYNC_FLUSH)
		return;
	a->after = end.byte;
	a->by_ms = slaves ? clock_mono_ms() + c->slaveTimeout : 0;
}

/* Have slaves acknowledged it?  A broker that has become a slave hears no acks of its own log. */
static bool
slaves_have_it(struct service *s, struct answer *a)
{
	struct mark *m = s->remoting.replicated ? s->remoting.replicated(s->remoting.arg) : NULL;

	if (a->by_ms == 0 || s->settings->brokerRole == ASYNC_MASTER || !m)
		return true;
	if (s->settings->brokerRole == SYNC_MASTER &&
	    mark_wait_past(m, MQ_POS(a->after - 1), LOOK_MS, NULL) == MQ_OK)
		return true;
	if (s->settings->brokerRole == SYNC_MASTER && clock_mono_ms() < a->by_ms)
		return false;
	answer_refuse(a, ANSWER_SYSTEM_ERROR, "FLUSH_SLAVE_TIMEOUT");
	return true;
}

bool
change_is_settled(void *arg, struct answer *a)
{
	struct service *s = arg;

	if (s->settings->flushDiskType == SYNC_FLUSH && store_flush(s->broker.store, MQ_POS(a->after)) != MQ_OK)
		answer_refuse(a, ANSWER_SYSTEM_ERROR, "FLUSH_DISK_TIMEOUT");
	return a->code != ANSWER_SUCCESS || slaves_have_it(s, a);
}
