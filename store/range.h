/* range.h - a part of the log as a person says it: FROM, FROM..TO, ..TO, FROM.. */
#ifndef MQFS_STORE_RANGE_H
#define MQFS_STORE_RANGE_H

#include "conf/pos.h"

/* Bytes [from, to) of the log. */
struct range {
	mq_pos from, to;
};

#define RANGE_ALL ((struct range){ .from = MQ_POS(0), .to = MQ_POS(INT64_MAX) })

/* Positions are decimal numbers, as they are in file names and in mqdump's output.
 * -EINVAL, noted, for anything else and for a TO before FROM. */
int range_parse(const char *text, struct range *ret);

#endif
