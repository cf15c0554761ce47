#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/direct.h"
#include "store/file.h"
#include "store/logscan.h"
#include "store/lostfound.h"

#define NOTE ".txt"
#define IN_MAKING ".new"	/* a piece until it is whole */
#define NOTE_IN_MAKING ".note.new"
#define QUEUES_MAX 256		/* that a note has commands for */
#define TREES_MAX 10000

/* --- what is in it ----------------------------------------------------------- */

struct lost_queue {
	char topic[RECORD_TOPIC_MAX + 1];
	int32_t id;
	int64_t messages;
};

/* The records of one piece. */
struct content {
	int64_t whole, damaged;
	int64_t systems;	/* whole ones that only a broker writes, and that no user appends again */
	struct lost_queue queues[QUEUES_MAX];
	size_t n_queues;
	int64_t elsewhere;	/* whole ones of queues beyond QUEUES_MAX */
};

/* The record's queue in the list; NULL: there is no room for another one. */
static struct lost_queue *
queue_of(struct content *c, const struct record *rec)
{
	struct lost_queue *q;

	for (size_t i = 0; i < c->n_queues; i++)
		if (record_is_in(rec, c->queues[i].topic, c->queues[i].id))
			return &c->queues[i];
	if (c->n_queues == QUEUES_MAX)
		return NULL;
	q = &c->queues[c->n_queues++];
	*q = (struct lost_queue){ .id = rec->queue_id };
	memcpy(q->topic, rec->topic, (size_t)rec->topic_len);
	return q;
}

static void
content_add(struct content *c, const struct log_piece *p)
{
	struct lost_queue *q;

	if (p->kind != PIECE_RECORD) {
		c->damaged += p->readable;
		return;
	}
	c->whole++;
	if (record_is_of(&p->rec, META_TOPIC) || record_is_of(&p->rec, SCHEDULE_TOPIC))
		c->systems++;
	else if ((q = queue_of(c, &p->rec)))
		q->messages++;
	else
		c->elsewhere++;
}

static int
content_read(int lostfound_fd, const char *name, struct content *c)
{
	struct logscan *ls;
	struct log_piece p;
	int rc = logscan_open_file(lostfound_fd, name, 0, &ls);

	if (rc != MQ_OK)
		return rc;
	while ((rc = logscan_next(ls, &p)) == MQ_OK)
		content_add(c, &p);
	logscan_close(ls);
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* Bytes that are kept now. */
struct piece {
	mq_pos pos;
	int64_t bytes;
	const char *why;
	bool uncounted;
};

/* --- notes -------------------------------------------------------------------- */

static void
print_when(FILE *note, const char *why)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(note, "Why:  %s\nWhen: %s\n", why, text);
}

static int
by_topic(const void *a, const void *b)
{
	const struct lost_queue *x = a, *y = b;
	int order = strcmp(x->topic, y->topic);

	return order ? order : (x->id > y->id) - (x->id < y->id);
}

#define WHERE_TO_STORE \
	"A slave takes no messages: do it where its master is mounted, with a copy of the file.\n"

static void
print_commands(FILE *note, const char *name, struct content *c)
{
	const char *topic = "";

	qsort(c->queues, c->n_queues, sizeof(c->queues[0]), by_topic);
	fprintf(note, "\nTo store whole messages again, behind what their queues hold now:\n"
		"    piece='lost+found/%s'\n", name);
	for (size_t i = 0; i < c->n_queues; i++) {
		const struct lost_queue *q = &c->queues[i];

		if (strcmp(q->topic, topic) != 0)
			fprintf(note, "    mkdir -p 'topics/%s'\n", q->topic);
		topic = q->topic;
		fprintf(note, "    mqdump -r -t '%s' -q %" PRId32 " \"$piece\"", q->topic, q->id);
		fprintf(note, " >> 'topics/%s/q%" PRId32 ":format=json'\n", q->topic, q->id);
	}
	if (c->elsewhere)
		fprintf(note, "and so on for the %" PRId64 " messages of other queues.\n", c->elsewhere);
	fputs(WHERE_TO_STORE, note);
}

