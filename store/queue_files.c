#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/queue_files.h"
#include "store/queues.h"

static const struct {
	const char *dir;
	int64_t bytes;		/* of one entry */
} halves[] = {
	[QUEUE_ENTRIES] = { "consumequeue", QUEUE_ENTRY_BYTES },
	[QUEUE_STARTS] = { "byteindex", QUEUE_START_BYTES },
};

const char *
queue_files_dir(enum queue_half half)
{
	return halves[half].dir;
}

static int
half_dirfd(const struct queues *qs, enum queue_half half)
{
	return half == QUEUE_ENTRIES ? qs->consumequeue_fd : qs->byteindex_fd;
}

static void
half_name(const struct queue *q, enum queue_half half, int64_t file, char *name, size_t size)
{
	snprintf(name, size, "%s/%" PRId32 "/%020" PRId64, q->topic, q->id,
		 file * q->all->file_entries * halves[half].bytes);
}

/* --- are the files as the queue's row? --------------------------------------------------- */

/* A descriptor of the file with entry `at` that is not cached: many queues may be looked at. */
static int
open_half(struct queue *q, enum queue_half half, int64_t at)
{
	char name[RECORD_TOPIC_MAX + 48];

	half_name(q, half, at / q->all->file_entries, name, sizeof(name));
	return openat(half_dirfd(q->all, half), name, O_RDONLY | O_CLOEXEC);
}

static bool
read_entry(const struct queue *q, enum queue_half half, int fd, int64_t at, unsigned char *buf)
{
	return file_read(fd, buf, (size_t)halves[half].bytes, at % q->all->file_entries * halves[half].bytes,
			 queue_files_dir(half)) == MQ_OK;
}

/* Is there nothing at and behind entry `end`?  The file of the entry before it is open as fd. */
static bool
nothing_behind(struct queue *q, int fd, int64_t end)
{
	int64_t entries = q->all->file_entries, next = (end + entries - 1) / entries;
	int64_t at = end % entries * QUEUE_ENTRY_BYTES, last = at;

	if (at > 0 && (file_last_data(fd, at, entries * QUEUE_ENTRY_BYTES, &last) != MQ_OK || last > at))
		return false;
	return !queue_files_there(q, QUEUE_ENTRIES, next, false) && !queue_files_there(q, QUEUE_STARTS, next, false);
}

bool
queue_files_match(struct queue *q, bool *ret_is_last)
{
	unsigned char raw[QUEUE_ENTRY_BYTES], start[QUEUE_START_BYTES];
	int64_t last = q->promise.end.n - 1;
	AUTO_CLOSE int entries_fd = open_half(q, QUEUE_ENTRIES, last), starts_fd = open_half(q, QUEUE_STARTS, last);
	struct queue_entry e;

	if (entries_fd < 0 || starts_fd < 0 || !read_entry(q, QUEUE_ENTRIES, entries_fd, last, raw) ||
	    !read_entry(q, QUEUE_STARTS, starts_fd, last, start))
		return false;
	if (ret_is_last)
		*ret_is_last = nothing_behind(q, entries_fd, q->promise.end.n);
	queue_entry_decode(raw, start, &e);
	return e.pos.byte == q->promise.last_end.byte - e.total && queue_entry_possible(&e, q->promise.end_bytes);
}

/* Before the first use of the files.  If several threads do this, one of them tells the result. */
static void
compare_once(struct queue *q)
{
	enum queue_files_state promised = FILES_PROMISED;

	if (atomic_load(&q->promise.state) != FILES_PROMISED)
		return;
	if (!atomic_compare_exchange_strong(&q->promise.state, &promised,
					    queue_files_match(q, NULL) ? FILES_KNOWN : FILES_UNLIKE) ||
	    atomic_load(&q->promise.state) == FILES_KNOWN)
		return;
	atomic_store(&q->all->unlike, true);
	log_err("topic %s queue %" PRId32 ": its files are not as the last checkpoint left them; messages before %"
		PRId64 " cannot be read until the next mount makes the views anew", q->topic, q->id, q->promise.end.n);
}

/* May entry `at` be read from the files? */
static bool
is_readable(const struct queue *q, int64_t at)
{
	return atomic_load(&q->promise.state) != FILES_UNLIKE || at >= q->promise.end.n;
}

/* --- files ------------------------------------------------------------------------------------ */

/* The slots before the queue's first entry say that nothing is there. */
static int
fill_pre_blank(struct queue *q, int fd, int64_t n)
{
	unsigned char blank[QUEUE_ENTRY_BYTES] = { 0 };
	AUTO_FREE unsigned char *all = malloc((size_t)n * QUEUE_ENTRY_BYTES);

	if (!all)
		return -ENOMEM;
	be32_put(blank + 8, QUEUE_HOLE_SIZE);
	for (int64_t i = 0; i < n; i++)
		memcpy(all + i * QUEUE_ENTRY_BYTES, blank, sizeof(blank));
	return file_write(fd, all, (size_t)n * QUEUE_ENTRY_BYTES, 0, q->topic);
}

