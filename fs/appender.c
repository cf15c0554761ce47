#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/array.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "fs/appender.h"
#include "fs/pending.h"
#include "fs/scratch.h"
#include "fs/view.h"
#include "store/delays.h"
#include "store/properties.h"

#define DELIVER_WITHIN_MS (INT64_C(366) * 86400 * 1000)

void
appender_init(struct appender *a, struct topic *t, bool all, int32_t queue, enum topic_format format, bool whole,
	      size_t max_body)
{
	*a = (struct appender){ .topic = t, .all = all, .queue = queue };
	splitter_init(&a->splitter, format, whole, max_body);
}

void
appender_free(struct appender *a)
{
	splitter_free(&a->splitter);
	free(a->retry);
	free(a->props);
	a->retry = NULL;
	a->props = NULL;
}

/* --- properties ---------------------------------------------------------------------- */

/* A message that has properties gets a UNIQ_KEY, unless it came with one. */
static int
add_uniq_key(struct mount *m, struct properties *p)
{
	char key[UNIQ_KEY_MAX];
	size_t len;

	if (p->len == 0 || record_property(p->buf, p->len, "UNIQ_KEY", &len))
		return MQ_OK;
	uniq_key_make(&m->host, key, &len);
	return properties_add(p, "UNIQ_KEY", key, len);
}

/* --- delivery time ------------------------------------------------------------------------------- */

/* The level with exactly this delay, because RocketMQ delivers levels only; 0: there is none. */
static int
level_of(int64_t delay_ms)
{
	for (int level = 1; level <= record_levels(); level++)
		if (record_level_ms(level) == delay_ms)
			return level;
	return 0;
}

static int
give_time(struct appender *a, const struct name *name)
{
	if (name->delay_level > record_levels())
		return err_note(-EINVAL, "delay=level%d: messageDelayLevel has %d levels", name->delay_level,
				record_levels());
	if (name->delay_ms > DELIVER_WITHIN_MS || name->deliver_at_ms > clock_wall_ms() + DELIVER_WITHIN_MS)
		return err_note(-EINVAL, "a message can be delivered at most a year later");
	a->level = name->delay_level ? name->delay_level : level_of(name->delay_ms);
	a->delay_ms = name->delay_ms;
	a->deliver_at_ms = name->deliver_at_ms;
	a->later = a->level > 0 || a->delay_ms > 0 || a->deliver_at_ms > 0;
	return MQ_OK;
}

/* The queue in which messages for queue `queue` of the topic are stored. */
static int
queue_of(struct mount *m, const struct appender *a, int32_t queue, struct queue **ret_q)
{
	return a->later ? delays_queue(m->store, a->level, ret_q) : topic_queue(m->offsets, a->topic, queue, ret_q);
}

int
appender_give(struct mount *m, struct appender *a, const struct name *name)
{
	struct properties p = { .size = 3 * NAME_BYTES_MAX };
	int rc = MQ_OK;

	rc = give_time(a, name);
	if (rc != MQ_OK)
		return rc;
	if (strstr(name->tags, "||"))
		return err_note(-EINVAL, "tag=%s: a message has one tag; A||B is for reading", name->tags);
	if (!name->tags[0] && !name->keys[0] && !name->props[0])
		return MQ_OK;
	p.buf = malloc(p.size);
	if (!p.buf)
		return -ENOMEM;
	if (name->tags[0])
		rc = properties_add(&p, "TAGS", name->tags, strlen(name->tags));
	if (rc == MQ_OK && name->keys[0])
		rc = properties_add(&p, "KEYS", name->keys, strlen(name->keys));
	if (rc == MQ_OK)
		rc = properties_add_missing(&p, name->props, strlen(name->props));
	a->given_len = p.len;
	if (rc == MQ_OK)
		rc = add_uniq_key(m, &p);
	free(a->props);
	a->props = p.buf;
	a->props_len = p.len;
	return rc;
}

