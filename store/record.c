#include "config.h"

#include <libdeflate.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/delay.h"
#include "conf/err.h"
#include "conf/hex.h"
#include "conf/utf8.h"
#include "store/record.h"

#define HOST_V4_BYTES 8
#define HOST_V6_BYTES 20

int32_t
record_crc(const void *body, size_t len)
{
	if (len == 0)
		return 0;
	return (int32_t)(libdeflate_crc32(0, body, len) & 0x7fffffff);
}

/* --- decoding ------------------------------------------------------------- */

static void
host_get(struct bytes *b, bool v6, struct host *host)
{
	size_t len = v6 ? 16 : 4;
	const void *addr = bytes_take(b, len);

	memset(host, 0, sizeof(*host));
	if (addr)
		memcpy(host->addr, addr, len);
	host->v6 = v6;
	host->port = bytes_get_i32(b);
}

static bool
is_message_magic(int32_t magic)
{
	return magic == RECORD_MAGIC || magic == RECORD_MAGIC_V2;
}

/* TOTALSIZE and MAGICCODE: enough to know how much more is needed. */
static int
decode_size(struct bytes *b, size_t len, struct record *rec)
{
	rec->total = bytes_get_i32(b);
	rec->magic = bytes_get_i32(b);
	if (b->err != MQ_OK)
		return MQ_EEND;
	if (rec->magic == RECORD_MAGIC_BLANK)
		return rec->total >= RECORD_BLANK_BYTES ? MQ_EBLANK : MQ_ECORRUPT;
	if (!is_message_magic(rec->magic) || rec->total < RECORD_MIN_BYTES)
		return MQ_ECORRUPT;
	return (size_t)rec->total > len ? MQ_EEND : MQ_OK;
}

int
record_decode(const void *buf, size_t len, struct record *ret_rec)
{
	struct bytes b = bytes_over(buf, len);
	struct record rec = { 0 };
	int rc;

	rc = decode_size(&b, len, &rec);
	if (rc != MQ_OK) {
		ret_rec->total = rc == MQ_ECORRUPT || len < 8 ? 0 : rec.total;
		return rc;
	}
	b = bytes_over((const char *)buf + 8, (size_t)rec.total - 8);
	rec.body_crc = bytes_get_i32(&b);
	rec.queue_id = bytes_get_i32(&b);
	rec.flag = bytes_get_i32(&b);
	rec.qoff = MQ_QOFF(bytes_get_i64(&b));
	rec.pos = MQ_POS(bytes_get_i64(&b));
	rec.sysflag = bytes_get_i32(&b);
	rec.born_ms = bytes_get_i64(&b);
	host_get(&b, rec.sysflag & SYSFLAG_BORNHOST_V6, &rec.born);
	rec.store_ms = bytes_get_i64(&b);
	host_get(&b, rec.sysflag & SYSFLAG_STOREHOST_V6, &rec.stored);
	rec.reconsume_times = bytes_get_i32(&b);
	rec.prepared = MQ_POS(bytes_get_i64(&b));
	rec.body_len = bytes_get_i32(&b);
	rec.body = bytes_take(&b, (size_t)(uint32_t)rec.body_len);
	rec.topic_len = rec.magic == RECORD_MAGIC_V2 ? bytes_get_i16(&b) : bytes_get_i8(&b);
	rec.topic = bytes_take(&b, (size_t)(uint16_t)rec.topic_len);
	rec.props_len = bytes_get_i16(&b);
	rec.props = bytes_take(&b, (size_t)(uint16_t)rec.props_len);
	if (b.err != MQ_OK || b.left != 0)
		return MQ_ECORRUPT;
	if (rec.body_len < 0 || rec.topic_len < 0 || rec.props_len < 0 || rec.queue_id < 0)
		return MQ_ECORRUPT;
	*ret_rec = rec;
	return MQ_OK;
}

int
record_verify(const void *buf, size_t len, mq_pos pos, struct record *ret_rec)
{
	struct record rec;
	int rc;

	rec.total = 0;
	rc = record_decode(buf, len, &rec);
	if (rc != MQ_OK) {
		ret_rec->total = rec.total;
		return rc;
	}
	if (rec.pos.byte != pos.byte)
		return MQ_ECORRUPT;
	if (record_crc(rec.body, (size_t)rec.body_len) != rec.body_crc)
		return MQ_ECORRUPT;
	*ret_rec = rec;
	return MQ_OK;
}

