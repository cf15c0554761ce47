/* ring.h - the memory that mqremoted and the mount share: messages in, answers out.
 *
 *      mqremoted (no privileges)                                mount.mqfs
 *                      ┌──────────────── in ─────────────────┐
 *      ring_client.h ──> submissions, bodies and properties  ──> ring_server.h
 *                      └─────────────────────────────────────┘
 *                      ┌──────────────── out ────────────────┐
 *                    <── completions, pieces, ends of queues <──
 *                      └─────────────────────────────────────┘
 *
 * Two memfds, both made by the mount and sealed against a change of size.  `in` is
 * written by mqremoted, and the mount can only read it.  `out` is written by the mount,
 * and mqremoted can only read it.  One eventfd each way wakes the other side, and is
 * written only while the other side says, in its own memory, that it sleeps.
 *
 * The mount trusts nothing in `in`.  It copies a submission into memory of its own,
 * checks every field of the copy (ring_server_take()), and only then acts on it; texts
 * are copied, too, before they are checked.  A body is read once, while it is encoded
 * into a record, and its checksum is that of the encoded bytes.  A submission that a
 * working mqremoted cannot make is MQ_ECORRUPT: the mount ends the link, and starts
 * another mqremoted with other rings.  An error of a client (a topic that does not
 * exist, a body that is too long) is valid here, and is answered with a code.
 *
 *      submitted           a count; place is modulo RING_SLOTS.  At most RING_SLOTS
 *                          submissions are under way: made, and not completed
 *      data_at             counts bytes ever put into the data ring; place is modulo
 *                          RING_DATA_BYTES.  One submission's bytes lie in one piece,
 *                          in the order of the submissions; gaps are allowed.  Where no
 *                          byte is needed any more, a gap (shorter than the ring) takes
 *                          no room: mqremoted then goes back to the ring's begin, so that
 *                          little of its memory is ever touched
 *      data_free           the mount needs no byte before it any more
 *      slot                chosen by mqremoted, unique among those under way: the
 *                          mount writes a pull's pieces to pieces[slot]
 *
 * A submission's bytes are, one behind the other:
 *
 *      topic, template, group, text, key, signature, signed, body      as long as their ..._len say
 *
 *      kind     template            text                                 body
 *      SEND     defaultTopic        properties                           the message's
 *      BATCH    defaultTopic        properties of all, put behind each   items
 *      PULL     -                   subscription: tags, or SQL           -
 *      COMMIT   -                   -                                    -
 *      WATCH    -                   -                                    -
 *      TOOK     -                   -                                    -
 *      END      -                   the producer's group                 -
 *
 * An item of a BATCH is a struct ring_item, its properties, and its body.
 *
 * With access control, key and signature are the client's accessKey and Signature, and `signed` are
 * the values that it has signed together with the body (of a batch: in RocketMQ's layout, see
 * remoting/signed.h).  Else they are empty.
 *
 * Host byte order: both sides are one build on one machine.
 */
#ifndef MQFS_REMOTING_RING_H
#define MQFS_REMOTING_RING_H

#include <stdatomic.h>
#include <stdint.h>

#define RING_SLOTS 4096u
#define RING_DATA_BYTES (32u << 20)
#define RING_PIECES 64u			/* of one pull */
#define RING_WATCHES 4096u
#define RING_BODY_MAX (16u << 20)	/* no frame holds more */
#define RING_REMARK_BYTES 160
#define RING_KEY_MAX 255u
#define RING_SIGNATURE_MAX 64u
#define RING_SIGNED_MAX (64u << 10)

enum ring_kind {
	RING_SEND = 1,			/* one message */
	RING_BATCH,			/* `items` messages of one queue, consecutive */
	RING_PULL,			/* at most max_messages from offset on */
	RING_COMMIT,			/* the group has consumed up to offset */
	RING_WATCH,			/* ends[watch] is the end of that queue from now on; no
					 * topic: of none */
	RING_END,			/* END_TRANSACTION of a half: `offset` is the half's number, its
					 * record is at commit_offset, and sysflag is commit or rollback */
	RING_LEFT,			/* the group, which pulled as RING_FLAG_MEMBER, has no members any
					 * more */
	RING_TOOK,			/* the group has got max_messages answers that were looked ahead, with
					 * `offset` messages of commit_offset bytes: to be counted */
	RING_KINDS_END
};

enum ring_flag {
	RING_FLAG_COMMIT = 1,		/* PULL: and commit_offset is consumed */
	RING_FLAG_SQL = 2,		/* PULL: the subscription is SQL92 */
	RING_FLAG_BORN_V6 = 4,		/* born_addr, the client's address, has 16 bytes, else 4 */
	RING_FLAG_MEMBER = 8,		/* PULL: by a member of a group whose members share its messages;
					 * no file consumes the queue meanwhile */
	RING_FLAG_BROADCAST = 16,	/* PULL: by the subscription of a group each of whose members consumes
					 * every message */
	RING_FLAG_AHEAD = 32,		/* PULL: look ahead: see struct ring_ahead */
	RING_FLAGS_ALL = 63,
};