/* Give msg the properties of the name, with a new UNIQ_KEY in the place of the last message's. */
static void
give_props(struct mount *m, struct appender *a, struct message *msg)
{
	char key[UNIQ_KEY_MAX];
	size_t len;

	if (!a->props)
		return;
	uniq_key_make(&m->host, key, &len);
	memcpy(a->props + a->props_len - len, key, len);
	msg->props = a->props;
	msg->props_len = a->props_len;
}

/* Add the properties of the name, and a UNIQ_KEY, where the json line has none. */
static int
complete_props(struct mount *m, const struct appender *a, struct json_message *json)
{
	struct properties p = { .buf = json->props, .size = RECORD_PROPS_MAX, .len = json->props_len };
	int rc = MQ_OK;

	if (a->props)		/* without the UNIQ_KEY, which is the last message's */
		rc = properties_add_missing(&p, a->props, a->given_len);
	if (rc == MQ_OK)
		rc = add_uniq_key(m, &p);
	json->props_len = p.len;
	return rc == MQ_OK ? rc : err_note(rc, "json: %s", err_text(rc));
}

/* Allocate a->retry, if it is not there yet. */
static int
retry_make(struct appender *a)
{
	if (!a->retry)
		a->retry = calloc(1, sizeof(*a->retry));
	return a->retry ? MQ_OK : -ENOMEM;
}

/* --- across a crash ------------------------------------------------------------------ */

/* Find how many messages of the begun write are stored: by the queue's length, which nothing else has changed yet;
 * or by the note, if a broker before this one has looked. */
static int
find_begun(struct mount *m, struct appender *a, struct estate_file *f)
{
	struct estate_note note = *estate_note(f);

	if (!note.looked) {
		struct queue_span span;
		struct queue *q;
		int rc;

		rc = queue_of(m, a, note.queue, &q);
		if (rc != MQ_OK)
			return rc;
		queue_span(q, &span);
		note.stored = span.end.n - note.first;
		note.looked = true;
		estate_set_note(f, &note);
	}
	a->begun = (struct begun){
		.unique = note.unique,
		.queue = note.queue,
		.at = note.at,
		.skip = note.stored,
	};
	return MQ_OK;
}

static int
find_retry(struct appender *a, const struct estate_file *f)
{
	const struct retry *kept = estate_retry(f);
	int rc;

	if (kept->len == 0)
		return MQ_OK;
	rc = retry_make(a);
	if (rc == MQ_OK)
		memcpy(a->retry, kept, retry_bytes(kept));
	return rc;
}

int
appender_resume(struct mount *m, struct appender *a, struct estate_file *f)
{
	const struct estate_tail *tail = estate_tail(f);
	const struct estate_note *note = estate_note(f);
	int rc;

	if (tail->held_len > ESTATE_TAIL_BYTES)
		return err_note(-EIO, "%s: the beginning of a line went with the broker", a->topic->name);
	a->kept = f;
	a->splitter.step = (enum splitter_step)tail->step;
	a->splitter.refused_len = tail->refused_len;
	a->splitter.refused_crc = tail->refused_crc;
	if (note->unique && note->unique != tail->unique) {
		rc = find_begun(m, a, f);
		if (rc != MQ_OK)
			return rc;
	}
	rc = find_retry(a, f);
	if (rc != MQ_OK)
		return rc;
	return splitter_hold(&a->splitter, estate_held(f), tail->held_len);
}

static bool
was_begun(const struct appender *a)
{
	return a->begun.unique && a->begun.unique == a->request;
}

/* If a dead broker has done this write without answering it, give its answer. */
static bool
was_done(const struct appender *a, size_t *ret_n, mq_pos *ret_end, int *ret_rc)
{
	const struct estate_tail *tail = a->kept ? estate_tail(a->kept) : NULL;

	if (!tail || !tail->unique || tail->unique != a->request)
		return false;
	*ret_rc = tail->result < 0 ? (int)tail->result : MQ_OK;
	if (tail->result >= 0) {
		*ret_n = (size_t)tail->result;
		*ret_end = MQ_POS(tail->end);
	}
	return true;
}