static int
make_dir(enum queue_half half, int dirfd, const char *name)
{
	if (mkdirat(dirfd, name, 0750) != 0 && errno != EEXIST)
		return err_note(-errno, "%s/%s: %m", queue_files_dir(half), name);
	return MQ_OK;
}

static int
half_create(struct queue *q, enum queue_half half, const char *name, int64_t file, int *ret_fd)
{
	int dirfd = half_dirfd(q->all, half);
	char dir[RECORD_TOPIC_MAX + 16];
	int64_t before = q->files_min.n - file * q->all->file_entries;
	int rc;

	snprintf(dir, sizeof(dir), "%s/%" PRId32, q->topic, q->id);
	rc = make_dir(half, dirfd, q->topic);
	if (rc == MQ_OK)
		rc = make_dir(half, dirfd, dir);
	if (rc != MQ_OK)
		return rc;
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_note(-errno, "%s/%s: %m", queue_files_dir(half), name);
	if (half == QUEUE_ENTRIES && before > 0 && before < q->all->file_entries) {
		rc = fill_pre_blank(q, fd, before);
		if (rc != MQ_OK)
			return rc;
	}
	/* at last: queue_files_get() knows by its length that a file is whole */
	if (ftruncate(fd, q->all->file_entries * halves[half].bytes) != 0)
		return err_note(-errno, "%s/%s: %m", queue_files_dir(half), name);
	atomic_store(&q->made_files, true);
	*ret_fd = take_fd(&fd);
	return MQ_OK;
}

/* A crash may have left the file half made. */
static bool
is_whole(const struct queue *q, enum queue_half half, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == q->all->file_entries * halves[half].bytes;
}

bool
queue_files_there(struct queue *q, enum queue_half half, int64_t file, bool whole)
{
	char name[RECORD_TOPIC_MAX + 48];
	struct stat st;

	half_name(q, half, file, name, sizeof(name));
	return fstatat(half_dirfd(q->all, half), name, &st, 0) == 0 &&
	       (!whole || st.st_size == q->all->file_entries * halves[half].bytes);
}

int
queue_files_get(struct queue *q, enum queue_half half, int64_t file, bool make, struct fdref **ret_ref)
{
	int64_t number = file * 2 + half;
	struct fdref *ref = fdcache_get(q->all->files, q, number);
	char name[RECORD_TOPIC_MAX + 48];
	int fd, rc;

	if (!ref) {
		compare_once(q);
		half_name(q, half, file, name, sizeof(name));
		fd = openat(half_dirfd(q->all, half), name, O_RDWR | O_CLOEXEC);
		if (fd < 0 && (errno != ENOENT || !make))
			return err_note(errno == ENOENT ? -EIO : -errno, "%s/%s: %s", queue_files_dir(half), name,
					strerror(errno));
		if (make && (fd < 0 || !is_whole(q, half, fd))) {
			if (fd >= 0)
				close(fd);
			rc = half_create(q, half, name, file, &fd);
			if (rc != MQ_OK)
				return rc;
		}
		ref = fdcache_add(q->all->files, q, number, fd);
		if (!ref)
			return -ENOMEM;
	}
	*ret_ref = ref;
	return MQ_OK;
}

int
queue_files_io(struct queue *q, enum queue_half half, bool write, int64_t at, void *buf, size_t n)
{
	int64_t bytes = halves[half].bytes;
	struct fdref *ref;
	int rc;

	rc = queue_files_get(q, half, at / q->all->file_entries, write, &ref);
	if (rc != MQ_OK)
		return rc;
	if (!write && !is_readable(q, at)) {
		fdcache_put(q->all->files, ref);
		return err_note(-EIO, "topic %s queue %" PRId32 ": its files are not as the last checkpoint left them",
				q->topic, q->id);
	}
	at = at % q->all->file_entries * bytes;
	if (write)
		fdref_writes(ref);
	if (write)
		rc = file_write(fdref_fd(ref), buf, n * (size_t)bytes, at, queue_files_dir(half));
	else
		rc = file_read(fdref_fd(ref), buf, n * (size_t)bytes, at, queue_files_dir(half));
	fdcache_put(q->all->files, ref);
	return rc == MQ_EEND ? -EIO : rc;
}

int
queue_files_read_now(struct queue *q, enum queue_half half, int64_t at, void *buf, size_t n)
{
	int64_t bytes = halves[half].bytes, file = at / q->all->file_entries;
	struct fdref *ref = is_readable(q, at) ? fdcache_get(q->all->files, q, file * 2 + half) : NULL;
	int rc = ref ? file_read_now(fdref_fd(ref), buf, n * (size_t)bytes, at % q->all->file_entries * bytes) : -EAGAIN;

	fdcache_put(q->all->files, ref);
	return rc;
}

void
queue_files_remove(struct queue *q, enum queue_half half, int64_t file)
{
	char name[RECORD_TOPIC_MAX + 48];

	compare_once(q);
	half_name(q, half, file, name, sizeof(name));
	if (unlinkat(half_dirfd(q->all, half), name, 0) != 0 && errno != ENOENT)
		log_warn("%s/%s: remove: %s", halves[half].dir, name, strerror(errno));
	fdcache_forget(q->all->files, q, file * 2 + half);
}