/* --- encoding ------------------------------------------------------------- */

size_t
record_size(const struct message *m)
{
	size_t born = m->born.v6 ? HOST_V6_BYTES : HOST_V4_BYTES;
	size_t stored = m->stored.v6 ? HOST_V6_BYTES : HOST_V4_BYTES;

	return 75 + born + stored + m->body_len + m->body2_len + m->topic_len + m->props_len;
}

static unsigned char *
host_put(unsigned char *at, const struct host *host)
{
	if (host->v6) {
		memcpy(at, host->addr, 16);
		at += 12;
	} else {
		memcpy(at, host->addr, 4);
	}
	be32_put(at + 4, host->port);
	return at + HOST_V4_BYTES;
}

static unsigned char *
copy_put(unsigned char *at, const void *from, size_t len)
{
	if (len > 0)
		memcpy(at, from, len);
	return at + len;
}

void
record_encode(const struct message *m, void *buf)
{
	unsigned char *p = buf;
	unsigned char *body;
	size_t body_len = m->body_len + m->body2_len;
	int32_t hosts = (m->born.v6 ? SYSFLAG_BORNHOST_V6 : 0) | (m->stored.v6 ? SYSFLAG_STOREHOST_V6 : 0);

	be32_put(p, (int32_t)record_size(m));
	be32_put(p + 4, RECORD_MAGIC);
	be32_put(p + 12, m->queue_id);
	be32_put(p + 16, m->flag);
	be64_put(p + RECORD_QUEUEOFFSET_AT, 0);
	be64_put(p + RECORD_PHYSICALOFFSET_AT, 0);
	be32_put(p + 36, (m->sysflag & ~(SYSFLAG_BORNHOST_V6 | SYSFLAG_STOREHOST_V6)) | hosts);
	be64_put(p + 40, m->born_ms);
	p = host_put(p + 48, &m->born);
	be64_put(p, 0);			/* STORETIMESTAMP */
	p = host_put(p + 8, &m->stored);
	be32_put(p, m->reconsume_times);
	be64_put(p + 4, m->prepared.byte);
	be32_put(p + 12, (int32_t)body_len);
	body = p + 16;
	p = copy_put(body, m->body, m->body_len);
	p = copy_put(p, m->body2, m->body2_len);
	be32_put((unsigned char *)buf + 8, record_crc(body, body_len));
	*p = (unsigned char)m->topic_len;
	p = copy_put(p + 1, m->topic, m->topic_len);
	be16_put(p, (int16_t)m->props_len);
	copy_put(p + 2, m->props, m->props_len);
}

bool
record_is_of(const struct record *rec, const char *topic)
{
	return bytes_are(rec->topic, (size_t)rec->topic_len, topic);
}

bool
record_is_in(const struct record *rec, const char *topic, int32_t queue_id)
{
	return rec->queue_id == queue_id && record_is_of(rec, topic);
}

bool
record_is_continued(const struct record *rec)
{
	return (rec->sysflag & SYSFLAG_CONTINUED) && (record_is_of(rec, META_TOPIC) || record_is_of(rec, TRANS_OP_TOPIC));
}

/* --- properties ------------------------------------------------------------ */

bool
record_property_next(const char *props, size_t props_len, size_t *cursor, const char **ret_name,
		     size_t *ret_name_len, const char **ret_value, size_t *ret_value_len)
{
	while (*cursor < props_len) {
		const char *entry = props + *cursor;
		size_t left = props_len - *cursor;
		const char *end = memchr(entry, 0x02, left);
		size_t len = end ? (size_t)(end - entry) : left;
		const char *sep = memchr(entry, 0x01, len);

		*cursor += end ? len + 1 : len;
		if (len < 3 || !sep || sep == entry || sep + 1 == entry + len)
			continue;
		*ret_name = entry;
		*ret_name_len = (size_t)(sep - entry);
		*ret_value = sep + 1;
		*ret_value_len = len - *ret_name_len - 1;
		return true;
	}
	return false;
}

const char *
record_property(const char *props, size_t props_len, const char *name, size_t *ret_len)
{
	const char *key, *value;
	size_t key_len, value_len, cursor = 0;

	while (record_property_next(props, props_len, &cursor, &key, &key_len, &value, &value_len)) {
		if (!bytes_are(key, key_len, name))
			continue;
		*ret_len = value_len;
		return value;
	}
	return NULL;
}

