/* Any bytes as a record, and a record's properties. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "store/body.h"
#include "tests/fuzz/target.h"

static void
check_inside(const void *p, size_t len, const void *buf, size_t size)
{
	MUST(len <= size);
	MUST((const char *)p >= (const char *)buf);
	MUST((const char *)p + len <= (const char *)buf + size);
}

static void
check_properties(const char *props, size_t len)
{
	const char *name, *value;
	size_t name_len, value_len, cursor = 0, first_len;

	while (record_property_next(props, len, &cursor, &name, &name_len, &value, &value_len)) {
		MUST(name_len > 0 && value_len > 0 && cursor <= len);
		MUST(!memchr(name, 1, name_len) && !memchr(name, 2, name_len));
		MUST(!memchr(value, 2, value_len));
		check_inside(name, name_len, props, len);
		check_inside(value, value_len, props, len);
		record_tags_code(value, value_len);
	}
	if (len > 0)
		record_property(props, len, "TAGS", &first_len);
}

/* A V1 record is what encoding its fields gives. */
static void
check_encodes_back(const struct record *rec, const void *buf)
{
	static unsigned char again[1 << 16];
	struct message m = {
		.body = rec->body, .body_len = (size_t)rec->body_len,
		.topic = rec->topic, .topic_len = (size_t)rec->topic_len,
		.props = rec->props, .props_len = (size_t)rec->props_len,
		.queue_id = rec->queue_id, .flag = rec->flag, .sysflag = rec->sysflag,
		.reconsume_times = rec->reconsume_times, .prepared = rec->prepared,
		.born_ms = rec->born_ms, .born = rec->born, .stored = rec->stored,
	};

	MUST(record_size(&m) == (size_t)rec->total);
	if (sizeof(again) < (size_t)rec->total)
		return;
	record_encode(&m, again);
	/* the three fields of the log's lock lie before and behind BORNHOST */
	MUST(memcmp(again, buf, RECORD_QUEUEOFFSET_AT) == 0);
	MUST(memcmp(again + 36, (const char *)buf + 36, 12) == 0);
}

/* Whatever is packed in it. */
static void
check_unpacks(const struct record *rec)
{
	struct record sent = *rec;
	unsigned char *buf = NULL;
	size_t size = 0;
	int32_t len;

	MUST(body_unpack(&sent, &buf, &size) == MQ_OK && body_length(rec, &len) == MQ_OK);
	MUST(sent.body_len == len && len <= body_max(rec->total));
	if (sent.body != rec->body)
		check_inside(sent.body, (size_t)len, buf, size);
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record rec = { .total = -1 }, same;
	mq_pos pos;
	char id[57];
	int rc = record_decode(data, size, &rec);

	MUST(rc == MQ_OK || rc == MQ_EEND || rc == MQ_EBLANK || rc == MQ_ECORRUPT);
	check_properties((const char *)data, size);
	if (rc == MQ_EEND)
		MUST(size < 8 || (size_t)rec.total > size);
	if (rc == MQ_EBLANK)
		MUST(rec.total >= RECORD_BLANK_BYTES);
	if (rc != MQ_OK)
		return 0;
	MUST(rec.total >= RECORD_MIN_BYTES && (size_t)rec.total <= size);
	check_inside(rec.body, (size_t)rec.body_len, data, size);
	check_inside(rec.topic, (size_t)rec.topic_len, data, size);
	check_inside(rec.props, (size_t)rec.props_len, data, size);
	check_properties(rec.props, (size_t)rec.props_len);
	check_unpacks(&rec);
	record_msg_id(&rec.stored, rec.pos, id);
	if (rec.pos.byte >= 0)
		MUST(record_parse_msg_id(id, &pos) == MQ_OK && pos.byte == rec.pos.byte);
	if (record_verify(data, size, rec.pos, &same) == MQ_OK && rec.magic == RECORD_MAGIC)
		check_encodes_back(&rec, data);
	return 0;
}