/* The write is done: keep its answer, and the unfinished message that it leaves in the open file. */
static void
keep_done(struct appender *a, int rc, size_t n, mq_pos end)
{
	const struct splitter *sp = &a->splitter;
	struct estate_tail tail = {
		.unique = a->request,
		.result = rc == MQ_OK ? (ssize_t)n : rc,
		.end = end.byte,
		.step = (int)sp->step,
		.refused_len = sp->refused_len,
		.refused_crc = sp->refused_crc,
		.held_len = sp->held_len,
	};

	if (a->kept)
		estate_set_tail(a->kept, &tail, sp->held, a->retry);
}

int
appender_may_write(const struct mount *m)
{
	if (m->read_only)
		return err_note(-EROFS, "the store is mounted read-only");
	if (m->settings->brokerRole == SLAVE)
		return err_note(MQ_EROLE, "this broker is a slave; its master%s%s takes appends",
				*m->settings->master ? " " : "", m->settings->master);
	return MQ_OK;
}

/* May it append now? */
static int
may_append(struct mount *m)
{
	int rc = appender_may_write(m);

	if (rc != MQ_OK)
		return rc;
	rc = slaves_suffice(m);
	return rc == MQ_OK ? store_may_append(m->store) : rc;
}

/* --- messages --------------------------------------------------------------------- */

/* Set the fields that all messages of one write share. */
static void
message_begin(struct mount *m, const struct appender *a, int32_t queue, struct message *msg)
{
	*msg = (struct message){
		.topic = a->topic->name,
		.topic_len = strlen(a->topic->name),
		.queue_id = queue,
		.born_ms = clock_wall_ms(),
		.born = m->host,
		.stored = m->host,
	};
	msg->born.port = 0;		/* born here, not at the end of a connection */
}

static int
json_parse(const struct appender *a, const struct piece *piece, struct json_message *ret_json)
{
	struct json_message json;
	int rc;

	rc = framing_json_parse(piece, &json);
	if (rc != MQ_OK)
		return rc;
	if (json.body_len > a->splitter.max_body) {
		rc = err_note(-EMSGSIZE, "json: a body of %zu bytes is over maxMessageSize (%zu bytes)", json.body_len,
			      a->splitter.max_body);
		json_message_free(&json);
		return rc;
	}
	*ret_json = json;
	return MQ_OK;
}

static int
add_later(struct scratch *s, const struct appender *a, const struct message *msg)
{
	struct message waiting = *msg;
	int rc;

	rc = scratch_grow(&s->waiting, &s->waiting_size, DELAYED_PROPS_MAX);
	if (rc == MQ_OK)
		rc = delays_message(&waiting, a->level, a->deliver_at_ms ? a->deliver_at_ms : clock_wall_ms() + a->delay_ms,
				    (char *)s->waiting);
	return rc == MQ_OK ? batch_add(&s->batch, &waiting) : rc;
}

/* Add msg to the batch: a message for later as a delayed one. */
static int
add_to_batch(struct scratch *s, const struct appender *a, const struct message *msg)
{
	return a->later ? add_later(s, a, msg) : batch_add(&s->batch, msg);
}

static int
add_json(struct mount *m, struct scratch *s, const struct appender *a, struct message msg, const struct piece *piece)
{
	struct json_message json = { 0 };
	int rc;

	rc = json_parse(a, piece, &json);
	if (rc == MQ_OK)
		rc = complete_props(m, a, &json);
	if (rc != MQ_OK) {
		json_message_free(&json);
		return rc;
	}
	msg.body = json.body;
	msg.body_len = json.body_len;
	msg.props = json.props;
	msg.props_len = json.props_len;
	msg.flag = json.flag;
	if (json.born_ms)
		msg.born_ms = json.born_ms;
	rc = add_to_batch(s, a, &msg);
	json_message_free(&json);
	return rc;
}

