/* meta.h - the bodies of MQFS_META records: every change that is not a message.
 *
 * Topic MQFS_META, queue 0; body: one JSON object with "op" and "v" (1).
 * A reader ignores members it does not know, takes the default for what is
 * missing, and refuses an op or a version it does not know with a log line
 * (a newer program wrote it), never with an error.
 *
 *   op            members
 *   topic         id name queues perm format onFull fileReservedTime order
 *                 topicSysFlag uid gid mode ctime
 *                 the whole state of a topic: made, or replaced
 *   topic-delete  id name
 *   group         id name consumeEnable consumeFromWhere ... uid gid mode ctime
 *                 (RocketMQ's fields; the whole state again)
 *   group-delete  id name
 *   subscribe     id group topic expression offsets {"0":12,...}
 *   unsubscribe   id group topic
 *   commit        group topic offsets {"0":12,...} [reset:true]
 *                 without reset an offset never moves back
 *   trim          topic queue offset
 *   ends          topic offsets {"0":12,...} times {"0":1700000000000,...}
 *                 how far its queues have come, and when their last message was
 *                 stored: retention may have taken all of them
 *   delays        offsets {"0":12,...}: how far the delivery of each level has come, the key is
 *                 level - 1: RocketMQ's deliveries are in no record
 *   attr          path [uid gid mode] [acl]: of one queue or file of the tree;
 *                 acl is hex, "" takes it away
 *   epoch         epoch id by start: a master begins to write (epochs.h), from
 *                 position start on; without, where the record lies
 *   import        done: false before, true after what was taken over from
 *                 RocketMQ's config/ *.json; an import without its end is redone
 *
 * A record counts only if an mqfs broker wrote it: born where it is stored, without
 * properties.  A client of a RocketMQ broker may send to a topic of this name; such a
 * message was born at the client's port, and none of it is obeyed, neither in a store
 * that is mounted nor in a log that is replicated.
 *
 * `id` is what inode numbers are made of.  It is in the record so that every
 * replay, here or on a slave, comes to the same one; a reader whose id is taken
 * (or where it is missing) gives the next free one.
 */
#ifndef MQFS_OFFSETS_META_H
#define MQFS_OFFSETS_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/pos.h"
#include "offsets/epochs.h"
#include "store/record.h"

#define QUEUES_MAX 4096		/* of one topic */
#define META_ID_MAX 0xffffff	/* 24 bits of an inode number */
#define META_PATH_MAX 480	/* bytes: it is a key of LMDB, which takes 511 */
#define META_ACL_MAX 65536
#define META_EXPRESSION_MAX 4096

/* A group's topics: messages that come to it again, and those that do not any more. */
#define RETRY_PREFIX "%RETRY%"
#define DLQ_PREFIX "%DLQ%"

enum topic_format { FORMAT_LINES, FORMAT_RAW, FORMAT_LEN32, FORMAT_JSON };

/* RocketMQ's permission bits of a topic. */
enum { PERM_READ = 4, PERM_WRITE = 2, PERM_INHERIT = 1 };

struct owner {
	uid_t uid;
	gid_t gid;
	mode_t mode;		/* permission bits only */
};

struct topic_conf {
	char name[RECORD_TOPIC_MAX + 1];
	int32_t queues;		/* those that there are */
	int32_t read_queues;	/* readQueueNums: clients read so many of them; 0: all */
	int32_t write_queues;	/* writeQueueNums: clients, and `all`, append to so many; 0: all */
	int32_t perm;		/* PERM_* */
	enum topic_format format;
	bool on_full_drop;	/* onFull=drop instead of block */
	int64_t reserved_hours;	/* retention of its own; 0: the broker's */
	bool order;
	int32_t topic_sys_flag;
	struct owner owner;
	int64_t created_ms;
};

struct group_conf {
	char name[RECORD_TOPIC_MAX + 1];
	bool consume_enable;
	bool from_first;	/* consumeFromWhere=first */
	bool broadcast_enable;
	bool from_min_enable;
	bool notify_enable;
	int32_t retry_queues;
	int32_t retry_max;
	int32_t broker_id;
	int32_t slow_broker_id;	/* whichBrokerWhenConsumeSlowly */
	struct owner owner;
	int64_t created_ms;
};

struct meta_offset {
	int32_t queue_id;
	mq_qoff at;
	int64_t store_ms;	/* ends: of the last message before it */
};

