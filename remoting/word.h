/* word.h - END_TRANSACTION: the producer of a half message commits it or takes it back. */
#ifndef MQFS_REMOTING_WORD_H
#define MQFS_REMOTING_WORD_H

#include "remoting/broker.h"
#include "remoting/ring.h"

/* Commit the half, or take it back, as RocketMQ does: its codes and remarks go into *c.  `group` is
 * the producer's. */
void word_answer(const struct remoting_broker *b, const struct ring_submission *s, const char *group,
		 struct ring_completion *c);

#endif
