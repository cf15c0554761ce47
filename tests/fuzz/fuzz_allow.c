/* Any text as a list of who may connect: what is taken has in it what it names. */
#include "config.h"

#include <netinet/in.h>
#include <string.h>

#include "conf/allow.h"
#include "conf/err.h"
#include "tests/fuzz/target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_in6 from = { .sin6_family = AF_INET6 };
	struct allow allow = { .n = -1 };
	char text[1024];

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!allow_parse(text, &allow)) {
		MUST(allow.n == -1);
		return 0;
	}
	MUST(allow.n >= 0 && allow.n <= ALLOW_MAX);
	for (int32_t i = 0; i < allow.n; i++) {
		MUST(allow.list[i].bits <= 128);
		memcpy(&from.sin6_addr, allow.list[i].addr, sizeof(from.sin6_addr));
		MUST(allow_has(&allow, (const struct sockaddr *)&from));
	}
	return 0;
}