enum meta_op {
	META_TOPIC_SET,
	META_TOPIC_DELETE,
	META_GROUP_SET,
	META_GROUP_DELETE,
	META_SUBSCRIBE,
	META_UNSUBSCRIBE,
	META_COMMIT,
	META_TRIM,
	META_ATTR,
	META_IMPORT,
	META_EPOCH,
	META_ENDS,
	META_DELAYS,
};

/* One decoded change.  Only the members of its op are set. */
struct meta {
	enum meta_op op;
	uint32_t id;		/* of a topic, group or subscription; 0: none said */
	char topic[RECORD_TOPIC_MAX + 1];
	char group[RECORD_TOPIC_MAX + 1];
	struct topic_conf topic_conf;
	struct group_conf group_conf;
	char *expression;	/* of a subscription */
	struct meta_offset *offsets;
	size_t n_offsets;
	bool reset;
	int32_t queue_id;	/* trim */
	mq_qoff at;		/* trim */
	char *path;		/* attr */
	bool has_owner;
	struct owner owner;
	unsigned char *acl;	/* system.posix_acl_access as the kernel gave it */
	size_t acl_len;		/* acl set and 0 bytes: taken away */
	bool done;		/* import */
	struct epoch epoch;	/* start -1: where the record lies */
	bool implied;		/* topic, in LMDB only: known by its queues, not by a record */
	bool told;		/* in LMDB only: it is from a RocketMQ master's tables, not from a record */
};

/* To JSON: malloc'ed, no trailing newline; *ret_len its length.  NULL without
 * memory (an expression must be UTF-8, as meta_expression_ok() says). */
char *meta_encode(const struct meta *m, size_t *ret_len);

/* From JSON: MQ_OK; MQ_ECORRUPT (not ours, or out of range; noted);
 * -ENOTSUP for an op or a version this program does not know. */
int meta_decode(const char *json, size_t len, struct meta *ret_m);

void meta_free(struct meta *m);

/* A change with that id (0: none), group and topic (NULL: none). */
struct meta meta_of(enum meta_op op, uint32_t id, const char *group, const char *topic);

/* m is in the record at pos: what that says of it is set. */
void meta_lies_at(struct meta *m, mq_pos pos);

/* From a record of META_TOPIC, as meta_decode(), and meta_lies_at() done.  -EPERM, noted:
 * no mqfs broker wrote it. */
int meta_read(const struct record *rec, struct meta *ret_m);

/* Is it UTF-8 without control characters, 1 to META_EXPRESSION_MAX bytes?  Whether it is a valid
 * expression is not checked. */
bool meta_expression_ok(const char *text, size_t len);

/* Is it a path of the tree: relative, of graphic ASCII, without empty, "." or ".." parts? */
bool meta_path_ok(const char *path, size_t len);

/* Names that RocketMQ or mqfs keeps for itself.  Such a topic is hidden from listings; only the
 * broker itself makes, changes or removes it, and it cannot be appended to by files.  It is not
 * taken from a RocketMQ store's config/ or a RocketMQ master's tables; such a group is. */
bool meta_topic_is_system(const char *name);

/* One of those that only the broker writes: it takes no messages of clients, nor any whose time has come.
 * The other system topics are users' to send to, such as BenchmarkTest. */
bool meta_topic_is_brokers(const char *name);

/* The group to which a topic of that name belongs, its retry topic or its dead letters; NULL: to none. */
const char *meta_topic_group(const char *name);

bool meta_group_is_system(const char *name);

/* MQ_OK, or -EPERM, noted: it is one of those. */
int meta_topic_check(const char *name);
int meta_group_check(const char *name);

void topic_conf_default(struct topic_conf *c, const char *name, int32_t queues);

/* From how many of its queues clients read, and to how many they append: from q0 on. */
int32_t topic_conf_readable(const struct topic_conf *c);
int32_t topic_conf_writable(const struct topic_conf *c);

void group_conf_default(struct group_conf *c, const char *name);

/* The config file of a topic or group as the mount shows it: ini text, one
 * `key = value` a line (see mqfs(5)), and back.  perm is the letters r, w and i
 * (inherit), or "none", or RocketMQ's number.  Parsing starts from *conf and changes what the text
 * names.  MQ_EBADCONF with a note that names line, key, value and what is allowed. */
char *topic_conf_print(const struct topic_conf *c, size_t *ret_len);
int topic_conf_parse(const char *text, size_t len, struct topic_conf *conf);
char *group_conf_print(const struct group_conf *c, size_t *ret_len);
int group_conf_parse(const char *text, size_t len, struct group_conf *conf);

int topic_format_parse(const char *text, size_t len, enum topic_format *ret_f);

#endif