bool
record_topic_valid(const char *topic, size_t len)
{
	if (len == 0 || len > RECORD_TOPIC_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = topic[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		      c == '-' || c == '%' || c == '|'))
			return false;
	}
	return true;
}

/* Until record_delays_are() says otherwise: messageDelayLevel's default. */
static struct {
	int n;
	int64_t ms[DELAY_LEVELS_MAX];
} delays = {
	18, { 1000, 5000, 10000, 30000, 60000, 120000, 180000, 240000, 300000, 360000, 420000, 480000,
	      540000, 600000, 1200000, 1800000, 3600000, 7200000 },
};

void
record_delays_are(const char *levels)
{
	int64_t ms[DELAY_LEVELS_MAX];
	int n = delay_levels_parse(levels, ms);

	MUST(n > 0);
	if (n == delays.n && memcmp(ms, delays.ms, (size_t)n * sizeof(*ms)) == 0)
		return;	/* another broker of this process may be reading them */
	delays.n = n;
	memcpy(delays.ms, ms, sizeof(ms));
}

int
record_levels(void)
{
	return delays.n;
}

int64_t
record_level_ms(int level)
{
	return delays.ms[level - 1];
}

int64_t
record_property_number(const char *props, size_t props_len, const char *name)
{
	int64_t n = 0;
	size_t len;
	const char *text = record_property(props, props_len, name, &len);

	for (size_t i = 0; text && i < len && i < 18 && text[i] >= '0' && text[i] <= '9'; i++)
		n = 10 * n + (text[i] - '0');
	return n;
}

int
record_level(const char *props, size_t props_len)
{
	int64_t level = record_property_number(props, props_len, "DELAY");

	return level < delays.n ? (int)level : delays.n;
}

int64_t
record_code(const char *topic, size_t topic_len, const char *props, size_t props_len, enum record_due *ret_due)
{
	int level = bytes_are(topic, topic_len, SCHEDULE_TOPIC) ? record_level(props, props_len) : 0;
	int64_t ms = bytes_are(topic, topic_len, TIMED_TOPIC) ? record_property_number(props, props_len, PROP_TIMER) : 0;
	const char *tags;
	size_t len;

	*ret_due = level > 0 ? DUE_AFTER : ms > 0 ? DUE_AT : DUE_NOW;
	if (*ret_due != DUE_NOW)
		return level > 0 ? record_level_ms(level) : ms;
	tags = record_property(props, props_len, "TAGS", &len);
	return tags ? record_tags_code(tags, len) : 0;
}

/* --- hashes and ids --------------------------------------------------------- */

int32_t
java_hash(const char *utf8, size_t len, int32_t h)
{
	uint32_t hash = (uint32_t)h;
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		uint32_t c = (unsigned char)utf8[i];

		step = c < 0x80 ? 1 : utf8_next(utf8 + i, len - i, &c);
		if (step == 0) {		/* as Java's decoder has it */
			c = 0xfffd;
			step = 1;
		}
		if (c >= 0x10000) {
			hash = 31 * hash + (0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		hash = 31 * hash + c;
	}
	return (int32_t)hash;
}

int64_t
record_tags_code(const char *tag, size_t len)
{
	return len ? java_hash(tag, len, 0) : 0;
}

void
record_msg_id(const struct host *stored, mq_pos pos, char *buf)
{
	unsigned char raw[28];
	size_t addr_len = stored->v6 ? 16 : 4;

	memcpy(raw, stored->addr, addr_len);
	be32_put(raw + addr_len, stored->port);
	be64_put(raw + addr_len + 4, pos.byte);
	for (size_t i = 0; i < addr_len + 12; i++) {
		*buf++ = "0123456789ABCDEF"[raw[i] >> 4];
		*buf++ = "0123456789ABCDEF"[raw[i] & 15];
	}
	*buf = '\0';
}

int
record_parse_msg_id(const char *id, mq_pos *ret_pos)
{
	size_t len = strlen(id);
	uint64_t pos = 0;

	if (len != 32 && len != 56)
		return MQ_ECORRUPT;
	for (size_t i = 0; i < len; i++) {
		int v = hex_value(id[i]);

		if (v < 0)
			return MQ_ECORRUPT;
		if (i >= len - 16)
			pos = pos << 4 | (uint64_t)v;
	}
	if (pos > INT64_MAX)
		return MQ_ECORRUPT;
	*ret_pos = MQ_POS((int64_t)pos);
	return MQ_OK;
}
