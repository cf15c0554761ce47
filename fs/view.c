#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "fs/estate.h"
#include "fs/framing.h"
#include "fs/point.h"
#include "fs/scratch.h"
#include "fs/view_priv.h"
#include "store/mapped.h"

#define OPEN_END INT64_MAX

/* --- opening --------------------------------------------------------------------- */

static int
source_open(struct mount *m, struct queue *q, const struct name_point *from, const struct name_point *to,
	    struct source *src)
{
	mq_qoff first, last = MQ_QOFF(OPEN_END);
	struct queue_span span;
	int rc;

	queue_span(q, &span);
	rc = point_in_queue(m, q, from, &first);
	if (rc == MQ_OK && to->kind != POINT_NONE)
		rc = point_in_queue(m, q, to, &last);
	if (rc != MQ_OK)
		return rc;
	if (first.n < span.min.n)
		return MQ_EGONE;
	source_begin(src, q, first, last.n < first.n ? first : last);
	return MQ_OK;
}

static struct view *
view_make(struct mount *m, size_t n, enum topic_format format, struct filter *filter)
{
	struct view *v = calloc(1, sizeof(*v) + n * sizeof(v->src[0]));

	if (!v) {
		filter_free(filter);
		return NULL;
	}
	v->m = m;
	v->n = n;
	v->format = format;
	v->filter = filter;
	v->per_message = filter ? -1 : framing_per_message(format);
	return v;
}

int
view_open(struct mount *m, const struct view_spec *spec, struct view **ret)
{
	static const struct name_point none = { .kind = POINT_NONE };
	const struct estate_view *kept = spec->kept;
	bool last_few = !kept && spec->all && spec->from.kind == POINT_BEFORE_END;
	int32_t n = kept ? (int32_t)kept->n : spec->all ? topic_queues(m->offsets, spec->topic) : 1;
	struct view *v = view_make(m, (size_t)n, spec->format, spec->filter);
	int rc = !v ? -ENOMEM : kept && kept->n > ESTATE_SOURCES ? -ESTALE : MQ_OK;

	for (int32_t i = 0; rc == MQ_OK && i < n; i++) {
		struct queue *q;

		rc = topic_queue(m->offsets, spec->topic, spec->all ? i : spec->queue, &q);
		if (rc == MQ_OK && kept)
			source_begin(&v->src[i], q, MQ_QOFF(kept->from[i]), MQ_QOFF(kept->to[i]));
		else if (rc == MQ_OK)
			rc = source_open(m, q, last_few ? &none : &spec->from, &spec->to, &v->src[i]);
	}
	if (rc == MQ_OK && last_few)
		rc = seek_last(v, spec->from.value);
	if (rc == MQ_OK && v->filter && filter_key(v->filter))
		rc = keyed_look_up(v, spec->topic->name);
	if (rc != MQ_OK) {
		view_close(v);
		return rc;
	}
	*ret = v;
	return MQ_OK;
}

int
view_open_from(struct mount *m, struct queue *const *q, const mq_qoff *from, size_t n, enum topic_format format,
	       struct filter *filter, struct view **ret)
{
	struct view *v = view_make(m, n, format, filter);

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		source_begin(&v->src[i], q[i], from[i], MQ_QOFF(OPEN_END));
	*ret = v;
	return MQ_OK;
}

void
view_keep(const struct view *v, struct estate_view *ret_kept)
{
	ret_kept->n = (uint32_t)v->n;
	for (size_t i = 0; i < v->n && i < ESTATE_SOURCES; i++) {
		ret_kept->from[i] = v->src[i].from.n;
		ret_kept->to[i] = v->src[i].to.n;
	}
}

void
view_close(struct view *v)
{
	if (!v)
		return;
	filter_free(v->filter);
	free(v->keyed);
	free(v->places);
	free(v);
}

/* --- reading --------------------------------------------------------------------------------------- */

/* Where the body of a record at pos lies.  MQ_EEND: it is not stored as it was sent. */
static int
find_body(struct view *v, mq_pos pos, size_t *ret_at)
{
	unsigned char head[RECORD_BODY_AT];
	size_t hosts_v6;
	int rc;

	rc = run_read_log(v, pos, head, sizeof(head));
	if (rc == MQ_OK && head[39] & SYSFLAG_COMPRESSED)
		rc = MQ_EEND;
	if (rc != MQ_OK)
		return rc;
	hosts_v6 = (head[39] & SYSFLAG_BORNHOST_V6 ? 1u : 0u) + (head[39] & SYSFLAG_STOREHOST_V6 ? 1u : 0u);
	*ret_at = RECORD_BODY_AT + 12 * hosts_v6;
	return MQ_OK;
}

