/* delay.h - the levels of messageDelayLevel: "1s 5s 10s 30s 1m ...". */
#ifndef MQFS_CONF_DELAY_H
#define MQFS_CONF_DELAY_H

#include <stdint.h>

#define DELAY_LEVELS_MAX 64

/* ret_ms[0] is level 1.  Returns how many there are; 0: the text is no such list. */
int delay_levels_parse(const char *text, int64_t ret_ms[DELAY_LEVELS_MAX]);

#endif
