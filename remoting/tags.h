/* tags.h - a tag expression of RocketMQ's, `TagA || TagB`, as the codes that entries of a
 * queue have.  Two tags may have one code, so a client looks again at what it is given. */
#ifndef MQFS_REMOTING_TAGS_H
#define MQFS_REMOTING_TAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tags {
	bool all;
	int32_t *codes;
	size_t n;
};

/* "" and `*` are all.  -EINVAL: there is no tag in it; -ENOMEM. */
int tags_parse(const char *text, size_t len, struct tags *ret);
void tags_free(struct tags *t);

bool tags_match(const struct tags *t, int64_t tags_code);

#endif
