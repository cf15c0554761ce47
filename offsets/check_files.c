/* check_files.c - files that no other check knows. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "conf/bytes.h"
#include "conf/scope.h"
#include "offsets/fsck.h"
#include "store/cut.h"
#include "store/file.h"

#define CHECKPOINT_BYTES 4096
#define CHECKPOINT_TIMES 24

/* RocketMQ's checkpoint: three times, none of them later than the last record. */
static void
look_at_checkpoint(struct fsck *f)
{
	unsigned char raw[CHECKPOINT_BYTES];
	AUTO_CLOSE int fd = openat(f->dir->fd, "checkpoint", O_RDONLY | O_CLOEXEC);
	bool zeros = true, times = true;
	struct stat st;

	if (fd < 0)
		return;			/* its absence costs RocketMQ a longer recovery, no more */
	if (fstat(fd, &st) != 0 || st.st_size != CHECKPOINT_BYTES ||
	    file_read(fd, raw, sizeof(raw), 0, "checkpoint") != MQ_OK) {
		finding(f, FIX_VIEWS, "checkpoint", "not %d bytes long", CHECKPOINT_BYTES);
		return;
	}
	for (size_t i = CHECKPOINT_TIMES; i < sizeof(raw); i++)
		zeros = zeros && raw[i] == 0;
	for (size_t i = 0; i < CHECKPOINT_TIMES; i += 8)
		times = times && be64_get(raw + i) >= 0 && be64_get(raw + i) <= f->last_store_ms;
	if (!zeros)
		finding(f, FIX_VIEWS, "checkpoint", "not zero behind its three times");
	if (!times && f->clock_steps == 0)
		finding(f, FIX_VIEWS, "checkpoint", "a time that is later than the last record");
}

/* A directory whose files have names of so many digits. */
struct names {
	struct fsck *f;
	const char *dir;
	size_t digits;
};

static int
look_at_name(int dirfd, const char *name, void *arg)
{
	const struct names *names = arg;
	char where[320];

	(void)dirfd;
	snprintf(where, sizeof(where), "%s/%s", names->dir, name);
	if (name_number(name, names->digits) < 0)
		finding(names->f, FIX_NONE, where, "is left over, or not ours");
	return MQ_OK;
}

/* A cut that was begun and not finished; it may be the cause of other findings. */
static void
look_for_cut(struct fsck *f)
{
	struct store_cut cut;
	int rc = store_cut_noted(f->dir, &cut);

	if (rc == MQ_OK)
		finding(f, FIX_VIEWS, "cut", "the log is to be cut at %" PRId64 ", which was not finished: "
			"the next mount goes on with it (%s)", cut.at.byte, cut.why);
	else if (rc != -ENOENT)
		finding(f, FIX_NEVER, "cut", "%s", err_text(rc));
}

static void
end(struct fsck *f)
{
	look_for_cut(f);
	look_at_checkpoint(f);
	(void)dir_each(f->dir->commitlog_fd, ".", look_at_name, &(struct names){ f, "commitlog", 20 });
	(void)dir_each(f->dir->fd, "index", look_at_name, &(struct names){ f, "index", 17 });
}

const struct check check_files = { "files", NULL, NULL, end, NULL };
