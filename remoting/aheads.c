#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "net/request.h"
#include "remoting/aheads.h"
#include "store/record.h"

#define STREAMS 64
#define KIND_FLAGS (RING_FLAG_MEMBER | RING_FLAG_BROADCAST)

struct stream {
	struct aheads *of;
	char group[RECORD_TOPIC_MAX + 1], topic[RECORD_TOPIC_MAX + 1];	/* topic "": not in use */
	int32_t queue_id, max_messages;
	uint32_t flags;			/* of KIND_FLAGS */
	uint32_t use;			/* changes when the place becomes another stream's */
	int64_t next;			/* where the last answer has ended; -1: there is none */
	int64_t answered_us;		/* when that was given */
	int64_t committed;		/* what its last PULL has committed; -1: nothing */

	/* what was looked ahead, and values of the pull that asked for it */
	struct ring_ahead ahead;
	struct ring_piece pieces[RING_PIECES];
	int64_t min, max;
	int32_t suggest;
	uint32_t at, piece_at;		/* the next answer, and its first piece */

	/* given to clients, and not told to the mount yet */
	int32_t took;			/* answers */
	int64_t messages, bytes;
};

struct aheads {
	struct stream streams[STREAMS];	/* by a hash of their names */
	size_t n_news;			/* of them have something to tell */
};

int
aheads_open(struct aheads **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < STREAMS; i++)
		(*ret)->streams[i].of = *ret;
	return MQ_OK;
}

void
aheads_close(struct aheads *a)
{
	free(a);
}

/* --- streams ------------------------------------------------------------------------------------------ */

static bool
is_for_all(const struct ask *ask)
{
	return !(ask->s.flags & RING_FLAG_SQL) && (ask->s.text_len == 0 || strcmp(ask->text, "*") == 0);
}

static bool
is_of(const struct stream *s, const struct ask *ask)
{
	return s->queue_id == ask->s.queue_id && s->max_messages == ask->s.max_messages &&
	       s->flags == (ask->s.flags & KIND_FLAGS) && strcmp(s->topic, ask->topic) == 0 &&
	       strcmp(s->group, ask->group) == 0;
}

static void
begin(struct stream *s, const struct ask *ask)
{
	*s = (struct stream){
		.of = s->of, .queue_id = ask->s.queue_id, .max_messages = ask->s.max_messages,
		.flags = ask->s.flags & KIND_FLAGS, .use = s->use + 1, .next = -1, .committed = -1,
	};
	memcpy(s->group, ask->group, ask->s.group_len);
	memcpy(s->topic, ask->topic, ask->s.topic_len);
}

struct stream *
aheads_stream(struct aheads *a, const struct ask *ask)
{
	uint32_t h = bytes_hash(bytes_hash((uint32_t)ask->s.queue_id, ask->group), ask->topic);
	struct stream *s = &a->streams[(h ^ h >> 16) % STREAMS];

	if (!is_for_all(ask))
		return NULL;
	if (is_of(s, ask))
		return s;
	if (s->took > 0)
		return NULL;		/* it has something to tell first */
	begin(s, ask);
	return s;
}

void
aheads_drop(struct aheads *a, const char *group)
{
	for (size_t i = 0; i < STREAMS; i++)
		if (strcmp(a->streams[i].group, group) == 0)
			a->streams[i].ahead.n = 0;
}

/* --- answers ------------------------------------------------------------------------------------------ */

static bool
commits_news(const struct stream *s, const struct ask *ask)
{
	return ask->s.flags & RING_FLAG_COMMIT && ask->s.commit_offset != s->committed;
}

bool
aheads_answer(const struct stream *s, const struct ask *ask, uint64_t version, int64_t now_us,
	      struct ring_completion *ret, const struct ring_piece **ret_pieces)
{
	if (s->at >= s->ahead.n || ask->s.offset != s->next || commits_news(s, ask) || s->ahead.version != version ||
	    now_us > s->ahead.looked_us + RING_AHEAD_US)
		return false;
	*ret = (struct ring_completion){
		.kind = RING_PULL, .code = ANSWER_SUCCESS, .offset = s->ahead.at[s->at].next, .min = s->min, .max = s->max,
		.suggest = s->suggest, .n = s->ahead.at[s->at].pieces, .remark = "FOUND",
	};
	*ret_pieces = s->pieces + s->piece_at;
	return true;
}

void
aheads_given(struct stream *s, const struct ring_completion *c, int64_t now_us)
{
	s->of->n_news += s->took == 0;
	s->took++;
	for (uint32_t i = 0; i < c->n; i++) {
		s->messages += s->pieces[s->piece_at + i].messages;
		s->bytes += s->pieces[s->piece_at + i].bytes;
	}
	s->next = c->offset;
	s->answered_us = now_us;
	s->at++;
	s->piece_at += c->n;
}

uint32_t
aheads_flags(struct stream *s, const struct ask *ask, int64_t now_us, uint32_t *ret_use)
{
	bool follows = ask->s.offset == s->next && now_us <= s->answered_us + RING_AHEAD_US;

	if (ask->s.flags & RING_FLAG_COMMIT)
		s->committed = ask->s.commit_offset;
	s->ahead.n = 0;
	*ret_use = s->use;
	return follows ? RING_FLAG_AHEAD : 0;
}

void
aheads_note(struct stream *s, uint32_t use, const struct ring_completion *c, const struct ring_ahead *ahead,
	    const struct ring_piece *pieces, int64_t now_us)
{
	if (s->use != use)
		return;
	s->next = c->code == ANSWER_SUCCESS ? c->offset : -1;
	s->answered_us = now_us;
	s->ahead.n = s->at = s->piece_at = 0;
	if (!c->looked_ahead || c->code != ANSWER_SUCCESS || c->n > RING_PIECES)
		return;
	s->ahead = *ahead;
	memcpy(s->pieces, pieces + c->n, (RING_PIECES - c->n) * sizeof(*pieces));
	s->min = c->min;
	s->max = c->max;
	s->suggest = c->suggest;
}

/* --- telling ------------------------------------------------------------------------------------------- */

bool
aheads_took(const struct stream *s, struct ask *ret)
{
	*ret = (struct ask){
		.s = { .kind = RING_TOOK, .max_messages = s->took, .offset = s->messages, .commit_offset = s->bytes,
		       .topic_len = (uint32_t)strlen(s->topic), .group_len = (uint32_t)strlen(s->group) },
		.topic = s->topic, .group = s->group,
	};
	return s->took > 0;
}

void
aheads_told(struct aheads *a, struct stream *s)
{
	a->n_news -= s->took > 0;
	s->took = 0;
	s->messages = s->bytes = 0;
}

struct stream *
aheads_silent(struct aheads *a, int64_t now_us)
{
	for (size_t i = 0; a->n_news > 0 && i < STREAMS; i++)
		if (a->streams[i].took > 0 && now_us > a->streams[i].answered_us + RING_AHEAD_US)
			return &a->streams[i];
	return NULL;
}

bool
aheads_have_news(const struct aheads *a)
{
	return a->n_news > 0;
}
