/* record.h - one message as bytes of the commit log.
 *
 * Format: RocketMQ 4.x record V1 (and V2, read only).  All integers big-endian.
 * b and s are 8 for an IPv4 host, 20 for IPv6.
 *
 *    0  i32  TOTALSIZE        the whole record
 *    4  i32  MAGICCODE        0xDAA320A7 (V2: 0xDAA320AB)
 *    8  i32  BODYCRC          crc32(body) & 0x7fffffff, 0 for an empty body
 *   12  i32  QUEUEID
 *   16  i32  FLAG
 *   20  i64  QUEUEOFFSET      set under the log's lock
 *   28  i64  PHYSICALOFFSET   set under the log's lock; must equal its place
 *   36  i32  SYSFLAG
 *   40  i64  BORNTIMESTAMP    ms
 *   48   b   BORNHOST         address, i32 port
 *    .  i64  STORETIMESTAMP   ms, never decreasing in the log
 *    .   s   STOREHOST
 *    .  i32  RECONSUMETIMES
 *    .  i64  PREPAREDTRANSACTIONOFFSET
 *    .  i32  BODYLENGTH, body
 *    .  i8   TOPICLENGTH (V2: i16), topic
 *    .  i16  PROPERTIESLENGTH, properties: name 0x01 value [0x02 ...]
 *
 * A segment's unused end is a blank record: i32 length, i32 0xCBD43194.
 */
#ifndef MQFS_STORE_RECORD_H
#define MQFS_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"

#define RECORD_MAGIC ((int32_t)0xDAA320A7)
#define RECORD_MAGIC_V2 ((int32_t)0xDAA320AB)
#define RECORD_MAGIC_BLANK ((int32_t)0xCBD43194)

#define RECORD_MIN_BYTES 91	/* both hosts IPv4; empty body, topic, properties */
#define RECORD_BLANK_BYTES 8
#define RECORD_TOPIC_MAX 127
#define RECORD_PROPS_MAX 32767
#define RECORD_BODY_AT 88	/* where the body starts, both hosts IPv4 */

/* Places patched under the log's lock. */
#define RECORD_QUEUEOFFSET_AT 20
#define RECORD_PHYSICALOFFSET_AT 28
#define RECORD_SYSFLAG_AT 36
#define RECORD_STORETIMESTAMP_AT 56	/* BORNHOST IPv4 */

enum {
	SYSFLAG_COMPRESSED = 0x1,
	SYSFLAG_TRANSACTION = 0xc,	/* mask */
	SYSFLAG_PREPARED = 0x4,
	SYSFLAG_COMMIT = 0x8,
	SYSFLAG_ROLLBACK = 0xc,
	SYSFLAG_BORNHOST_V6 = 0x10,
	SYSFLAG_STOREHOST_V6 = 0x20,
	SYSFLAG_CONTINUED = 0x40000000,	/* ours: see record_is_continued() */
	SYSFLAG_COMPRESSION = 0x700,	/* mask; body.h says what is in it */
	SYSFLAG_COMPRESSION_SHIFT = 8,
};

/* Is the record a message of its queue?  A half message of a transaction, and a rollback, is not. */
static inline bool
sysflag_is_queued(int32_t sysflag)
{
	int32_t transaction = sysflag & SYSFLAG_TRANSACTION;

	return transaction != SYSFLAG_PREPARED && transaction != SYSFLAG_ROLLBACK;
}

/* Where STORETIMESTAMP is in an encoded record, of which the first 40 bytes are looked at. */
static inline size_t
record_store_ms_at(const unsigned char *rec)
{
	return rec[RECORD_SYSFLAG_AT + 3] & SYSFLAG_BORNHOST_V6 ? RECORD_STORETIMESTAMP_AT + 12 : RECORD_STORETIMESTAMP_AT;
}

struct host {
	unsigned char addr[16];
	bool v6;		/* all 16 bytes, else the first 4 */
	int32_t port;
};

/* A decoded record; the pointers lie in the buffer that was decoded. */
struct record {
	int32_t total;
	int32_t magic;
	int32_t body_crc;
	int32_t queue_id;
	int32_t flag;
	int32_t sysflag;
	mq_qoff qoff;
	mq_pos pos;
	int64_t born_ms;
	int64_t store_ms;
	struct host born;
	struct host stored;
	int32_t reconsume_times;
	mq_pos prepared;
	const void *body;
	int32_t body_len;
	const char *packed;	/* body_unpack() found its body packed so: "zlib", "lz4", "zstd"; else NULL */
	const char *topic;	/* not terminated */
	int16_t topic_len;
	const char *props;	/* not terminated */
	int16_t props_len;
};

