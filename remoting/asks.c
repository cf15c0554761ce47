#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/number.h"
#include "net/request.h"
#include "offsets/meta.h"
#include "remoting/asks.h"
#include "remoting/codes.h"
#include "store/record.h"

#define PULL_COMMITS 1
#define PULL_SUSPENDS 2
#define PULL_HAS_SUBSCRIPTION 4

/* --- fields ----------------------------------------------------------------------------------------- */

/* The fields of a frame, and the first of them that is missing or wrong. */
struct reading {
	const struct remoting_frame *f;
	bool brief;			/* names of one letter */
	const char *wrong;
};

static const char *
text_field(struct reading *r, const char *name, const char *letter, bool needed)
{
	const char *known_as = r->brief && letter ? letter : name;
	const char *text = r->f->fields ? fields_get(r->f->fields, known_as) : ext_get(r->f->ext, known_as);

	if (!text && needed && !r->wrong)
		r->wrong = name;
	return text;
}

/* `if_absent` for an absent field; INT64_MIN: the field must not be absent. */
static int64_t
number_field(struct reading *r, const char *name, const char *letter, int64_t min, int64_t max, int64_t if_absent)
{
	const char *text = text_field(r, name, letter, if_absent == INT64_MIN);
	int64_t n = if_absent;

	if (text && !text_number(text, min, max, &n) && !r->wrong)
		r->wrong = name;
	return n;
}

static int32_t
int_field(struct reading *r, const char *name, const char *letter)
{
	return (int32_t)number_field(r, name, letter, INT32_MIN, INT32_MAX, INT64_MIN);
}

static int32_t
int_field_or(struct reading *r, const char *name, const char *letter, int32_t if_absent)
{
	return (int32_t)number_field(r, name, letter, INT32_MIN, INT32_MAX, if_absent);
}

static int64_t
long_field(struct reading *r, const char *name, const char *letter)
{
	return number_field(r, name, letter, INT64_MIN, INT64_MAX, INT64_MIN);
}

static bool
is_good(const struct reading *r, struct refusal *why)
{
	return !r->wrong || refuse(why, ANSWER_SYSTEM_ERROR, "the custom field <%s> is missing or wrong", r->wrong);
}

static bool
put_name(const char *what, const char *name, uint32_t *ret_len, struct refusal *why)
{
	size_t len = strlen(name);

	*ret_len = (uint32_t)len;
	if (len == 0)
		return refuse(why, ANSWER_SYSTEM_ERROR, "The specified %s is blank.", what);
	if (len > RECORD_TOPIC_MAX)
		return refuse(why, ANSWER_SYSTEM_ERROR, "The specified %s is longer than %s max length %d.", what, what,
			      RECORD_TOPIC_MAX);
	if (!record_topic_valid(name, len))
		return refuse(why, ANSWER_SYSTEM_ERROR,
			      "The specified %s[%.40s] contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$",
			      what, name);
	return true;
}

/* An invalid name counts as an absent one. */
static void
put_name_if_valid(const char **name, uint32_t *ret_len)
{
	size_t len = *name ? strlen(*name) : 0;

	if (!record_topic_valid(*name, len))
		*name = "", len = 0;
	*ret_len = (uint32_t)len;
}

/* --- a batch ------------------------------------------------------------------------------------------- */

struct cut_item {
	int32_t flag;
	const void *body, *props;
	int32_t body_len;
	int16_t props_len;
};

/* The next item of RocketMQ's batch.  False, and b->err is set: it is invalid. */
static bool
cut(struct bytes *b, struct cut_item *ret)
{
	struct bytes before = *b;
	int32_t total = bytes_get_i32(b);

	(void)bytes_get_i32(b);		/* magic and CRC: not set */
	(void)bytes_get_i32(b);
	ret->flag = bytes_get_i32(b);
	ret->body_len = bytes_get_i32(b);
	ret->body = bytes_take(b, ret->body_len < 0 ? SIZE_MAX : (size_t)ret->body_len);
	ret->props_len = bytes_get_i16(b);
	ret->props = bytes_take(b, ret->props_len < 0 ? SIZE_MAX : (size_t)ret->props_len);
	if (b->err == MQ_OK && before.left - b->left != (size_t)total)
		b->err = MQ_ECORRUPT;
	return b->err == MQ_OK;
}