/* Part of one long message that was checked before: only that part is read. */
static int
read_part(struct view *v, const struct run *run, size_t skip, unsigned char *out, size_t size, size_t *ret_n)
{
	const struct queue_entry *e = &run->entries[0];
	size_t body_at, n = 0, len = (size_t)e->body_len;
	int rc;

	rc = find_body(v, e->pos, &body_at);
	if (rc != MQ_OK)
		return rc;
	if (skip < len) {
		n = len - skip < size ? len - skip : size;
		rc = run_read_log(v, pos_add(e->pos, (int64_t)(body_at + skip)), out, n);
		if (rc != MQ_OK)
			return rc;
	}
	if (n < size && skip + n == len)
		out[n++] = '\n';
	*ret_n = n;
	return MQ_OK;
}

static bool
is_long_line(const struct view *v, const struct run *run)
{
	return v->format == FORMAT_LINES && !v->filter && run->n == 1 && run->entries[0].total > RUN_BYTES &&
	       run->entries[0].total != QUEUE_HOLE_SIZE &&
	       queue_is_checked(run->src[0]->q, run->number[0], qoff_add(run->number[0], 1));
}

/* Render the run's messages from `skip` bytes into the first on; the cursor
 * ends on the message that did not fit whole. */
static int
run_render(struct view *v, struct run *run, size_t skip, unsigned char *out, size_t size, size_t *ret_n)
{
	struct record rec;
	size_t done = 0;
	int rc = MQ_OK;

	for (size_t i = 0; i < run->n; i++) {
		size_t len, n;

		if (done == size) {
			run_give_back(run, i);
			break;
		}
		rc = run_record(v, run, i, &rec);
		if (rc != MQ_OK) {
			run_give_back(run, i);
			break;
		}
		if (!view_shows(v, &rec))
			continue;
		if (v->per_message < 0)
			seek_remember(v, run->number[i].n);
		len = v->per_message < 0 ? framing_length(v->format, &rec)
					 : (size_t)(rec.body_len + v->per_message);
		n = framing_render(v->format, &rec, skip, out + done, size - done);
		done += n;
		if (skip + n < len) {
			run_give_back(run, i);
			break;
		}
		skip = 0;
		v->byte += (int64_t)len;
	}
	*ret_n = done;
	return rc;
}

struct render {
	struct view *v;
	struct run *run;
	size_t skip;
	unsigned char *out;
	size_t size, n;
	int rc;
};

static void
render_body(void *arg)
{
	struct render *r = arg;

	r->rc = run_render(r->v, r->run, r->skip, r->out, r->size, &r->n);
}

/* Render the run's messages from where they lie in memory, which saves a copy.  False: they have to be read; the
 * run was given back then, or nothing has changed.
 *
 * A cut may have changed the bytes meanwhile.  It cuts the queues before the log, so it shows afterwards. */
static bool
render_mapped(struct view *v, struct run *run, size_t skip, unsigned char *out, size_t size, size_t *ret_n)
{
	struct render r = { .v = v, .run = run, .skip = skip, .out = out, .size = size };
	int64_t byte = v->byte;
	int rc;

	if (!run_map(v, run))
		return false;
	rc = mapped_try(render_body, &r);
	run_unmap(v, run);		/* with it, all bytes have been read */
	if (rc == MQ_OK && r.rc == MQ_OK && !view_was_cut(v)) {
		*ret_n = r.n;
		return true;
	}
	v->byte = byte;
	run_give_back(run, 0);
	return false;
}

static int
read_run(struct view *v, int64_t byte, unsigned char *out, size_t size, size_t *ret_n)
{
	struct scratch *scratch = scratch_get();
	size_t skip = (size_t)(byte - v->byte);
	struct run run;
	int rc;

	if (!scratch)
		return -ENOMEM;
	rc = run_collect(v, skip + size, &run);
	if (rc != MQ_OK)
		return rc;
	rc = is_long_line(v, &run) ? read_part(v, &run, skip, out, size, ret_n) : MQ_EEND;
	if (rc != MQ_EEND) {
		if (rc != MQ_OK || skip + *ret_n < (size_t)run.entries[0].body_len + 1)
			run_give_back(&run, 0);
		else
			v->byte += run.entries[0].body_len + 1;
		return rc;
	}
	if (render_mapped(v, &run, skip, out, size, ret_n))
		return MQ_OK;
	rc = run.n == 0 ? run_collect(v, skip + size, &run) : MQ_OK;
	if (rc == MQ_OK)
		rc = run_read(v, &run, scratch);
	if (rc != MQ_OK) {
		run_give_back(&run, 0);
		return rc;
	}
	return run_render(v, &run, skip, out, size, ret_n);
}

/* Note that the bytes before `end` were read: the messages up to there are shown, also one that was read in
 * part. */