static void
print_bytes(FILE *note, const struct piece *p)
{
	fprintf(note, "%" PRId64 " bytes that lay at positions %" PRId64 " to %" PRId64 " of the commit log.\n", p->bytes,
		p->pos.byte, p->pos.byte + p->bytes - 1);
}

/* The piece was not read. */
static void
print_uncounted(FILE *note, const char *name, const struct piece *p)
{
	print_bytes(note, p);
	putc('\n', note);
	print_when(note, p->why);
	fprintf(note, "\nTo look at them:\n    mqdump 'lost+found/%s'\n"
		"\nTo store the messages of a queue again, behind what it holds now, for example of q0 of\n"
		"topic TOPIC:\n"
		"    mqdump -r -t TOPIC -q 0 'lost+found/%s' >> 'topics/TOPIC/q0:format=json'\n", name, name);
	fputs(WHERE_TO_STORE, note);
}

static void
print_piece(FILE *note, const char *name, const struct piece *p, struct content *c)
{
	print_bytes(note, p);
	fprintf(note, "Messages in them: %" PRId64 " whole, %" PRId64 " damaged.\n\n", c->whole, c->damaged);
	print_when(note, p->why);
	fprintf(note, "\nTo look at them:\n    mqdump lost+found/%s\n", name);
	if (c->whole > c->systems)
		print_commands(note, name, c);
	else
		fputs("\nThere is no whole message that could be stored again.\n", note);
	if (c->systems)
		fprintf(note, "\n%" PRId64 " of them are changes of topics, groups and offsets (MQFS_META), or delayed\n"
			"messages (SCHEDULE_TOPIC_XXXX): to be made again by hand where they are wanted.\n",
			c->systems);
}

static void
print_tree(FILE *note, const char *name, const struct lost_tree *lost)
{
	fprintf(note, "%s/ as it was found, now %s/lost+found/%s.\n\n", lost->name, lost->store, name);
	print_when(note, lost->why);
	fprintf(note, "\n%s\n\nTo look at it:\n    %s '%s/lost+found/%s'\n", lost->rest, lost->look,
		lost->store, name);
}

/* The note is made in memory, and gets its name when it is whole: neither a full disk nor
 * a crash leaves a part of one, which would count as the piece's note. */
static int
note_keep(int lostfound_fd, const char *name, FILE *note, char **text, size_t *len)
{
	char path[LOSTFOUND_NAME_SIZE + sizeof(NOTE)];

	if (fclose(note) != 0)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s" NOTE, name);
	return file_replace(lostfound_fd, path, NOTE_IN_MAKING, *text, *len);
}

static int
note_piece(int lostfound_fd, const char *name, const struct piece *p)
{
	AUTO_FREE struct content *c = calloc(1, sizeof(*c));
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *note;
	int rc;

	if (!c)
		return -ENOMEM;
	rc = p->uncounted ? MQ_OK : content_read(lostfound_fd, name, c);
	if (rc != MQ_OK)
		return rc;
	note = open_memstream(&text, &len);
	if (!note)
		return -ENOMEM;
	if (p->uncounted)
		print_uncounted(note, name, p);
	else
		print_piece(note, name, p, c);
	rc = note_keep(lostfound_fd, name, note, &text, &len);
	if (rc == MQ_OK && !p->uncounted)
		log_warn("%" PRId64 " bytes at position %" PRId64 " of the log are kept as lost+found/%s, "
			 "with %" PRId64 " whole messages (lost+found/%s" NOTE " says more): %s",
			 p->bytes, p->pos.byte, name, c->whole, name, p->why);
	return rc;
}

static int
note_tree(int lostfound_fd, const char *name, const struct lost_tree *lost)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *note = open_memstream(&text, &len);

	if (!note)
		return -ENOMEM;
	print_tree(note, name, lost);
	return note_keep(lostfound_fd, name, note, &text, &len);
}

/* --- pieces --------------------------------------------------------------------- */