static bool
count_items(const struct remoting_frame *f, struct ask *a, struct refusal *why)
{
	struct bytes b = bytes_over(f->body, f->body_len);
	struct cut_item item;
	size_t bytes = 0;
	uint32_t n = 0;

	for (; b.left > 0; n++) {
		if (!cut(&b, &item))
			return refuse(why, ANSWER_MESSAGE_ILLEGAL, "the body is no batch of messages");
		bytes += sizeof(struct ring_item) + (size_t)item.body_len + (size_t)item.props_len;
	}
	if (n == 0 || bytes > RING_BODY_MAX)
		return refuse(why, ANSWER_MESSAGE_ILLEGAL, "a batch of %u messages", n);
	a->s.kind = RING_BATCH;
	a->s.items = n;
	a->s.body_len = (uint32_t)bytes;
	return true;
}

void
ask_put_items(const struct ask *a, unsigned char *at)
{
	struct bytes b = bytes_over(a->body, a->body_len);
	struct cut_item item;

	while (b.left > 0 && cut(&b, &item)) {
		struct ring_item head = {
			.props_len = (uint32_t)item.props_len,
			.body_len = (uint32_t)item.body_len,
			.flag = item.flag,
		};

		memcpy(at, &head, sizeof(head));
		memcpy(at + sizeof(head), item.props, head.props_len);
		memcpy(at + sizeof(head) + head.props_len, item.body, head.body_len);
		at += sizeof(head) + head.props_len + head.body_len;
	}
}

/* --- requests -------------------------------------------------------------------------------------------- */

static bool
decode_send(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why)
{
	const bool replies = f->code == REMOTING_SEND_REPLY_MESSAGE || f->code == REMOTING_SEND_REPLY_MESSAGE_V2;
	struct reading in = {
		.f = f,
		.brief = f->code != REMOTING_SEND_MESSAGE && f->code != REMOTING_SEND_REPLY_MESSAGE,
	};
	struct ask a = { .body = f->body, .body_len = f->body_len };
	const char *batch = text_field(&in, "batch", "m", false);
	size_t text_len;

	a.group = text_field(&in, "producerGroup", "a", true);
	a.topic = text_field(&in, "topic", "b", true);
	a.template = text_field(&in, "defaultTopic", "c", true);
	a.text = text_field(&in, "properties", "i", false);
	a.s = (struct ring_submission){
		.kind = RING_SEND,
		.template_queues = int_field(&in, "defaultTopicQueueNums", "d"),
		.queue_id = int_field(&in, "queueId", "e"),
		.sysflag = int_field(&in, "sysFlag", "f"),
		.born_ms = long_field(&in, "bornTimestamp", "g"),
		.flag = int_field(&in, "flag", "h"),
		.reconsume_times = int_field_or(&in, "reconsumeTimes", "j", 0),
		.max_reconsume_times = f->version < REMOTING_V3_4_9 ? -1 :
				       int_field_or(&in, "maxReconsumeTimes", "l", -1),
		.body_len = (uint32_t)f->body_len,
	};
	if (!is_good(&in, ret_why) || !put_name("topic", a.topic, &a.s.topic_len, ret_why))
		return false;
	put_name_if_valid(&a.template, &a.s.template_len);
	put_name_if_valid(&a.group, &a.s.group_len);
	text_len = a.text ? strlen(a.text) : 0;
	if (text_len > RECORD_PROPS_MAX)
		return refuse(ret_why, ANSWER_MESSAGE_ILLEGAL, "the properties are longer than %d bytes", RECORD_PROPS_MAX);
	a.s.text_len = (uint32_t)text_len;
	if (f->code == REMOTING_SEND_BATCH_MESSAGE || (!replies && batch && strcmp(batch, "true") == 0)) {
		if (text_begins(a.topic, RETRY_PREFIX))
			return refuse(ret_why, ANSWER_MESSAGE_ILLEGAL, "batch request does not support retry group");
		if (!count_items(f, &a, ret_why))
			return false;
	}
	*ret = a;
	return true;
}

