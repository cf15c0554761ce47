#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/commitlog_priv.h"
#include "store/direct.h"
#include "store/file.h"
#include "store/heal.h"
#include "store/lostfound.h"
#include "store/store_priv.h"

/* --- whole records --------------------------------------------------------------- */

size_t
heal_whole_records(const void *buf, size_t n, mq_pos pos, int64_t segment_bytes)
{
	const unsigned char *at = buf;
	size_t whole = 0;

	while (whole < n) {
		mq_pos here = pos_add(pos, (int64_t)whole);
		struct record rec;
		int rc = record_verify(at + whole, n - whole, here, &rec);

		if (rc != MQ_OK && rc != MQ_EBLANK)
			break;
		if ((size_t)rec.total > n - whole ||
		    (rc == MQ_EBLANK && rec.total != segment_bytes - here.byte % segment_bytes))
			break;
		whole += (size_t)rec.total;
	}
	return whole;
}

/* The length of the record or blank at pos, of which the first n bytes are only a part. */
static int
length_of(const void *buf, size_t n, mq_pos pos, int64_t segment_bytes, size_t *ret_len)
{
	struct record rec;
	int rc = record_verify(buf, n, pos, &rec);

	if ((rc != MQ_EEND && rc != MQ_EBLANK) || rec.total <= (int64_t)n ||
	    rec.total > segment_bytes - pos.byte % segment_bytes)
		return err_note(MQ_ECORRUPT, "no whole record at position %" PRId64, pos.byte);
	*ret_len = (size_t)rec.total;
	return MQ_OK;
}

/* Bytes of the long record at pos, from `at` on. */
static int
serve_piece(struct store *s, mq_pos pos, mq_pos at, void *buf, size_t size, size_t *ret_n)
{
	unsigned char head[RECORD_MIN_BYTES];
	size_t n = 0, len = 0;
	int64_t left;
	int rc = store_read_raw(s, pos, head, sizeof(head), &n);

	if (rc == MQ_OK)
		rc = length_of(head, n, pos, s->log.segment_bytes, &len);
	left = pos.byte + (int64_t)len - at.byte;
	if (rc == MQ_OK && left <= 0)
		rc = err_note(MQ_ECORRUPT, "the record at position %" PRId64 " does not go as far as %" PRId64,
			      pos.byte, at.byte);
	if (rc != MQ_OK)
		return rc;
	return store_read_raw(s, at, buf, left < (int64_t)size ? (size_t)left : size, ret_n);
}

int
heal_serve(void *store, mq_pos pos, mq_pos at, void *buf, size_t size, size_t *ret_n)
{
	struct store *s = store;
	size_t len = size < HEAL_WANTED ? size : HEAL_WANTED, n, whole = 0;
	int64_t segment_bytes = s->log.segment_bytes;
	int rc;

	if (at.byte > pos.byte)
		return serve_piece(s, pos, at, buf, size, ret_n);
	rc = store_read_raw(s, pos, buf, len, &n);
	if (rc == MQ_OK)
		whole = heal_whole_records(buf, n, pos, segment_bytes);
	if (rc == MQ_OK && whole == 0) {
		rc = length_of(buf, n, pos, segment_bytes, &len);
		if (rc == MQ_OK && len > size)
			return store_read_raw(s, pos, buf, size, ret_n);
		if (rc == MQ_OK)
			rc = store_read_raw(s, pos, buf, len, &n);
		whole = rc == MQ_OK ? heal_whole_records(buf, n, pos, segment_bytes) : 0;
	}
	if (rc == MQ_OK && whole == 0)
		rc = err_note(MQ_ECORRUPT, "no whole record at position %" PRId64, pos.byte);
	if (rc == MQ_OK)
		*ret_n = whole;
	return rc;
}

/* --- a patch: the good bytes, at their places in a file of holes --------------------- */

struct patch {
	struct store *s;
	mq_pos base;
	const struct damage *damage;
	int64_t generation;		/* of the log, when it began */
	int fd;
};

