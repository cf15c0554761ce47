#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/address.h"

size_t
address_host_len(const char *text)
{
	size_t len = strcspn(text, " ");
	const char *first, *last;

	if (len > 0 && text[len] == ' ' && text[len - 1] == ':')	/* "HOST:PORT: why it is gone" */
		len--;
	first = memchr(text, ':', len);
	last = memrchr(text, ':', len);
	if (*text == '[' && memchr(text, ']', len))
		return strcspn(text, "]") + 1;
	return first && first == last ? (size_t)(first - text) : len;
}

bool
address_same_host(const char *a, const char *b)
{
	size_t len = address_host_len(a);

	return address_host_len(b) == len && memcmp(a, b, len) == 0;
}

bool
address_parse_host(const char *host, struct address *ret)
{
	struct address a = { 0 };

	if (inet_pton(AF_INET, host, a.bytes) != 1) {
		a.v6 = true;
		if (inet_pton(AF_INET6, host, a.bytes) != 1)
			return false;
	}
	*ret = a;
	return true;
}

bool
address_parse(const char *text, struct address *ret)
{
	size_t len = address_host_len(text), bracket = *text == '[' && text[len - 1] == ']';
	char host[INET6_ADDRSTRLEN + 1];

	snprintf(host, sizeof(host), "%.*s", (int)(len - 2 * bracket), text + bracket);
	if (!address_parse_host(host, ret))
		return false;
	if (text[len] == ':')
		ret->port = atoi(text + len + 1) & 0xffff;
	return true;
}