struct ring_submission {
	uint32_t kind;			/* enum ring_kind */
	uint32_t slot;			/* below RING_SLOTS */
	uint64_t tag;			/* mqremoted's own; the completion has it again */
	uint64_t data_at;
	uint32_t topic_len, template_len, group_len, text_len;
	uint32_t body_len;
	uint32_t items;			/* BATCH; else 0 */
	uint32_t flags;			/* enum ring_flag */
	uint32_t watch;			/* WATCH: below RING_WATCHES */
	int32_t queue_id;		/* below 0: any, for SEND and BATCH */
	int32_t sysflag, flag;
	int32_t reconsume_times;
	int32_t max_reconsume_times;	/* below 0: the group's setting counts */
	int32_t template_queues;
	int32_t max_messages;
	int32_t born_port;
	int64_t born_ms;
	int64_t offset;
	int64_t commit_offset;
	uint8_t born_addr[16];
	uint32_t key_len, signature_len, signed_len;
};

/* How long its bytes are in the ring. */
static inline uint64_t
ring_bytes(const struct ring_submission *s)
{
	return (uint64_t)s->topic_len + s->template_len + s->group_len + s->text_len + s->key_len +
	       s->signature_len + s->signed_len + s->body_len;
}

struct ring_item {
	uint32_t props_len, body_len;
	int32_t flag;
};

struct ring_completion {
	uint32_t kind, slot;
	uint64_t tag;
	int32_t code;			/* of the remoting protocol */
	int32_t queue_id;		/* the one that a message is in */
	int64_t offset;			/* SEND, BATCH: of the first message; PULL: nextBeginOffset */
	int64_t pos;			/* of its record */
	int64_t min, max;		/* PULL */
	int32_t suggest;		/* PULL: suggestWhichBrokerId */
	uint32_t n;			/* BATCH: messages stored; PULL: pieces in pieces[slot] */
	uint32_t looked_ahead;		/* PULL: aheads[slot] is set */
	char remark[RING_REMARK_BYTES];	/* a code other than 0 has one */
};

/* The completion of that submission, before anything else is known. */
static inline struct ring_completion
ring_completion_of(const struct ring_submission *s)
{
	return (struct ring_completion){ .kind = s->kind, .slot = s->slot, .tag = s->tag, .queue_id = s->queue_id };
}

/* Bytes of the log that a pull is answered with: whole records, in one segment. */
struct ring_piece {
	int64_t pos;
	uint32_t bytes;
	uint32_t messages;
};

/* The answers to the pulls that would follow a PULL, each from where the one before has ended: as if they
 * had been asked for when the PULL was.  mqremoted gives them without asking the mount, while they are no
 * older than RING_AHEAD_US, and `version` is still that of ring_out: no right, topic or group has changed,
 * and no queue was trimmed.  (Changed settings, and retention, count for them RING_AHEAD_US later.)
 *
 * There are none with a filter, with access control, or on a slave, and none behind the last messages of
 * a queue: each is as full as a pull's answer may be.  min, max and suggest are the PULL's. */
#define RING_AHEADS 8u
#define RING_AHEAD_US 1000

struct ring_ahead {
	int64_t looked_us;		/* clock_mono_us() */
	uint64_t version;
	uint32_t n;
	struct {
		int64_t next;		/* nextBeginOffset */
		uint32_t pieces;	/* these follow in pieces[slot] */
	} at[RING_AHEADS];
};

/* Values that mqremoted needs for its answers; set before it is started. */
struct ring_values {
	uint8_t host_addr[16];		/* where messages are stored: brokerIP1, listenPort */
	uint32_t host_v6;
	int32_t host_port;
	uint32_t trace_on;
	uint32_t long_polling;		/* else pulls are held for short_polling_ms, whatever they ask for */
	int64_t short_polling_ms;
	uint32_t store_replies;
	char region[64];
};

struct ring_in {
	_Alignas(64) _Atomic uint64_t submitted;
	_Alignas(64) _Atomic uint32_t sleeps;	/* mqremoted does */
	_Alignas(64) struct ring_submission submissions[RING_SLOTS];
	_Alignas(64) unsigned char data[RING_DATA_BYTES];
};

struct ring_out {
	struct ring_values values;
	_Alignas(64) _Atomic uint64_t data_free;
	_Alignas(64) _Atomic uint64_t completed;
	_Atomic uint64_t moved;			/* how often ends[] was set */
	_Alignas(64) _Atomic uint32_t sleeps;	/* the mount does */
	_Alignas(64) _Atomic uint64_t version;	/* of rights, topics and groups */
	_Alignas(64) struct ring_completion completions[RING_SLOTS];
	struct ring_piece pieces[RING_SLOTS][RING_PIECES];
	struct ring_ahead aheads[RING_SLOTS];
	_Atomic int64_t ends[RING_WATCHES];	/* -1: not known yet */
};

/* What mqremoted is given: the memory, and an eventfd each way. */
enum ring_fd { RING_FD_IN, RING_FD_OUT, RING_FD_WAKE_MOUNT, RING_FD_WAKE_CLIENT, RING_FDS };

struct ring_fds {
	int fd[RING_FDS];		/* by enum ring_fd; -1: none */
};

void ring_fds_close(struct ring_fds *fds);	/* afterwards there are none */

#endif