static int
patch_open(struct patch *p)
{
	p->fd = openat(p->s->commitlog_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (p->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		p->fd = openat(p->s->commitlog_fd, SEGMENT_IN_HEALING, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
			       0600);
		unlinkat(p->s->commitlog_fd, SEGMENT_IN_HEALING, 0);
	}
	return p->fd < 0 ? err_note(-errno, "commitlog: room for healing: %m") : MQ_OK;
}

static int
patch_put(struct patch *p, mq_pos at, const void *buf, size_t n)
{
	return file_write(p->fd, buf, n, at.byte - p->base.byte, "commitlog");
}

static int
no_good(const struct healer *from, mq_pos at)
{
	return err_note(MQ_ECORRUPT, "%s has other records at position %" PRId64, from->from, at.byte);
}

/* The patch has len bytes at pos: are they whole records? */
static bool
patch_has_whole(const struct patch *p, mq_pos pos, size_t len)
{
	int64_t at = pos.byte - p->base.byte;
	size_t skew = (size_t)(at % sysconf(_SC_PAGESIZE));
	char *map = mmap(NULL, skew + len, PROT_READ, MAP_SHARED, p->fd, at - (int64_t)skew);
	bool good;

	if (map == MAP_FAILED)
		return false;
	good = heal_whole_records(map + skew, len, pos, p->s->log.segment_bytes) == len;
	munmap(map, skew + len);
	return good;
}

/* The record of len bytes at pos, of which buf has the first n, in pieces. */
static int
patch_fetch_long(struct patch *p, mq_pos pos, size_t len, const struct healer *from, void *buf, size_t n)
{
	int rc = patch_put(p, pos, buf, n);

	for (size_t done = n; rc == MQ_OK && done < len; done += n) {
		mq_pos at = pos_add(pos, (int64_t)done);

		rc = from->fetch(from->arg, pos, at, buf, HEAL_BYTES, &n);
		n = n < len - done ? n : len - done;
		if (rc == MQ_OK && n == 0)
			rc = no_good(from, pos);
		if (rc == MQ_OK)
			rc = patch_put(p, at, buf, n);
	}
	return rc == MQ_OK && !patch_has_whole(p, pos, len) ? no_good(from, pos) : rc;
}

/* Put as many good bytes as one fetch() gives, from `at` on and before `end`, into the patch. */
static int
patch_fetch_some(struct patch *p, mq_pos at, mq_pos end, const struct healer *from, void *buf, size_t *ret_n)
{
	size_t left = (size_t)(end.byte - at.byte), whole, len;
	int rc = from->fetch(from->arg, at, at, buf, HEAL_BYTES, ret_n);

	if (rc != MQ_OK)
		return rc;
	if (*ret_n > left)
		*ret_n = left;
	whole = heal_whole_records(buf, *ret_n, at, p->s->log.segment_bytes);
	if (whole > 0 && whole == *ret_n)
		return patch_put(p, at, buf, whole);
	if (whole > 0 || length_of(buf, *ret_n, at, p->s->log.segment_bytes, &len) != MQ_OK || len > left)
		return no_good(from, at);
	rc = patch_fetch_long(p, at, len, from, buf, *ret_n);
	*ret_n = len;
	return rc;
}

static int
patch_fetch(struct patch *p, const struct damage_range *range, const struct healer *from, void *buf)
{
	mq_pos end = pos_add(range->pos, range->bytes);
	int rc = MQ_OK;
	size_t n = 0;

	for (mq_pos at = range->pos; rc == MQ_OK && at.byte < end.byte; at = pos_add(at, (int64_t)n))
		rc = patch_fetch_some(p, at, end, from, buf, &n);
	return rc;
}

static int
patch_fill(struct patch *p, const struct healer *from)
{
	AUTO_FREE void *buf = malloc(HEAL_BYTES);
	int rc = buf ? MQ_OK : -ENOMEM;

	for (size_t i = 0; rc == MQ_OK && i < p->damage->n; i++)
		rc = patch_fetch(p, &p->damage->ranges[i], from, buf);
	return rc;
}

/* buf has the bytes [at, at + n) of the segment: replace those that the patch has. */
static int
patch_apply(const struct patch *p, unsigned char *buf, int64_t at, int64_t n)
{
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < p->damage->n; i++) {
		const struct damage_range *r = &p->damage->ranges[i];
		int64_t from = r->pos.byte - p->base.byte, to = from + r->bytes;

		from = from > at ? from : at;
		to = to < at + n ? to : at + n;
		if (from < to)
			rc = file_read(p->fd, buf + (from - at), (size_t)(to - from), from, "commitlog");
	}
	return rc;
}

/* The sum that the healed segment will have. */
static int
patched_sum(const struct patch *p, struct direct *d, const struct pace *pace, struct sum *ret)
{
	AUTO_FREE unsigned char *buf = calloc(1, DIRECT_BYTES);
	int64_t bytes = p->s->log.segment_bytes;
	struct summing m;
	int rc = sum_begin(&m, bytes, ret);

	if (!buf)
		rc = -ENOMEM;
	while (rc == MQ_OK && m.at < bytes) {
		size_t n = bytes - m.at < DIRECT_BYTES ? (size_t)(bytes - m.at) : DIRECT_BYTES;

		/* bytes that cannot be read are in the patch, or the sum will be wrong */
		(void)(d && direct_read(d, buf, n, m.at));
		rc = patch_apply(p, buf, m.at, (int64_t)n);
		if (rc == MQ_OK)
			rc = sum_add(&m, buf, n);
		if (rc == MQ_OK)
			rc = pace->spend(pace->arg, (int64_t)n);
	}
	if (rc == MQ_OK)
		rc = sum_ready(&m);
	sum_end(&m);
	return rc;
}

