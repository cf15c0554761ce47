/* hello.h - two mqfs brokers tell each other who they are before one follows the other.
 *
 * Request HELLO (0x6d71) of the remoting protocol, which a RocketMQ broker does not
 * know and refuses (code 3).  The body is a JSON object, and so is the answer's:
 *
 *   v            1
 *   program      "mqfs 0.1.0"
 *   cluster brokerName brokerId role      the broker's settings of these names
 *   storeId      32 hex digits: this copy of the log, of all copies
 *   segment      bytes of a segment of the log
 *   begin end    the log it has is [begin, end)
 *   epochs       [{"epoch":1,"start":0,"id":HEX32,"by":HEX32}, ...]: oldest first
 *   trouble      a slave's: why it could not continue to follow its master
 *   instance     32 hex digits: this mount, of all mounts
 *   unlogged     true: it has its topics, groups and offsets from a RocketMQ master (directly, or
 *                through the brokers that it follows), so its log does not contain them
 *   via          ["HEX32", ...]: a slave's: the instance that it follows, the one that this follows ...
 *   tail         {"from":P,"to":Q,"crc":N}: CRC-32 of these bytes of its log: its last ones,
 *                and in an answer those that the request names, if it has them
 *
 *   unsynced     true: a master that acknowledges what its slaves have and its own disk may not
 *                (SYNC_MASTER with ASYNC_FLUSH): what it loses in a power cut is not to be lost on them
 *
 * Members from `instance` on are optional.  The tail detects what epochs cannot: that one of
 * the two logs was restored from an older copy and has grown differently since.
 *
 * Unknown members are ignored.  Nothing here uses a thread or a socket.
 */
#ifndef MQFS_REPL_HELLO_H
#define MQFS_REPL_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"
#include "offsets/epochs.h"

#define HELLO_NAME_BYTES 128
#define HELLO_SLAVE "SLAVE"
#define HELLO_ID_BYTES EPOCH_ID_BYTES
#define HELLO_VIA_MAX 16

/* The brokers that are followed, nearest first; a longer list is cut. */
struct hello_via {
	unsigned char ids[HELLO_VIA_MAX][HELLO_ID_BYTES];
	size_t n;
};

struct hello_tail {
	mq_pos from, to;		/* equal: the hello has no tail */
	uint32_t crc;
};

struct hello {
	char program[HELLO_NAME_BYTES];
	char cluster[HELLO_NAME_BYTES];
	char broker_name[HELLO_NAME_BYTES];
	char role[16];
	char trouble[256];
	int64_t broker_id;
	int64_t segment_bytes;
	unsigned char store_id[16];
	mq_pos begin, end;
	struct epochs epochs;
	unsigned char instance[HELLO_ID_BYTES];		/* zeros: the hello has none */
	bool unlogged, unsynced;
	struct hello_via via;
	struct hello_tail tail;
};

/* Its JSON text: malloc'ed, NULL without memory. */
char *hello_encode(const struct hello *h, size_t *ret_len);

bool hello_is_slave(const struct hello *h);

/* Did the broker `instance` send `h`?  And: does the sender of `h` follow `instance`? */
bool hello_is(const struct hello *h, const unsigned char instance[HELLO_ID_BYTES]);
bool hello_follows(const struct hello *h, const unsigned char instance[HELLO_ID_BYTES]);

/* The `via` of a slave of the broker that sent `h`. */
void hello_via(const struct hello *h, struct hello_via *ret);

/* Do both tails cover the same positions, with different bytes? */
bool hello_tails_differ(const struct hello *a, const struct hello *b);

/* Decode a hello that net/values.h has packed; for hello_free().  MQ_ECORRUPT, noted: it is not
 * a hello, or a member has an invalid value. */
int hello_decode(const void *values, size_t len, struct hello *ret_hello);
void hello_free(struct hello *h);

#endif