bool
ask_is_sql(const char *type)
{
	return *type && strcmp(type, "TAG") != 0;
}

static bool
decode_pull(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why)
{
	struct reading in = { .f = f };
	struct ask a = { .group = text_field(&in, "consumerGroup", NULL, true) };
	int32_t flags = int_field(&in, "sysFlag", NULL);
	const char *type = text_field(&in, "expressionType", NULL, false);

	a.topic = text_field(&in, "topic", NULL, true);
	a.text = text_field(&in, "subscription", NULL, false);
	a.s = (struct ring_submission){
		.kind = RING_PULL,
		.queue_id = int_field(&in, "queueId", NULL),
		.offset = long_field(&in, "queueOffset", NULL),
		.max_messages = int_field(&in, "maxMsgNums", NULL),
		.commit_offset = long_field(&in, "commitOffset", NULL),
		.flags = flags & PULL_COMMITS ? RING_FLAG_COMMIT : 0,
	};
	a.suspend_ms = long_field(&in, "suspendTimeoutMillis", NULL);
	a.sub_version = number_field(&in, "subVersion", NULL, INT64_MIN, INT64_MAX, 0);
	a.suspends = flags & PULL_SUSPENDS;
	a.subscribed = !(flags & PULL_HAS_SUBSCRIPTION);
	if (!is_good(&in, ret_why) || !put_name("topic", a.topic, &a.s.topic_len, ret_why) ||
	    !put_name("group", a.group, &a.s.group_len, ret_why))
		return false;
	if (a.s.queue_id < 0)
		return refuse(ret_why, ANSWER_SYSTEM_ERROR, "queueId[%d] is illegal", (int)a.s.queue_id);
	if (type && ask_is_sql(type))
		a.s.flags |= RING_FLAG_SQL;
	if (a.text && strlen(a.text) > RECORD_PROPS_MAX)
		return refuse(ret_why, ANSWER_SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed");
	if (!a.text || strcmp(a.text, "null") == 0)
		a.text = "";
	a.s.text_len = (uint32_t)strlen(a.text);
	*ret = a;
	return true;
}

static bool
decode_end(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why)
{
	struct reading in = { .f = f };
	struct ask a = { .topic = "", .template = "", .group = "", .text = text_field(&in, "producerGroup", NULL, true) };

	a.s = (struct ring_submission){
		.kind = RING_END,
		.offset = long_field(&in, "tranStateTableOffset", NULL),
		.commit_offset = long_field(&in, "commitLogOffset", NULL),
		.sysflag = int_field(&in, "commitOrRollback", NULL),
	};
	if (!is_good(&in, ret_why))
		return false;
	if (strlen(a.text) > RECORD_PROPS_MAX)
		return refuse(ret_why, ANSWER_SYSTEM_ERROR, "The producer group wrong");
	a.s.text_len = (uint32_t)strlen(a.text);
	*ret = a;
	return true;
}

bool
ask_decode(const struct remoting_frame *f, struct ask *ret, struct refusal *ret_why)
{
	switch (f->code) {
	case REMOTING_PULL_MESSAGE:
		return decode_pull(f, ret, ret_why);
	case REMOTING_END_TRANSACTION:
		return decode_end(f, ret, ret_why);
	default:
		return decode_send(f, ret, ret_why);
	}
}