static int
add_message(struct mount *m, struct scratch *s, struct appender *a, struct message *msg, const struct piece *piece)
{
	if (a->splitter.format == FORMAT_JSON)
		return add_json(m, s, a, *msg, piece);
	give_props(m, a, msg);
	msg->body = piece->a;
	msg->body_len = piece->a_len;
	msg->body2 = piece->b;
	msg->body2_len = piece->b_len;
	return add_to_batch(s, a, msg);
}

/* --- one write ----------------------------------------------------------------------- */

/* A write(2) that is being served, and which part of it is stored. */
struct write {
	struct mount *m;
	struct appender *a;
	struct scratch *s;
	struct queue *q;
	struct message msg;
	const char *buf;
	size_t size;
	size_t known;		/* bytes of it that were stored before it came */
	size_t at;		/* split up to here */
	size_t stored;		/* messages stored end here */
	int64_t skip;		/* messages from here on that a dead broker has stored */
	bool any;		/* at least one is */
	size_t held_before;	/* bytes of the first message from earlier writes */
	mq_pos end;
};

/* Keep a note from which, with the queue's end, the next broker can tell how much of the batch was stored. */
static void
note_begun(const struct write *w)
{
	struct queue_span span;

	if (!w->a->kept)
		return;
	queue_span(w->q, &span);
	estate_set_note(w->a->kept, &(struct estate_note){
					    .unique = w->a->request,
					    .queue = w->msg.queue_id,
					    .first = span.end.n,
					    .at = w->stored,
				    });
}

/* Append the collected messages. */
static int
write_out(struct write *w)
{
	struct appended done;
	int rc;

	if (w->s->batch.n == 0)
		return MQ_OK;
	note_begun(w);
	rc = store_append(w->m->store, w->q, &w->s->batch, &done);
	if (done.n > 0) {
		w->any = true;
		w->stored = w->s->ends[done.n - 1];
		w->end = done.end;
	}
	batch_clear(&w->s->batch);
	return rc;
}

/* The message that was added last ends at byte `at` of the write. */
static int
note_end(struct scratch *s, size_t at)
{
	size_t n = s->batch.n;
	int rc = ARRAY_ROOM(s->ends, s->ends_size, n);

	if (rc == MQ_OK)
		s->ends[n - 1] = at;
	return rc;
}

/* Split and append until the write ends or fails.  On failure w->at is where
 * the message that failed began. */
