/* Any bytes as what a slave, or a master, sends: cut differently, they mean the same. */
#include "config.h"

#include <string.h>

#include "conf/err.h"
#include "repl/ha.h"
#include "tests/fuzz/target.h"

/* What a stream came to. */
struct outcome {
	int rc;
	uint64_t sum;		/* of all that was understood */
	size_t taken;
};

static void
mix(struct outcome *o, int64_t value)
{
	o->sum = (o->sum ^ (uint64_t)value) * 0x100000001b3u;
}

/* The first size bytes as frames, at most `cut` bytes at once. */
static struct outcome
frames(const uint8_t *data, size_t size, size_t cut)
{
	struct outcome o = { .rc = MQ_OK };
	struct ha_frames f = { .head_len = 0 };

	while (o.taken < size && (o.rc == MQ_OK || o.rc == MQ_EEND)) {
		size_t n = f.left > 0 ? (size_t)f.left : ha_frames_head_left(&f);

		n = n < cut ? n : cut;
		n = n < size - o.taken ? n : size - o.taken;
		if (f.left > 0) {
			ha_frames_body(&f, n);
		} else {
			memcpy(f.head + f.head_len, data + o.taken, n);
			o.rc = ha_frames_head(&f, n);
			MUST(o.rc == MQ_OK || o.rc == MQ_EEND || o.rc == MQ_ECORRUPT);
			if (o.rc == MQ_OK) {
				MUST(f.left >= 0 && f.left <= HA_BODY_MAX && f.pos >= 0 && f.pos <= INT64_MAX - f.left);
				mix(&o, f.pos);
				mix(&o, f.left);
			}
		}
		o.taken += n;
	}
	return o;
}

/* Where a slave that says so is sent from, and what it said last. */
static struct outcome
reports(const uint8_t *data, size_t size, size_t cut)
{
	struct outcome o = { .rc = MQ_EEND };
	struct ha_reports r = { .part_len = 0 };
	int64_t last = -1, start;

	for (o.taken = 0; o.taken < size && o.rc != MQ_ECORRUPT; o.taken += cut) {
		size_t n = size - o.taken < cut ? size - o.taken : cut;

		o.rc = ha_reports_take(&r, data + o.taken, n, &last);
		MUST(o.rc == MQ_OK || o.rc == MQ_EEND || o.rc == MQ_ECORRUPT);
		MUST(r.part_len < HA_REPORT_BYTES && (o.rc != MQ_OK || last >= 0));
	}
	if (last >= 0 && ha_start(last, 65536, 1 << 20, &start) == MQ_OK)
		MUST(start >= 65536 && start <= 1 << 20);
	if (o.rc != MQ_ECORRUPT)
		mix(&o, last);		/* else what came before it depends on the cut */
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t cuts[] = { 1, 3, 8, 12, 13, 100 };
	struct outcome whole = frames(data, size, SIZE_MAX);
	struct outcome said = reports(data, size, size ? size : 1);

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct outcome o = frames(data, size, cuts[i]);

		MUST((o.rc == MQ_ECORRUPT) == (whole.rc == MQ_ECORRUPT) && o.sum == whole.sum);
		o = reports(data, size, cuts[i]);
		MUST((o.rc == MQ_ECORRUPT) == (said.rc == MQ_ECORRUPT) && o.sum == said.sum);
	}
	return 0;
}
