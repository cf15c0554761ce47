/* A stream in any pieces gives the messages that it gives as one; what is too
 * long gives none.
 *
 * Input: format and `whole`, the limit, then writes: a length byte and so many bytes.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "fs/framing.h"
#include "tests/fuzz/target.h"

#define STREAM_BYTES 65536

/* Messages, each with its length before it. */
struct got {
	unsigned char bytes[5 * STREAM_BYTES];
	size_t len;
};

static void
got_add(struct got *g, const unsigned char *a, size_t a_len, const unsigned char *b, size_t b_len)
{
	MUST(g->len + 4 + a_len + b_len <= sizeof(g->bytes));
	be32_put(g->bytes + g->len, (int32_t)(a_len + b_len));
	g->len += 4;
	if (a_len)
		memcpy(g->bytes + g->len, a, a_len);
	g->len += a_len;
	if (b_len)
		memcpy(g->bytes + g->len, b, b_len);
	g->len += b_len;
}

/* One write from memory of its own; MQ_OK, or why it was refused. */
static int
write_once(struct splitter *s, const uint8_t *data, size_t len, struct got *g, size_t *ret_taken)
{
	uint8_t *copy = malloc(len ? len : 1);
	size_t at = 0;
	struct piece p;
	int rc;

	MUST(copy);
	memcpy(copy, data, len);
	while ((rc = splitter_next(s, copy, len, &at, &p)) == MQ_OK) {
		if (s->format != FORMAT_JSON)
			MUST(p.a_len + p.b_len <= s->max_body);
		got_add(g, p.a, p.a_len, p.b, p.b_len);
	}
	free(copy);
	MUST(at <= len && (rc != MQ_EEND || at == len));
	*ret_taken = at;
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* The same without thinking: all of the stream is there, nothing is too long. */
static void
split_plainly(const struct splitter *s, const unsigned char *p, size_t len, struct got *g)
{
	size_t n;

	if (s->whole) {
		if (len)
			got_add(g, p, len, NULL, 0);
		return;
	}
	for (; len > 0; p += n, len -= n) {
		const unsigned char *nl = memchr(p, '\n', len);

		if (s->format == FORMAT_LEN32) {
			if (len < 4 || len - 4 < (size_t)be32_get(p))
				return;
			n = 4 + (size_t)be32_get(p);
			got_add(g, p + 4, n - 4, NULL, 0);
		} else {
			n = nl ? (size_t)(nl - p) : len;
			got_add(g, p, n, NULL, 0);
			n += nl != NULL;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char stream[STREAM_BYTES];
	static struct got got, plain;
	size_t stream_len = 0, taken;
	bool refused = false;
	struct splitter s;
	struct piece p;

	if (size < 2 || size > STREAM_BYTES)
		return 0;
	got.len = plain.len = 0;
	splitter_init(&s, (enum topic_format)(data[0] & 3), data[0] & 4, data[1]);
	for (size_t at = 2; at < size; at += taken) {
		size_t len = data[at++];

		len = len < size - at ? len : size - at;
		if (write_once(&s, data + at, len, &got, &taken) != MQ_OK) {
			refused = true;
			taken = len;
			continue;
		}
		memcpy(stream + stream_len, data + at, len);
		stream_len += len;
	}
	if (splitter_finish(&s, &p) == MQ_OK)
		got_add(&got, p.a, p.a_len, p.b, p.b_len);
	MUST(!splitter_holds(&s));
	if (!refused && (s.whole || s.format != FORMAT_RAW)) {
		split_plainly(&s, stream, stream_len, &plain);
		MUST(got.len == plain.len && memcmp(got.bytes, plain.bytes, got.len) == 0);
	}
	splitter_free(&s);
	return 0;
}
