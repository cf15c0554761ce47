/* Any bytes as a file of accounts: what is read can be used, changed, and read again.
 *
 * Input: a byte that says what to do, and the file; behind 0xff, words of addresses. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "remoting/accounts.h"
#include "remoting/accounts_edit.h"
#include "tests/fuzz/target.h"

static void
look_for_addresses(const uint8_t *data, size_t size)
{
	struct whitelist w = { 0 };
	struct address a;
	char words[512];

	size = size < sizeof(words) - 1 ? size : sizeof(words) - 1;
	memcpy(words, data, size);
	words[size] = '\0';
	if (whitelist_add(&w, words) == MQ_OK && address_parse(words, &a))
		MUST(whitelist_has(&w, &a) || strpbrk(words, "[:"));	/* a port belongs to no pattern */
	whitelist_clear(&w);
}

static void
change(const char *text, size_t len, int what)
{
	const struct account_change put = { .access_key = "accessKey1", .secret_key = "secretKey1",
					    .topic_perms = "a=PUB", .group_perms = "b=SUB" };
	struct edited e = { 0 };
	struct accounts *a;
	int rc = what == 0 ? accounts_edit_put(text, len, &put, &e) :
		 what == 1 ? accounts_edit_remove(text, len, "RocketMQ", &e) :
			     accounts_edit_white(text, len, "10.0.0.1", &e);

	if (rc != MQ_OK)
		return;
	MUST(accounts_parse(e.text, e.len, &a) == MQ_OK);
	MUST(what != 0 || accounts_find(a, "accessKey1"));
	MUST(what != 1 || !accounts_find(a, "RocketMQ"));
	accounts_unref(a);
	free(e.text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct accounts *a;

	if (size == 0)
		return 0;
	if (data[0] == 0xff) {
		look_for_addresses(data + 1, size - 1);
		return 0;
	}
	if (accounts_parse((const char *)data + 1, size - 1, &a) == MQ_OK) {
		for (size_t i = 0; i < a->n; i++)
			(void)account_may(&a->list[i], "topic", ACCOUNT_PUB);
		accounts_unref(a);
	}
	change((const char *)data + 1, size - 1, data[0] % 3);
	return 0;
}
