/* allow.h - who may connect: addresses and prefixes, as `10.0.0.0/8 192.0.2.7 fd00::/8`.
 *
 * They are separated by spaces or commas.  An empty list admits everybody.  An IPv4
 * address is kept, and compared, as the IPv6 one that a socket for both shows
 * (::ffff:a.b.c.d); but `::/0` does not include IPv4.
 */
#ifndef MQFS_CONF_ALLOW_H
#define MQFS_CONF_ALLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ALLOW_MAX 64

struct allow {
	int32_t n;
	struct allow_prefix {
		unsigned char addr[16];
		uint8_t bits;		/* of addr that count; the others are 0 */
	} list[ALLOW_MAX];
};

/* False: a word is neither address nor prefix (10.0.0.7/8 is none: it has bits
 * that would not count), or there are more than ALLOW_MAX. */
bool allow_parse(const char *text, struct allow *ret);

/* May a peer with this address connect?  Other addresses than IPv4 and IPv6 are in no list. */
bool allow_has(const struct allow *allow, const struct sockaddr *from);

#endif
