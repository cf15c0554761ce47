/* allow.h - who may connect: addresses and prefixes, as `10.0.0.0/8 192.0.2.7 fd00::/8`.
 *
 * They stand one after another, with spaces or commas between.  An empty list
 * is no list: everyone may.  An IPv4 address is kept, and compared, as the IPv6
 * one it has on a socket for both (::ffff:a.b.c.d); but `::/0` does not mean it.
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

/* May it connect from there?  Only IPv4 and IPv6 are ever on a list. */
bool allow_has(const struct allow *allow, const struct sockaddr *from);

#endif
