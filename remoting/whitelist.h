/* whitelist.h - addresses that need no signature, in RocketMQ's syntax.
 *
 *      10.1.2.3                one address; also IPv6
 *      10.1.2.3,10.1.2.4       several
 *      10.1.2.{3,4,7}          several that differ in the last part; also 1050::5:{1,2a}
 *      10.1.2.*                any last part; also 10.1.*.*
 *      10.1.2-7.*              parts from 2 to 7
 *      1050::5:600:*           any last part; 1050::5:1-200:*  and  1050::5:1-200  as well
 *      *                       all; also *.*.*.* and *:*:*:*:*:*:*:*
 *
 * Each part has to match; RocketMQ ignores the parts behind the first range.
 */
#ifndef MQFS_REMOTING_WHITELIST_H
#define MQFS_REMOTING_WHITELIST_H

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"

struct pattern;

/* Starts as zeros. */
struct whitelist {
	struct pattern *list;
	size_t n;
};

/* Add the addresses of a text; a blank text has none.  MQ_EBADCONF, noted: it is invalid. */
int whitelist_add(struct whitelist *w, const char *text);
bool whitelist_has(const struct whitelist *w, const struct address *a);
void whitelist_clear(struct whitelist *w);

#endif
