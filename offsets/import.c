#include "config.h"

#include "offsets/registry.h"

int
import_rocketmq(struct offsets *o)
{
	(void)o;
	return MQ_OK;
}