/* Does the file `name` have the same bytes as fd? */
static bool
is_same(int lostfound_fd, const char *name, int fd)
{
	AUTO_CLOSE int other = openat(lostfound_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char a[16 * 1024], b[sizeof(a)];
	struct stat st, other_st;

	if (other < 0 || fstat(fd, &st) != 0 || fstat(other, &other_st) != 0 || st.st_size != other_st.st_size)
		return false;
	for (int64_t at = 0; at < st.st_size; at += (int64_t)sizeof(a)) {
		size_t n = st.st_size - at < (int64_t)sizeof(a) ? (size_t)(st.st_size - at) : sizeof(a);

		if (pread(fd, a, n, at) != (ssize_t)n || pread(other, b, n, at) != (ssize_t)n || memcmp(a, b, n) != 0)
			return false;
	}
	return true;
}

/* A free name: commitlog-POSITION, with another suffix each time that the same place is cut.  True:
 * the bytes of fd (-1: not compared) are kept under that name already, by a process that died before
 * it could cut the log. */
static bool
piece_name(int lostfound_fd, mq_pos pos, int fd, char name[LOSTFOUND_NAME_SIZE])
{
	int len = snprintf(name, LOSTFOUND_NAME_SIZE, "commitlog-%020" PRId64, pos.byte);

	for (int again = 2; faccessat(lostfound_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; again++) {
		if (fd >= 0 && is_same(lostfound_fd, name, fd))
			return true;
		snprintf(name + len, LOSTFOUND_NAME_SIZE - (size_t)len, ".%d", again);
	}
	return false;
}

static bool
has_note(int lostfound_fd, const char *name)
{
	char path[LOSTFOUND_NAME_SIZE + sizeof(NOTE)];

	snprintf(path, sizeof(path), "%s" NOTE, name);
	return faccessat(lostfound_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
read_lost(const struct lost_bytes *lost, void *buf, size_t len, int64_t at)
{
	ssize_t n;

	if (!lost->disk)
		return file_read(lost->fd, buf, len, at, "commitlog");
	n = direct_read(lost->disk, buf, len, at);
	if (n < 0)
		return err_note(-errno, "commitlog: %m");
	return (size_t)n == len ? MQ_OK : -EIO;
}

/* Bytes that cannot be read are kept as zeros. */
static int
copy_range(const struct lost_bytes *lost, int to_fd)
{
	char buf[64 * 1024];
	int64_t out = 0, len = lost->to - lost->from;

	while (out < len) {
		size_t n = len - out < (int64_t)sizeof(buf) ? (size_t)(len - out) : sizeof(buf);
		int rc = read_lost(lost, buf, n, lost->from + out);

		if (rc == -EIO)
			memset(buf, 0, n);
		else if (rc != MQ_OK)
			return rc;
		rc = file_write(to_fd, buf, n, out, "lost+found");
		if (rc != MQ_OK)
			return rc;
		out += (int64_t)n;
	}
	return file_sync(to_fd, "lost+found");
}

/* The piece gets its name when it is whole, so a crash leaves no part of one. */
int
lostfound_keep_bytes(int lostfound_fd, const struct lost_bytes *lost)
{
	const struct piece p = { .pos = lost->pos, .bytes = lost->to - lost->from, .why = lost->why };
	AUTO_CLOSE int fd = openat(lostfound_fd, IN_MAKING, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	char name[LOSTFOUND_NAME_SIZE];
	bool kept = false;
	int rc;

	if (fd < 0)
		return err_note(-errno, "lost+found: %m");
	rc = copy_range(lost, fd);
	if (rc == MQ_OK)
		kept = piece_name(lostfound_fd, p.pos, fd, name);
	if (rc == MQ_OK && !kept && renameat(lostfound_fd, IN_MAKING, lostfound_fd, name) != 0)
		rc = err_note(-errno, "lost+found/%s: %m", name);
	if (rc != MQ_OK || kept)
		unlinkat(lostfound_fd, IN_MAKING, 0);
	if (rc != MQ_OK || (kept && has_note(lostfound_fd, name)))
		return rc;
	return note_piece(lostfound_fd, name, &p);
}

/* Cut the zeros at the end, unless a snapshot also links the file. */
static int
trim(int lostfound_fd, const char *name, int64_t bytes)
{
	AUTO_CLOSE int fd = openat(lostfound_fd, name, O_WRONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || (st.st_nlink == 1 && ftruncate(fd, bytes) != 0))
		return err_note(-errno, "lost+found/%s: %m", name);
	return MQ_OK;
}

/* The log lies on another file system than lost+found. */
static int
keep_copy(int lostfound_fd, const struct lost_segment *lost)
{
	AUTO_CLOSE int fd = openat(lost->dirfd, lost->name, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_note(-errno, "commitlog/%s: %m", lost->name);
	rc = lostfound_keep_bytes(lostfound_fd, &(struct lost_bytes){
		.fd = fd, .to = lost->bytes, .pos = lost->base, .why = lost->why,
	});
	if (rc == MQ_OK)
		rc = dir_sync(lostfound_fd, "lost+found");
	if (rc == MQ_OK && unlinkat(lost->dirfd, lost->name, 0) != 0)
		rc = err_note(-errno, "commitlog/%s: %m", lost->name);
	return rc;
}

int
lostfound_keep_segment(int lostfound_fd, const struct lost_segment *lost)
{
	const struct piece p = {
		.pos = lost->base, .bytes = lost->bytes, .why = lost->why, .uncounted = lost->uncounted,
	};
	char name[LOSTFOUND_NAME_SIZE];
	int rc;

	(void)piece_name(lostfound_fd, p.pos, -1, name);
	if (renameat(lost->dirfd, lost->name, lostfound_fd, name) != 0)
		return errno == EXDEV ? keep_copy(lostfound_fd, lost) : err_note(-errno, "commitlog/%s: to lost+found: %m", lost->name);
	rc = trim(lostfound_fd, name, p.bytes);
	return rc == MQ_OK ? note_piece(lostfound_fd, name, &p) : rc;
}

int
lostfound_keep_tree(int lostfound_fd, const struct lost_tree *lost)
{
	char name[LOSTFOUND_NAME_SIZE];

	for (int n = 1; n < TREES_MAX; n++) {
		snprintf(name, sizeof(name), "%s-%d", lost->as, n);
		if (faccessat(lostfound_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (renameat(lost->dirfd, lost->name, lostfound_fd, name) != 0)
			return err_note(-errno, "%s: cannot be set aside: %m", lost->name);
		log_err("%s; it is set aside as lost+found/%s, see lost+found/%s" NOTE, lost->why, name, name);
		if (note_tree(lostfound_fd, name, lost) != MQ_OK)
			log_warn("lost+found/%s: no note could be written", name);
		return MQ_OK;
	}
	return err_note(-EEXIST, "lost+found: too many of %s", lost->as);
}

static int
complete(int lostfound_fd, const char *name, void *why)
{
	struct piece p = { .pos = MQ_POS(logscan_lost_base(name)), .why = why };
	struct stat st;

	if (p.pos.byte < 0 || strlen(name) >= LOSTFOUND_NAME_SIZE || has_note(lostfound_fd, name) ||
	    fstatat(lostfound_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return MQ_OK;
	p.bytes = st.st_size;
	return note_piece(lostfound_fd, name, &p);
}

int
lostfound_complete(int lostfound_fd, const char *why)
{
	return dir_each(lostfound_fd, ".", complete, (char *)(uintptr_t)why);
}

/* --- how many --------------------------------------------------------------------- */

static int
count(int lostfound_fd, const char *name, void *arg)
{
	struct lostfound_stats *stats = arg;
	struct stat st;

	if (!name_ends_with(name, NOTE) && fstatat(lostfound_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		stats->pieces++;
		stats->bytes += S_ISREG(st.st_mode) ? st.st_size : 0;
	}
	return MQ_OK;
}

void
lostfound_stats(int lostfound_fd, struct lostfound_stats *ret)
{
	*ret = (struct lostfound_stats){ 0 };
	if (dir_each(lostfound_fd, ".", count, ret) != MQ_OK)
		err_clear();
}