static void
note_shown(struct view *v, int64_t end)
{
	const struct queue_entry *e;
	struct source *s;

	for (size_t i = 0; i < v->n; i++)
		if (v->src[i].next.n > v->src[i].shown.n)
			v->src[i].shown = v->src[i].next;
	if (end > v->byte && source_first(v, &s, &e) == MQ_OK && s->next.n == s->shown.n)
		s->shown.n++;
}

bool
view_was_cut(const struct view *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (queue_cuts(v->src[i].q) != v->src[i].cuts)
			return true;
	return false;
}

static void
notice_cuts(struct view *v)
{
	if (!view_was_cut(v))
		return;
	v->keyed_end = MQ_POS(0);	/* other messages may be at these positions now */
	for (size_t i = 0; i < v->n; i++)
		source_look(&v->src[i]);
}

void
view_work_in_slices(struct view *v)
{
	v->in_slices = v->per_message < 0;
}

static void
slice_begin(struct view *v)
{
	v->until_ms = v->in_slices ? clock_mono_ms() + VIEW_SLICE_MS : 0;
}

static void
slice_end(struct view *v)
{
	v->until_ms = 0;
}

int
view_read(struct view *v, int64_t byte, void *buf, size_t size, size_t *ret_n)
{
	size_t done = 0;
	int rc;

	notice_cuts(v);
	slice_begin(v);
	rc = seek_byte(v, byte);
	if (rc == MQ_OK && v->byte > byte)
		rc = -EIO;
	while (rc == MQ_OK && done < size) {
		size_t n = 0;

		rc = read_run(v, byte + (int64_t)done, (unsigned char *)buf + done, size - done, &n);
		done += n;
		if (rc == MQ_OK && n == 0 && view_time_is_up(v))
			rc = MQ_ELATER;
	}
	if (rc == -EIO && done == 0 && view_was_cut(v))	/* while it was read */
		return view_read(v, byte, buf, size, ret_n);
	note_shown(v, byte + (int64_t)done);
	slice_end(v);
	if (rc != MQ_OK && rc != MQ_EEND && done == 0)
		return rc;
	*ret_n = done;
	return MQ_OK;
}

int
view_read_whole(struct view *v, int64_t byte, void *buf, size_t size, size_t *ret_n)
{
	size_t done = 0, n = 1;
	int rc = MQ_OK;

	while (rc == MQ_OK && done < size && n > 0) {
		rc = view_read(v, byte + (int64_t)done, (unsigned char *)buf + done, size - done, &n);
		done += rc == MQ_OK ? n : 0;
	}
	*ret_n = done;
	return rc;
}

bool
view_is_ready(struct view *v, int64_t byte)
{
	const struct queue_entry *e;
	struct source *first;
	bool open = false;
	int64_t size;

	notice_cuts(v);
	if (v->filter) {
		int rc;

		slice_begin(v);
		rc = source_first(v, &first, &e);
		slice_end(v);
		if (v->byte != byte || rc != MQ_EEND)
			return true;		/* a read finds out */
	}
	for (size_t i = 0; i < v->n; i++) {
		struct source *s = &v->src[i];

		if (s->next.n >= s->limit.n)
			return true;		/* a read returns the error */
		if (source_end(s).n > s->next.n)
			return v->byte == byte || view_size(v, &size) != MQ_OK || size > byte;
		open |= source_end(s).n < s->to.n;
	}
	return !open;
}

struct queue *
view_queue(const struct view *v, size_t i)
{
	return i < v->n ? v->src[i].q : NULL;
}

bool
view_filters(const struct view *v)
{
	return v->filter != NULL;
}

int
view_size(struct view *v, int64_t *ret_bytes)
{
	int64_t total = 0;

	if (v->per_message < 0) {
		int rc = seek_measuring(v, INT64_MAX);

		if (rc == MQ_OK)
			*ret_bytes = v->byte;
		return rc;
	}
	for (size_t i = 0; i < v->n; i++) {
		struct source *s = &v->src[i];
		mq_qoff end = source_end(s);
		int64_t bytes;
		int rc;

		if (s->from.n > end.n)
			continue;
		rc = queue_byte_of(s->q, s->from, end, v->per_message, &bytes);
		if (rc != MQ_OK)
			return rc;
		total += bytes;
	}
	*ret_bytes = total;
	return MQ_OK;
}

bool
view_is_finished(struct view *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (source_end(&v->src[i]).n < v->src[i].to.n)
			return false;
	return true;
}

int
view_go(struct view *v, int64_t byte)
{
	int rc;

	slice_begin(v);
	rc = seek_byte(v, byte);
	slice_end(v);
	return rc;
}

mq_qoff
view_next(const struct view *v, size_t i)
{
	return v->src[i].next;
}

mq_qoff
view_from(const struct view *v, size_t i)
{
	return v->src[i].from;
}
