/* hello.h - what two mqfs brokers say of themselves before one follows the other.
 *
 * Request HELLO_CODE of the remoting protocol, which a RocketMQ broker does not
 * know and refuses (code 3).  The body is a JSON object, and so is the answer's:
 *
 *   v            1
 *   program      "mqfs 0.1.0"
 *   cluster brokerName brokerId role      as the settings say
 *   storeId      32 hex digits: this copy of the log, of all copies
 *   segment      bytes of a segment of the log
 *   begin end    the log it has is [begin, end)
 *   epochs       [{"epoch":1,"start":0,"id":HEX32,"by":HEX32}, ...]: oldest first
 *   trouble      why it could not go on following, if so
 *   instance     32 hex digits: this mount, of all mounts
 *   unlogged     true: it has topics, groups and offsets from a RocketMQ master (itself, or
 *                by way of whom it follows): the log does not say them
 *   via          ["HEX32", ...]: a slave's: the instance it follows, the one which that follows ...
 *   tail         {"from":P,"to":Q,"crc":N}: CRC-32 of these bytes of its log: its last ones,
 *                and in an answer those that the request names, if it has them
 *
 * Members from `instance` on are optional.  The tail shows what epochs cannot: that one of
 * the two logs was restored from an older copy and has grown differently since.
 *
 * Members that are not known are ignored.  Nothing here uses a thread or a socket.
 */
#ifndef MQFS_REPL_HELLO_H
#define MQFS_REPL_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"
#include "offsets/epochs.h"

#define HELLO_CODE 0x6d71
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
	mq_pos from, to;		/* the same: nothing is said */
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
	unsigned char instance[HELLO_ID_BYTES];		/* zeros: not said */
	bool unlogged;
	struct hello_via via;
	struct hello_tail tail;
};

/* Its JSON text: malloc'ed, NULL without memory. */
char *hello_encode(const struct hello *h, size_t *ret_len);

bool hello_is_slave(const struct hello *h);

/* Is `instance` the broker that said `h`; is it one that this broker follows? */
bool hello_is(const struct hello *h, const unsigned char instance[HELLO_ID_BYTES]);
bool hello_goes_by(const struct hello *h, const unsigned char instance[HELLO_ID_BYTES]);

/* The `via` of a slave of the broker that said `h`. */
void hello_via(const struct hello *h, struct hello_via *ret);

/* Do both tails cover the same positions, with different bytes? */
bool hello_tails_differ(const struct hello *a, const struct hello *b);

/* What it says, as net/values.h packs it; for hello_free().  MQ_ECORRUPT, noted: it is none,
 * or says what cannot be. */
int hello_decode(const void *values, size_t len, struct hello *ret_hello);
void hello_free(struct hello *h);

#endif