static int
write_messages(struct write *w)
{
	struct splitter *sp = &w->a->splitter;
	struct piece piece;
	int rc, failed = MQ_OK;

	for (;;) {
		size_t began = w->at;

		rc = splitter_next(sp, w->buf, w->size, &w->at, &piece);
		if (rc != MQ_OK)
			break;
		if (w->skip > 0) {
			w->skip--;
			w->stored = w->at;
			w->any = true;
			continue;
		}
		rc = add_message(w->m, w->s, w->a, &w->msg, &piece);
		if (rc == MQ_OK)
			rc = note_end(w->s, w->at);
		if (rc != MQ_OK) {
			w->at = began;
			break;
		}
		if (batch_full(&w->s->batch)) {
			failed = write_out(w);
			if (failed != MQ_OK)
				break;
		}
	}
	if (failed == MQ_OK)
		failed = write_out(w);
	if (failed != MQ_OK)
		return failed;
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* The write is answered as if it had ended where the stored messages end: the splitter
 * drops the bytes that it took beyond that, and holds again the bytes of an earlier
 * write whose message is not stored. */
static int
take_back(struct write *w, int rc)
{
	struct splitter *sp = &w->a->splitter;
	int held;

	if (rc == -EMSGSIZE || rc == -EINVAL)
		return rc;		/* framing.h says what the splitter holds then */
	if (!w->any)
		held = splitter_hold(sp, w->s->held, w->held_before);
	else
		held = splitter_hold(sp, NULL, 0);
	return held != MQ_OK ? held : rc;
}

static int
write_begin(struct write *w, struct mount *m, struct appender *a, const char *buf, size_t size)
{
	int32_t queue = a->queue;
	int rc;

	*w = (struct write){ .m = m, .a = a, .s = scratch_get(), .buf = buf, .size = size };
	if (!w->s)
		return -ENOMEM;
	if (was_begun(a))
		queue = a->begun.queue;
	else if (a->all)
		queue = (int32_t)(atomic_fetch_add(&m->round_robin, 1) %
				  (uint32_t)topic_queues_writable(m->offsets, a->topic));
	rc = queue_of(m, a, queue, &w->q);
	if (rc != MQ_OK)
		return rc;
	batch_clear(&w->s->batch);
	message_begin(m, a, queue, &w->msg);
	w->held_before = a->splitter.held_len;
	if (w->held_before > 0) {
		rc = scratch_grow(&w->s->held, &w->s->held_size, w->held_before);
		if (rc == MQ_OK)
			memcpy(w->s->held, a->splitter.held, w->held_before);
	}
	return rc;
}

/* Continue a write in which a dead broker has died.  If its first message is stored, so are the bytes of that
 * message from earlier writes, which the splitter still holds. */
static int
continue_begun(struct write *w)
{
	const struct begun *begun = &w->a->begun;

	w->end = mark_at(store_written(w->m->store));
	w->skip = begun->skip;
	if (begun->at == w->known)
		return MQ_OK;
	w->at = w->stored = begun->at;
	w->any = true;
	w->held_before = 0;
	return splitter_hold(&w->a->splitter, NULL, 0);
}

/* --- writing at an offset --------------------------------------------------------------- */

/* Are bytes [off, off + len) of the queue, which has them, those of buf? */
static int
compare(struct view *v, const char *buf, size_t len, int64_t off)
{
	unsigned char there[16 * 1024];

	for (size_t done = 0; done < len;) {
		size_t n = len - done < sizeof(there) ? len - done : sizeof(there);
		int rc = view_read(v, off + (int64_t)done, there, n, &n);

		if (rc != MQ_OK)
			return rc;
		if (n == 0 || memcmp(there, buf + done, n) != 0)
			return -EEXIST;
		done += n;
	}
	return MQ_OK;
}

/* How many of the remaining bytes of the write, which begins at `off`, the queue has already: up
 * to the queue's end they must be equal. */
static int
find_known(struct write *w, struct view *v, int64_t off, size_t *ret_known)
{
	int64_t size, end;
	size_t known;
	int rc;

	rc = view_size(v, &size);
	if (rc != MQ_OK)
		return rc;
	end = size + (int64_t)w->held_before;
	if (off > end)
		return err_note(-EINVAL, "write at byte %lld of %s/q%d, which ends at %lld", (long long)off,
				w->a->topic->name, (int)w->a->queue, (long long)end);
	if (off < end && w->held_before > 0)	/* held bytes are not stored, so they cannot be confirmed */
		return err_note(-EEXIST, "write at byte %lld of %s/q%d: an unfinished line is there", (long long)off,
				w->a->topic->name, (int)w->a->queue);
	known = w->size - w->at;
	if (off >= size)
		known = 0;
	else if (size - off < (int64_t)known)
		known = (size_t)(size - off);
	rc = compare(v, w->buf + w->at, known, off);
	if (rc == -EEXIST)
		return err_note(rc, "write at byte %lld of %s/q%d, which ends at %lld: other bytes are there (append "
				"with O_APPEND)", (long long)off, w->a->topic->name, (int)w->a->queue, (long long)end);
	if (rc == MQ_OK)
		*ret_known = known;
	return rc;
}

/* Skip the bytes that the queue has.  The queue is the caller's, so its end does not move. */
static int
skip_known(struct write *w, int64_t off, mq_pos *ret_end)
{
	mq_qoff min = queue_min(w->q);
	struct view *v;
	size_t known = 0;
	int rc;

	rc = view_open_from(w->m, &w->q, &min, 1, w->a->splitter.format, NULL, &v);
	if (rc != MQ_OK)
		return rc;
	rc = find_known(w, v, off + (int64_t)w->at, &known);
	view_close(v);
	if (rc != MQ_OK)
		return rc;
	if (known > 0)		/* these bytes may not be on the disk yet */
		*ret_end = mark_at(store_written(w->m->store));
	w->at += known;
	w->stored = w->at;
	return MQ_OK;
}

/* --- writing again -------------------------------------------------------------------------- */

/* How many bytes of the write are stored already, because it repeats the write whose wait has failed.  0 if a cut
 * of the log has removed them; a raw message is repeated only as a whole. */
static size_t
known_again(const struct mount *m, const struct appender *a, const char *buf, size_t size, int64_t off)
{
	bool cut = size + (size_t)sysconf(_SC_PAGESIZE) > m->max_write;

	if (!a->retry || a->retry->end > store_steady(m->store).byte)
		return 0;
	if (a->splitter.format == FORMAT_RAW && size != a->retry->len)
		return 0;
	return retry_match(a->retry, buf, size, off, cut);
}

/* Answer a repeated write as the write which stored these bytes: it waits again. */
static int
write_again(struct mount *m, struct appender *a, size_t known, size_t *ret_n, mq_pos *ret_end)
{
	int rc = appender_may_write(m);

	if (rc != MQ_OK)
		return rc;
	*ret_n = known;
	*ret_end = MQ_POS(a->retry->end);
	retry_begin_part(a->retry, a->request, known);
	if (!a->waits)
		retry_end(a->retry, a->request, true);
	return MQ_OK;
}

/* After a write: remember the checksums by which it is recognized if its wait fails. */
static void
note_retry(struct appender *a, const char *buf, int rc, size_t n, int64_t off, mq_pos end)
{
	if (rc != MQ_OK || !a->retry)
		return;
	if (a->waits && end.byte > 0)
		retry_begin(a->retry, a->request, buf, n, off, end.byte);
	else
		retry_forget(a->retry);
}

static _Atomic uint64_t *
waited_of(struct appender *a)
{
	return a->kept ? &a->kept->waited : &a->waited;
}

void
appender_waited(struct appender *a, uint64_t request, bool ok)
{
	retry_leave(waited_of(a), request, ok);
}

uint64_t
appender_failed(struct appender *a)
{
	retry_take_over(a->retry, waited_of(a));
	return retry_failed(a->retry);
}

void
appender_synced(struct appender *a, uint64_t request)
{
	retry_confirm(waited_of(a), request);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The queue is the caller's until topic_append_end(). */
static int
write_locked(struct write *w, int64_t off, size_t *ret_n, mq_pos *ret_end)
{
	int rc = MQ_OK;

	if (was_begun(w->a))
		rc = continue_begun(w);
	else if (off != RETRY_APPENDED)
		rc = skip_known(w, off, ret_end);
	if (rc != MQ_OK)
		return rc;
	rc = write_messages(w);
	if (w->any)
		*ret_end = w->end;
	if (rc == MQ_OK) {
		*ret_n = w->size;
		return MQ_OK;
	}
	rc = take_back(w, rc);
	if (w->stored == 0)
		return rc;
	*ret_n = w->stored;
	return MQ_OK;
}

/* Store the bytes behind the known ones.  The write is noted as done before another one can append to
 * its queue: the next broker counts by the queue's end how much of a begun write is stored. */
static int
write_rest(struct mount *m, struct appender *a, size_t known, const char *buf, size_t size, int64_t off,
	   size_t *ret_n, mq_pos *ret_end)
{
	struct write w;
	int rc;

	if (known > 0)
		*ret_end = MQ_POS(a->retry->end);
	rc = may_append(m);
	if (rc == MQ_OK)
		rc = write_begin(&w, m, a, buf, size);
	w.known = w.at = w.stored = known;
	if (rc == MQ_OK)
		rc = topic_append_begin(m->offsets, a->topic, w.q);
	if (rc != MQ_OK) {
		keep_done(a, rc, 0, *ret_end);
		return rc;
	}
	rc = write_locked(&w, off, ret_n, ret_end);
	note_retry(a, buf, rc, *ret_n, off, *ret_end);
	keep_done(a, rc, *ret_n, *ret_end);
	topic_append_end(w.q);
	return rc;
}

int
appender_write(struct mount *m, struct appender *a, const char *buf, size_t size, int64_t off, size_t *ret_n,
	       mq_pos *ret_end)
{
	size_t known;
	int rc;

	*ret_end = MQ_POS(0);
	if (off != RETRY_APPENDED && a->all)
		return err_note(-EINVAL, "%s/all can only be appended to", a->topic->name);
	if (off != RETRY_APPENDED && a->later)
		return err_note(-EINVAL, "%s: what is delivered later can only be appended", a->topic->name);
	if (was_done(a, ret_n, ret_end, &rc))
		return rc;
	if (a->waits) {
		rc = retry_make(a);
		if (rc != MQ_OK)
			return rc;
	}
	retry_take_over(a->retry, waited_of(a));
	known = known_again(m, a, buf, size, off);
	if (known == size || (known > 0 && known < a->retry->len)) {
		rc = write_again(m, a, known, ret_n, ret_end);
		keep_done(a, rc, *ret_n, *ret_end);
	} else {
		rc = write_rest(m, a, known, buf, size, off, ret_n, ret_end);
	}
	a->begun.unique = 0;
	return rc;
}

/* --- closing -------------------------------------------------------------------------------- */

int
appender_check(struct mount *m, const struct appender *a)
{
	const struct splitter *sp = &a->splitter;
	struct json_message json;
	int rc;

	if (sp->step != SPLITTER_IN_STEP)
		return err_note(-EMSGSIZE, "the last message was over maxMessageSize (%zu bytes) and is not stored",
				sp->max_body);
	if (!splitter_holds(sp))
		return MQ_OK;
	if (sp->format == FORMAT_LEN32 && !sp->whole)
		return err_note(-EINVAL, "len32: the last message was cut off after %zu bytes", sp->held_len);
	if (sp->format == FORMAT_JSON) {
		rc = json_parse(a, &(struct piece){ .a = sp->held, .a_len = sp->held_len }, &json);
		if (rc != MQ_OK)
			return rc;
		json_message_free(&json);
	}
	return may_append(m);
}

int
appender_finish(struct mount *m, struct appender *a, bool accepted)
{
	struct piece piece;
	struct write w;
	int rc;

	if (!splitter_holds(&a->splitter))
		return MQ_OK;
	a->request = ESTATE_AT_CLOSE;
	if (was_begun(a) && a->begun.skip > 0)
		return MQ_OK;		/* a dead broker has stored it */
	rc = accepted ? appender_may_write(m) : may_append(m);
	if (rc == MQ_OK)
		rc = write_begin(&w, m, a, NULL, 0);
	if (rc != MQ_OK)
		return rc;
	rc = splitter_finish(&a->splitter, &piece);
	if (rc != MQ_OK)
		return rc == MQ_EEND ? MQ_OK : rc;
	rc = add_message(m, w.s, a, &w.msg, &piece);
	if (rc == MQ_OK)
		rc = note_end(w.s, 0);
	if (rc == MQ_OK)
		rc = topic_append_begin(m->offsets, a->topic, w.q);
	if (rc != MQ_OK)
		return rc;
	rc = write_out(&w);
	keep_done(a, rc, 0, w.end);
	topic_append_end(w.q);
	return rc;
}
