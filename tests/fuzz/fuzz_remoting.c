/* Any bytes as frames of the remoting protocol: cut differently they mean the
 * same, with their fields as an object or as a list, and what was understood can be said again, in
 * both dialects. */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "net/remoting.h"
#include "tests/fuzz/target.h"

/* The next frame of [*at, end), at most `cut` bytes at once. */
static int
next_frame(struct remoting_reader *r, const uint8_t **at, const uint8_t *end, size_t cut,
	   struct remoting_frame *ret)
{
	int rc = MQ_EEND;

	while (rc == MQ_EEND && *at < end) {
		size_t n, left = (size_t)(end - *at);
		void *place = remoting_reader_place(r, &n);

		MUST(place && n > 0);
		n = n < cut ? n : cut;
		n = n < left ? n : left;
		memcpy(place, *at, n);
		*at += n;
		MUST(r->room <= 4096 || r->room <= 2 * (r->len + n));
		rc = remoting_reader_take(r, n, ret);
	}
	return rc;
}

static bool
always(int code)
{
	(void)code;
	return true;
}

/* A frame with the same fields as an object: the caller clears it. */
static struct remoting_frame
with_object(struct remoting_frame *f)
{
	struct remoting_frame g = *f;

	g.fields = NULL;
	g.ext = f->fields && f->fields->n > 0 ? fields_object(f->fields) : json_incref(f->ext);
	return g;
}

static bool
same(const struct remoting_frame *a, const struct remoting_frame *b)
{
	return a->code == b->code && a->opaque == b->opaque && a->flag == b->flag &&
	       a->version == b->version &&
	       !a->remark == !b->remark && (!a->remark || strcmp(a->remark, b->remark) == 0) &&
	       !a->ext == !b->ext && (!a->ext || json_equal(a->ext, b->ext)) && a->body_len == b->body_len &&
	       (a->body_len == 0 || memcmp(a->body, b->body, a->body_len) == 0);
}

/* Is there something that this dialect has no room for, or tells from nothing? */
static bool
has_no_words_for(enum remoting_dialect dialect, const struct remoting_frame *f)
{
	return dialect == REMOTING_BINARY &&
	       (f->version != (int16_t)f->version || (f->remark && !*f->remark) ||
		(f->ext && json_object_size(f->ext) == 0));
}

static void
say_again(struct remoting_frame *f, enum remoting_dialect dialect)
{
	struct remoting_reader r = { .head_len = 0 };
	struct remoting_frame meant = with_object(f), again;
	const uint8_t *at;
	char *bytes = NULL;
	size_t len;

	f->dialect = dialect;
	if (!has_no_words_for(dialect, f) && remoting_encode(f, &bytes, &len) == MQ_OK &&
	    len - f->body_len <= REMOTING_HEAD_BYTES + REMOTING_HEADER_MAX) {
		at = (const uint8_t *)bytes;
		MUST(next_frame(&r, &at, at + len, SIZE_MAX, &again) == MQ_OK);
		if (f->fields && f->fields->n == 0) {	/* an object without fields, or none */
			json_decref(again.ext);
			again.ext = NULL;
		}
		MUST(same(&meant, &again));
		remoting_frame_clear(&again);
	}
	json_decref(meant.ext);
	remoting_reader_clear(&r);
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct remoting_reader whole = { .head_len = 0 }, bits = { .cuts = always };
	const uint8_t *end = data + size, *at = data, *also = data;
	int rc = MQ_OK;

	while (rc == MQ_OK) {
		struct remoting_frame f, g, again;

		rc = next_frame(&whole, &at, end, SIZE_MAX, &f);
		MUST(rc == MQ_OK || rc == MQ_EEND || rc == MQ_ECORRUPT);
		MUST(next_frame(&bits, &also, end, 3, &g) == rc);
		if (rc != MQ_OK)
			break;
		again = with_object(&g);
		MUST(at == also && same(&f, &again) && !remoting_reader_is_amid(&whole));
		json_decref(again.ext);
		say_again(&f, REMOTING_JSON);
		say_again(&f, REMOTING_BINARY);
		say_again(&g, REMOTING_JSON);
		say_again(&g, REMOTING_BINARY);
		remoting_frame_clear(&f);
		remoting_frame_clear(&g);
	}
	remoting_reader_clear(&whole);
	remoting_reader_clear(&bits);
	return 0;
}
