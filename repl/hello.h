/* hello.h - what two mqfs brokers say of themselves before one follows the other.
 *
 * Request HELLO_CODE of the remoting protocol, which a RocketMQ broker does not
 * know and refuses (code 3).  The body is a JSON object, and so is the answer's:
 *
 *   v            1
 *   program      "mqfs 1.0"
 *   cluster brokerName brokerId role      as the settings say
 *   storeId      32 hex digits: this copy of the log, of all copies
 *   segment      bytes of a segment of the log
 *   begin end    the log it has is [begin, end)
 *   epochs       [{"epoch":1,"start":0,"id":HEX32,"by":HEX32}, ...]: oldest first
 *   trouble      why it could not go on following, if so
 *
 * Members that are not known are ignored.  Pure: no thread, no socket.
 */
#ifndef MQFS_REPL_HELLO_H
#define MQFS_REPL_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"
#include "offsets/epochs.h"

#define HELLO_CODE 0x6d71
#define HELLO_NAME_BYTES 128

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
};

/* Its JSON text: malloc'ed, NULL without memory. */
char *hello_encode(const struct hello *h, size_t *ret_len);

/* For hello_free().  MQ_ECORRUPT, noted: it is none, or says what cannot be. */
int hello_decode(const char *text, size_t len, struct hello *ret_hello);
void hello_free(struct hello *h);

#endif
