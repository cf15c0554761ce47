/* check_log.c - the commit log: its files, and what of it is no record. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/array.h"
#include "offsets/fsck.h"

/* All segments have one size; but the last of a snapshot may be cut. */
static void
begin(struct fsck *f)
{
	size_t n;
	const struct log_file *files = logscan_files(f->log, &n);
	int64_t size = logscan_segment_bytes(f->log);
	char where[64];

	f->begin = f->end = logscan_begin(f->log);
	for (size_t i = 0; i < n && size > 0; i++) {
		snprintf(where, sizeof(where), "commitlog/%s", files[i].name);
		if (files[i].base.byte % size != 0)
			finding(f, FIX_NEVER, where, "its name is no multiple of the size %" PRId64, size);
		if (files[i].bytes != size && !(files[i].bytes < size && i + 1 == n && f->dir->is_copy))
			finding(f, FIX_LENGTH, where, "%" PRId64 " bytes long, not %" PRId64, files[i].bytes,
				size);
	}
}

static void
add_bad(struct fsck *f, mq_pos from, int64_t bytes)
{
	if (ARRAY_ROOM(f->bad, f->max_bad, f->n_bad + 1) != MQ_OK)
		trouble(f, -ENOMEM);
	else
		f->bad[f->n_bad++] = (struct bad_range){ from, pos_add(from, bytes) };
}

/* A finding for a damaged part of the log, with the message that it was if its header can be read. */
static void
tell_damage(struct fsck *f, const struct log_piece *p)
{
	const char *where = log_at(p->pos);

	if (p->kind == PIECE_MISSING)
		finding(f, FIX_NEVER, where, "%" PRId64 " bytes are missing: no file holds them", p->bytes);
	else if (p->kind == PIECE_TORN)
		finding(f, FIX_CUT, where, "the end is torn: %" PRId64 " bytes are no record: %s", p->bytes,
			p->why);
	else if (p->readable)
		finding(f, FIX_NEVER, where, "%" PRId64 " bytes are damaged: %s (it seems to be %.*s/q%" PRId32
			"@%" PRId64 ")", p->bytes, p->why, (int)p->rec.topic_len, p->rec.topic, p->rec.queue_id,
			p->rec.qoff.n);
	else
		finding(f, FIX_NEVER, where, "%" PRId64 " bytes are damaged: %s", p->bytes, p->why);
}

/* The clock of a RocketMQ broker may have been set back: that alone is no error. */
static void
look_at_clock(struct fsck *f, const struct record *rec)
{
	if (rec->store_ms < f->last_store_ms && f->clock_steps++ == 0)
		finding(f, FIX_NONE, log_at(rec->pos), "stored at %" PRId64 " ms, the record in front of it at %"
			PRId64, rec->store_ms, f->last_store_ms);
	f->last_store_ms = rec->store_ms;
}

static void
piece(struct fsck *f, const struct log_piece *p)
{
	switch (p->kind) {
	case PIECE_RECORD:
		f->records++;
		look_at_clock(f, &p->rec);
		f->end = pos_add(p->pos, p->bytes);
		break;
	case PIECE_BLANK:
		f->end = pos_add(p->pos, p->bytes);
		break;
	default:
		tell_damage(f, p);
		add_bad(f, p->pos, p->bytes);
	}
}

/* The log once reached at least to the mark of the last checkpoint. */
static void
end(struct fsck *f)
{
	mq_pos mark = f->mark.dispatched;

	if (f->has_mark && mark.byte > f->end.byte)
		finding(f, FIX_NEVER, log_at(f->end),
			"it ends here, but had come to %" PRId64 ": %" PRId64 " bytes are lost",
			mark.byte, mark.byte - f->end.byte);
	if (f->has_mark && mark.byte != f->end.byte && f->dir->was_clean)
		finding(f, FIX_VIEWS, "lmdb", "the views hold the log up to %" PRId64 ", it ends at %" PRId64,
			mark.byte, f->end.byte);
	if (!f->dir->was_clean)
		finding(f, FIX_NONE, "abort",
			"the last exit was not clean: the next mount goes on from %" PRId64,
			f->has_mark ? mark.byte : f->begin.byte);
}

const struct check check_log = { "log", begin, piece, end, NULL };