static int
patch_verify(const struct patch *p, const char *name, const struct sum *was, const char *from,
	     const struct pace *pace)
{
	struct direct *d = NULL;
	struct sum sum;
	int rc = MQ_OK;

	if (!was)
		return MQ_OK;		/* every record was verified as it came */
	if (!p->damage->missing)
		rc = direct_open(p->s->commitlog_fd, name, false, &d);
	if (rc == MQ_OK)
		rc = patched_sum(p, d, pace, &sum);
	direct_close(d);
	if (rc == MQ_OK && strcmp(sum.hex, was->hex) != 0)
		rc = err_note(MQ_ECORRUPT, "with the bytes of %s the segment is not what was sealed", from);
	return rc;
}

/* --- writing it ------------------------------------------------------------------------ */

/* Keep the bad bytes in lost+found, from the disk: memory may have had the good ones. */
static int
keep_bad(const struct patch *p, const char *name, const char *from)
{
	struct direct *disk = NULL;
	char why[100];
	int rc = direct_open(p->s->commitlog_fd, name, false, &disk);

	snprintf(why, sizeof(why), "found bad by the scrub, and replaced by what %s has there.", from);
	for (size_t i = 0; rc == MQ_OK && i < p->damage->n; i++) {
		const struct damage_range *r = &p->damage->ranges[i];
		int64_t at = r->pos.byte - p->base.byte;

		rc = lostfound_keep_bytes(p->s->lostfound_fd, &(struct lost_bytes){
			.disk = disk, .from = at, .to = at + r->bytes, .pos = r->pos, .why = why,
		});
	}
	direct_close(disk);
	return rc;
}

static int
write_good(const struct patch *p, int fd)
{
	AUTO_FREE char *buf = malloc(HEAL_WANTED);
	int rc = buf ? MQ_OK : -ENOMEM;

	for (size_t i = 0; i < p->damage->n; i++) {
		const struct damage_range *r = &p->damage->ranges[i];
		int64_t at = r->pos.byte - p->base.byte, end = at + r->bytes;

		while (rc == MQ_OK && at < end) {
			size_t n = end - at < HEAL_WANTED ? (size_t)(end - at) : HEAL_WANTED;

			rc = file_read(p->fd, buf, n, at, "commitlog");
			if (rc == MQ_OK)
				rc = file_write(fd, buf, n, at, "commitlog");
			at += (int64_t)n;
		}
	}
	return rc == MQ_OK ? file_sync(fd, "commitlog") : rc;
}

/* Set the time of the segment to a second later than before: retention removes segments by their
 * time, and rsync(1) sends a file whose time has changed. */
static int
time_after(int fd, const struct stat *before)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, before->st_mtim };

	times[1].tv_sec++;
	return futimens(fd, times) == 0 ? MQ_OK : err_note(-errno, "commitlog: %m");
}

/* Write the patch into the segment, unless the log was cut meanwhile or its begin has moved. */
static int
patch_write(const struct patch *p, const char *name, const char *from)
{
	struct store *s = p->s;
	AUTO_CLOSE int fd = -1;
	struct stat before;
	int rc = MQ_OK;

	LOCKED(&s->sealed_lock);
	if (s->generation != p->generation || p->base.byte < store_begin(s).byte)
		return err_note(-ESTALE, "the segment is not part of the log any more");
	if (p->damage->missing) {
		rc = segment_make(&s->log, name, SEGMENT_IN_HEALING, -1, 0);	/* zeros */
		fdcache_forget(s->files, &s->log, p->base.byte);	/* it may still be open */
	}
	if (rc != MQ_OK)
		return rc;
	fd = openat(s->commitlog_fd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &before) != 0)
		return err_note(-errno, "commitlog/%s: %m", name);
	if (!p->damage->missing)
		rc = keep_bad(p, name, from);
	if (rc == MQ_OK)
		rc = write_good(p, fd);
	return rc == MQ_OK ? time_after(fd, &before) : rc;
}

int
heal_segment(struct store *s, mq_pos base, const struct damage *d, const struct sum *was,
	     const struct healer *from, const struct pace *pace)
{
	struct patch p = { .s = s, .base = base, .damage = d, .generation = s->generation, .fd = -1 };
	char name[SEGMENT_NAME_SIZE];
	int rc = patch_open(&p);

	segment_name(base, name);
	if (rc == MQ_OK)
		rc = patch_fill(&p, from);
	if (rc == MQ_OK)
		rc = patch_verify(&p, name, was, from->from, pace);
	if (rc == MQ_OK)
		rc = patch_write(&p, name, from->from);
	if (p.fd >= 0)
		close(p.fd);
	if (rc == MQ_OK && from->healed)
		from->healed(from->arg, base);
	return rc;
}
