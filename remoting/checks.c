#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/transactions.h"
#include "remoting/checks.h"
#include "remoting/codes.h"
#include "remoting/service_priv.h"

#define CALL_MS 3000
#define INTERVAL_MIN_MS 10
#define LOOK_MS 1000			/* to notice a change of the interval */

/* The state of the check thread. */
struct checks {
	struct service *s;
	int64_t asked, unasked;		/* in this round: producers, and halves without one */
	bool nobody;			/* was said in the log */
	int failed;			/* what the last round failed with, and what was said in the log */
};

/* The half as a record, with the topic and queue of the message: malloc'ed. */
static unsigned char *
body_make(const struct transaction_asked *a, size_t *ret_len)
{
	const struct record *rec = &a->rec;
	const struct message m = {
		.body = rec->body, .body_len = (size_t)rec->body_len,
		.topic = a->topic, .topic_len = strlen(a->topic),
		.props = rec->props, .props_len = (size_t)rec->props_len,
		.queue_id = a->queue_id, .flag = rec->flag, .sysflag = rec->sysflag,
		.reconsume_times = rec->reconsume_times,
		.born_ms = rec->born_ms, .born = rec->born, .stored = rec->stored,
	};
	size_t len = record_size(&m);
	unsigned char *body = malloc(len);

	if (!body)
		return NULL;
	record_encode(&m, body);
	be64_put(body + RECORD_QUEUEOFFSET_AT, a->number);
	be64_put(body + RECORD_PHYSICALOFFSET_AT, a->pos.byte);
	be64_put(body + RECORD_STORETIMESTAMP_AT + (rec->born.v6 ? 12 : 0), rec->store_ms);
	*ret_len = len;
	return body;
}

static json_t *
ext_make(const struct transaction_asked *a)
{
	char id[57], unique[256] = "";
	json_t *ext;
	size_t len;
	const char *text = record_property(a->rec.props, (size_t)a->rec.props_len, "UNIQ_KEY", &len);

	record_msg_id(&a->rec.stored, a->pos, id);
	if (text && len < sizeof(unique))
		memcpy(unique, text, len);
	ext = json_pack("{s:s, s:s, s:s, s:s}", "producerGroup", a->group, "msgId", unique, "transactionId", unique,
			"offsetMsgId", id);
	if (ext_print(ext, "tranStateTableOffset", "%" PRId64, a->number) == MQ_OK &&
	    ext_print(ext, "commitLogOffset", "%" PRId64, a->pos.byte) == MQ_OK)
		return ext;
	json_decref(ext);
	return NULL;
}

static void
ask(void *arg, const struct transaction_asked *a)
{
	struct checks *c = arg;
	struct answer answer = { 0 };
	size_t len = 0;
	AUTO_FREE unsigned char *body = body_make(a, &len);
	json_auto_t *ext = ext_make(a);
	int rc = body && ext ? exchange_call(child_exchange(c->s->child), REMOTING_CHECK_TRANSACTION_STATE, ext, body,
					     len, CALL_MS, &answer)
			     : -ENOMEM;

	if (rc == MQ_OK && answer.code == ANSWER_SUCCESS)
		c->asked++;
	else
		c->unasked++;
	answer_clear(&answer);
}

static bool
stopped(void *arg)
{
	struct checks *c = arg;

	LOCKED(&c->s->lock);
	return c->s->closing;
}

static void
say_what_changed(struct checks *c, int rc)
{
	bool nobody = c->unasked > 0 && c->asked == 0;

	if (rc != c->failed && rc != MQ_OK)
		log_warn("transactions are not checked: %s", err_text(rc));
	if (nobody && !c->nobody)
		log_notice("%" PRId64 " transactions are open, and none of their producers is there to be asked", c->unasked);
	c->failed = rc;
	c->nobody = nobody;
}

/* False: the service is closing. */
static bool
wait_for_round(struct service *s, int64_t since_ms)
{
	LOCKED(&s->lock);
	while (!s->closing) {
		int64_t interval = s->settings->transactionCheckInterval;
		int64_t left = since_ms + (interval < INTERVAL_MIN_MS ? INTERVAL_MIN_MS : interval) - clock_mono_ms();

		if (left <= 0)
			break;
		lock_wait(&s->lock, &s->changed, left < LOOK_MS ? (int)left : LOOK_MS);
	}
	return !s->closing;
}

void *
checks_main(void *service)
{
	struct checks c = { .s = service };
	const struct transaction_checks round = { .ask = ask, .stopped = stopped, .arg = &c };

	while (wait_for_round(c.s, clock_mono_ms())) {
		c.asked = c.unasked = 0;
		int rc = c.s->settings->brokerRole == SLAVE ? MQ_OK : transactions_check(c.s->broker.offsets, &round);

		say_what_changed(&c, rc == MQ_EROLE || rc == -EROFS ? MQ_OK : rc);
	}
	return NULL;
}
