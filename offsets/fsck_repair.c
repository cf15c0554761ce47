/* fsck_repair.c - what fsck.mqfs -y does.
 *
 * Views are made anew by the code that makes them at every mount: the store is
 * opened as if there had been no checkpoint, and a checkpoint is taken.  That cuts
 * a torn end, too, and keeps it.  Of the log nothing else is changed, but that a
 * segment which is too short is made as long as the others (no byte that was there
 * changes), and what a file has behind its segment is moved to lost+found/.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "conf/scope.h"
#include "offsets/fsck.h"
#include "offsets/registry.h"
#include "store/cut.h"
#include "store/file.h"
#include "store/lostfound.h"

#define BUSY_WAIT_MS 5000

/* --- segments that have another length than the others --------------------------------- */

/* Keep the bytes of fd from `from` on in lost+found/. */
static int
save_excess(int fd, int64_t from, int lost_fd, const struct log_file *file)
{
	const struct lost_bytes lost = {
		.fd = fd, .from = from, .to = file->bytes, .pos = pos_add(file->base, from),
		.why = "the file of their segment was longer than the others: cut by fsck.mqfs.",
	};

	return lostfound_keep_bytes(lost_fd, &lost);
}

static int
set_length(const struct storedir *dir, const struct log_file *file, int64_t bytes)
{
	AUTO_CLOSE int lost_fd = -1;
	int rc = dir_open(dir->fd, "lost+found", 1, &lost_fd);

	if (rc != MQ_OK)
		return rc;
	AUTO_CLOSE int fd = openat(dir->commitlog_fd, file->name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_note(-errno, "commitlog/%s: %m", file->name);
	if (file->bytes > bytes)
		rc = save_excess(fd, bytes, lost_fd, file);
	if (rc == MQ_OK && ftruncate(fd, bytes) != 0)
		rc = err_note(-errno, "commitlog/%s: %m", file->name);
	return rc == MQ_OK ? file_sync(fd, file->name) : rc;
}

static int
set_lengths(const struct fsck *found, const struct storedir *dir)
{
	int64_t bytes = logscan_segment_bytes(found->log);
	size_t n;
	const struct log_file *files = logscan_files(found->log, &n);
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && bytes > 0 && i < n; i++)
		if (files[i].bytes != bytes)
			rc = set_length(dir, &files[i], bytes);
	return rc;
}

/* --- the views ---------------------------------------------------------------------------- */

/* Memory up to the log, as a mount has it at its start, and both to the disk. */
static int
bring_to_disk(struct offsets *o, struct store *s)
{
	int rc;

	o->store = s;
	lock_take(&o->apply);
	o->meta_queue = store_queue(s, META_TOPIC, 0);
	rc = change_follow_all(o);
	lock_drop(&o->apply);
	if (rc == MQ_OK)
		rc = cut_finish(o);
	return rc == MQ_OK ? offsets_checkpoint(o) : rc;
}

/* Must the views be made anew?  Not if a cut was begun: finishing it needs the views as they are. */
static bool
views_are_lost(const struct fsck *found, const struct storedir *dir)
{
	struct store_cut cut;

	return store_cut_noted(dir, &cut) == -ENOENT &&
	       (found->found[FIX_VIEWS] || found->found[FIX_TABLES] || found->found[FIX_LENGTH]);
}

static int
make_anew(const struct fsck *found, struct settings *settings, struct storedir *dir)
{
	struct store_checkpoint cp = { .dispatched = MQ_POS(-1) };
	struct offsets *o = NULL;
	struct store *s = NULL;
	int rc = offsets_open(settings, dir, &o, &cp);

	if (rc != MQ_OK)
		return rc;
	if (views_are_lost(found, dir))
		cp.dispatched = MQ_POS(-1);
	rc = store_open(settings, dir, &cp, &s);
	store_checkpoint_free(&cp);
	if (rc == MQ_OK)
		rc = bring_to_disk(o, s);
	offsets_close(o);
	store_close(s);
	return rc;
}

int
fsck_repair(const struct fsck *found, struct settings *settings, const char *path)
{
	struct storedir dir;
	int rc = storedir_open(path, settings->storePathCommitLog, false, BUSY_WAIT_MS, &dir);

	if (rc != MQ_OK)
		return rc;
	rc = storedir_begin(&dir);
	/* the last segment too, which may be short, but not in a mount */
	if (rc == MQ_OK)
		rc = set_lengths(found, &dir);
	if (rc == MQ_OK && found->found[FIX_TABLES])
		rc = offsets_set_aside(&dir, "fsck.mqfs has found lmdb/ damaged");
	if (rc == MQ_OK)
		rc = make_anew(found, settings, &dir);
	if (rc == MQ_OK)
		rc = storedir_end(&dir);
	storedir_close(&dir);
	return rc;
}
