#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/dispatch.h"
#include "store/file.h"
#include "store/rebuild.h"
#include "store/shape.h"
#include "store/store_priv.h"

int
rebuild_open(const struct settings *settings, struct storedir *dir, const struct store_checkpoint *cp,
	     mq_pos begin, struct store **ret_store)
{
	struct index_shape shape = { settings->maxHashSlotNum, settings->maxIndexNum };
	struct store *s = store_new(settings, dir, &(struct delays_state){ 0 });
	AUTO_CLOSE int index_fd = -1;
	int rc;

	if (!s)
		return -ENOMEM;
	mark_init(&s->log.begin, begin);
	rc = fdcache_open(FDS_OURS, &s->files);
	if (rc == MQ_OK)
		rc = store_open_queues(s);
	if (rc == MQ_OK)
		rc = store_adopt_rows(s, cp);
	if (rc == MQ_OK && dir_open(dir->fd, "index", 0, &index_fd) == MQ_OK)
		(void)shape_of_index(index_fd, &shape);
	if (rc == MQ_OK)
		rc = dir_open(dir->derived_fd, "index", 0, &s->index_fd);
	if (rc == MQ_OK)
		rc = keyindex_open(s->index_fd, shape.slots, shape.entries, "", 0, true, false, &s->index);
	if (rc != MQ_OK) {
		store_close(s);
		return rc;
	}
	keyindex_never_sync(s->index);
	*ret_store = s;
	return MQ_OK;
}

int
rebuild_record(struct store *s, const struct record *rec)
{
	if (atomic_load(&s->queues.tail_entries) > QUEUES_TAIL_MAX)
		return err_note(-ENOSPC, "%s: the views that are made anew cannot be written there",
				s->dir->derived_path);
	if (s->index_failing)
		return err_note(-EIO, "%s: the key index cannot be made anew there", s->dir->derived_path);
	if (rec->pos.byte - s->recovery.to.byte > REPLAY_BYTES) {
		int rc = store_spill_index(s);

		if (rc != MQ_OK)
			return rc;
		s->recovery.to = rec->pos;
	}
	return dispatch_record(s, rec);
}

int
rebuild_end(struct store *s)
{
	return store_spill_index(s);
}

struct keyindex *
rebuild_index(struct store *s)
{
	return s->index;
}
