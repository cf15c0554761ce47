#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/allow.h"

#define SEPARATORS " \t,"
#define WORD_MAX (INET6_ADDRSTRLEN + sizeof("/128"))
#define IPV4_BITS 96			/* of an IPv6 address that say it is an IPv4 one */

static const unsigned char ipv4_head[IPV4_BITS / 8] = { [10] = 0xff, [11] = 0xff };

static bool
is_ipv4(const unsigned char addr[16])
{
	return memcmp(addr, ipv4_head, sizeof(ipv4_head)) == 0;
}

/* --- parsing ------------------------------------------------------------------------ */

static bool
parse_address(const char *text, struct allow_prefix *p, int *ret_width)
{
	if (inet_pton(AF_INET6, text, p->addr) == 1) {
		*ret_width = 128;
		return true;
	}
	memcpy(p->addr, ipv4_head, sizeof(ipv4_head));
	*ret_width = 32;
	return inet_pton(AF_INET, text, p->addr + sizeof(ipv4_head)) == 1;
}

static bool
parse_bits(const char *text, int width, int *ret_bits)
{
	char *end;
	long bits;

	if (!isdigit((unsigned char)text[0]) || strlen(text) > 3)
		return false;
	bits = strtol(text, &end, 10);
	*ret_bits = (int)bits;
	return !*end && bits <= width;
}

static bool
ends_with_zeros(const struct allow_prefix *p)
{
	for (int bit = p->bits; bit < 128; bit++)
		if (p->addr[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool
parse_word(char *word, struct allow_prefix *ret)
{
	char *slash = strchr(word, '/');
	int width, bits;

	if (slash)
		*slash = '\0';
	if (!parse_address(word, ret, &width))
		return false;
	bits = width;
	if (slash && !parse_bits(slash + 1, width, &bits))
		return false;
	ret->bits = (uint8_t)(128 - width + bits);
	return ends_with_zeros(ret);
}

bool
allow_parse(const char *text, struct allow *ret)
{
	struct allow allow = { .n = 0 };
	char word[WORD_MAX];
	size_t len;

	for (text += strspn(text, SEPARATORS); *text; text += len + strspn(text + len, SEPARATORS)) {
		len = strcspn(text, SEPARATORS);
		if (allow.n == ALLOW_MAX || len >= sizeof(word))
			return false;
		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		if (!parse_word(word, &allow.list[allow.n++]))
			return false;
	}
	*ret = allow;
	return true;
}

/* --- asking ---------------------------------------------------------------------------- */

static bool
prefix_has(const struct allow_prefix *p, const unsigned char addr[16])
{
	size_t bytes = p->bits / 8;
	unsigned rest = p->bits % 8;

	if (p->bits < IPV4_BITS && is_ipv4(addr))
		return false;
	return memcmp(p->addr, addr, bytes) == 0 &&
	       (rest == 0 || (p->addr[bytes] ^ addr[bytes]) >> (8 - rest) == 0);
}

static bool
address_of(const struct sockaddr *from, unsigned char addr[16])
{
	if (from->sa_family == AF_INET6) {
		memcpy(addr, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
		return true;
	}
	memcpy(addr, ipv4_head, sizeof(ipv4_head));
	memcpy(addr + sizeof(ipv4_head), &((const struct sockaddr_in *)from)->sin_addr, 4);
	return from->sa_family == AF_INET;
}

bool
allow_has(const struct allow *allow, const struct sockaddr *from)
{
	unsigned char addr[16];

	if (allow->n == 0)
		return true;
	if (!address_of(from, addr))
		return false;
	for (int32_t i = 0; i < allow->n; i++)
		if (prefix_has(&allow->list[i], addr))
			return true;
	return false;
}