/* Decode the record at buf, which may be followed by others.
 *
 * MQ_OK         *ret_rec is valid; the body's CRC is not checked
 * MQ_EEND       fewer than TOTALSIZE bytes are there (or fewer than 8): read more;
 *               ret_rec->total is set when 8 bytes were there, else 0
 * MQ_EBLANK     a blank record; ret_rec->total is its length
 * MQ_ECORRUPT   anything else
 */
int record_decode(const void *buf, size_t len, struct record *ret_rec);

/* As record_decode(); MQ_ECORRUPT also if PHYSICALOFFSET is not pos, or the body does not match its CRC. */
int record_verify(const void *buf, size_t len, mq_pos pos, struct record *ret_rec);

/* Topics whose records only a broker writes. */
#define META_TOPIC "MQFS_META"
#define SCHEDULE_TOPIC "SCHEDULE_TOPIC_XXXX"
#define TIMED_TOPIC "MQFS_DELAY"	/* delays.h */
#define TRANS_HALF_TOPIC "RMQ_SYS_TRANS_HALF_TOPIC"
#define TRANS_OP_TOPIC "RMQ_SYS_TRANS_OP_HALF_TOPIC"

bool record_is_of(const struct record *rec, const char *topic);
bool record_is_in(const struct record *rec, const char *topic, int32_t queue_id);

/* Does the next record belong to this one (SYSFLAG_CONTINUED)?  Such records are one step of the log: they
 * lie in one segment, and a reader of the log takes all of them or, if the last one is missing, none.
 * The flag counts in META_TOPIC and TRANS_OP_TOPIC only: RocketMQ copies the SYSFLAG of a message
 * that it delivers later or takes back, and those are never of these topics. */
bool record_is_continued(const struct record *rec);

/* BODYCRC as stored. */
int32_t record_crc(const void *body, size_t len);

/* A message on its way into the log.  Everything is borrowed for the call. */
struct message {
	const void *body;	/* two pieces, so that a line that came in */
	size_t body_len;	/* two writes needs no copy */
	const void *body2;
	size_t body2_len;
	const char *topic;
	size_t topic_len;
	const char *props;
	size_t props_len;
	int32_t queue_id;
	int32_t flag;
	int32_t sysflag;
	int32_t reconsume_times;
	mq_pos prepared;
	int64_t born_ms;
	struct host born;
	struct host stored;
};

/* Bytes the record of m will take. */
size_t record_size(const struct message *m);

/* Encode at buf (record_size(m) bytes), with 0 for the three fields that are
 * set under the log's lock. */
void record_encode(const struct message *m, void *buf);

/* The value of one property: a pointer into props and its length, NULL if absent. */
const char *record_property(const char *props, size_t props_len, const char *name, size_t *ret_len);

/* The digits with which the value of a property begins, at most 18; 0: none. */
int64_t record_property_number(const char *props, size_t props_len, const char *name);

/* Walk all properties: *cursor starts at 0; false when there are no more.
 * Entries that RocketMQ would drop (too short, no value) are skipped. */
bool record_property_next(const char *props, size_t props_len, size_t *cursor, const char **ret_name,
			  size_t *ret_name_len, const char **ret_value, size_t *ret_value_len);

/* Is it a valid name of a topic or a group: 1 to 127 of [%|a-zA-Z0-9_-]?  Topics become directories, so
 * a record with another name is damaged. */
bool record_topic_valid(const char *topic, size_t len);

/* Set the levels of this process's store, a valid messageDelayLevel, before other threads are started. */
void record_delays_are(const char *levels);

/* The number of levels; the delay of a level, from 1 on; the level in properties (at most the last; 0:
 * none). */
int record_levels(void);
int64_t record_level_ms(int level);
int record_level(const char *props, size_t props_len);

/* The tagsCode of a message's entry in its consume queue, and what it means. */
#define PROP_TIMER "TIMER_DELIVER_MS"
enum record_due {
	DUE_NOW,		/* an ordinary message: the code of its tag */
	DUE_AFTER,		/* of SCHEDULE_TOPIC_XXXX: due so many ms after its store time, the sum is the code */
	DUE_AT,			/* of TIMED_TOPIC: when it is due, ms */
};

int64_t record_code(const char *topic, size_t topic_len, const char *props, size_t props_len, enum record_due *ret_due);

/* The consume queue's tagsCode of a tag (0 for an empty one): Java's
 * String.hashCode over the UTF-16 form of the UTF-8 text, sign-extended. */
int64_t record_tags_code(const char *tag, size_t len);
int32_t java_hash(const char *utf8, size_t len, int32_t h);

/* Offset msg id: upper-case hex of store host and position, 32 characters
 * (IPv4) or 56; buf of 57 bytes.  Parsing: either case, MQ_ECORRUPT if it is not one. */
void record_msg_id(const struct host *stored, mq_pos pos, char *buf);
int record_parse_msg_id(const char *id, mq_pos *ret_pos);

#endif
