#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/queue.h"
#include "store/shape.h"

#define HEADER_BYTES 40
#define SLOT_BYTES 4
#define ENTRY_BYTES 20
#define ENTRIES_A_SLOT 4
#define RATIO_BYTES (SLOT_BYTES + ENTRIES_A_SLOT * ENTRY_BYTES)
#define LENGTHS_MAX 16
#define FILES_LOOKED_AT 64
#define INDEX_NAME_LEN 17

/* The lengths of the first files that are found, as far as they fit.  The most common one counts, since
 * a file may be damaged. */
struct lengths {
	size_t digits;		/* of a file's name */
	bool (*fits)(int64_t bytes, void *arg);
	void *arg;
	int64_t bytes[LENGTHS_MAX];
	int count[LENGTHS_MAX];
	size_t n;
	int left;		/* files to look at */
};

static bool
is_of_entries(int64_t bytes, void *arg)
{
	return bytes > 0 && bytes % *(const int64_t *)arg == 0;
}

/* Count a file, or the files below a directory. */
static int
count(int dirfd, const char *name, void *arg)
{
	struct lengths *l = arg;
	struct stat st;
	size_t i = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return MQ_OK;
	if (S_ISDIR(st.st_mode))
		return dir_each(dirfd, name, count, l);
	if (name_number(name, l->digits) < 0 || !S_ISREG(st.st_mode) || !l->fits(st.st_size, l->arg))
		return MQ_OK;
	while (i < l->n && l->bytes[i] != st.st_size)
		i++;
	if (i < LENGTHS_MAX) {
		l->n += i == l->n;
		l->bytes[i] = st.st_size;
		l->count[i]++;
	}
	return --l->left > 0 ? MQ_OK : MQ_EEND;
}

/* 0: there is no file. */
static int64_t
most_common(const struct lengths *l)
{
	size_t best = 0;

	for (size_t i = 1; i < l->n; i++)
		if (l->count[i] > l->count[best] || (l->count[i] == l->count[best] && l->bytes[i] > l->bytes[best]))
			best = i;
	return l->bytes[best];
}

/* Entries of the files of one half; 0: there is no file. */
static int64_t
entries_of(int store_fd, const char *half, int64_t entry_bytes)
{
	struct lengths l = {
		.digits = QUEUE_FILE_DIGITS, .fits = is_of_entries, .arg = &entry_bytes, .left = FILES_LOOKED_AT,
	};
	AUTO_CLOSE int fd = -1;

	if (dir_open(store_fd, half, 0, &fd) == MQ_OK)
		(void)dir_each(fd, ".", count, &l);
	return most_common(&l) / entry_bytes;
}

int64_t
shape_of_queues(int store_fd)
{
	int64_t entries = entries_of(store_fd, "consumequeue", QUEUE_ENTRY_BYTES);

	if (entries == 0)
		entries = entries_of(store_fd, "byteindex", QUEUE_START_BYTES);
	return entries * QUEUE_ENTRY_BYTES;
}

static int64_t
index_shape_bytes(const struct index_shape *shape)
{
	return HEADER_BYTES + shape->slots * SLOT_BYTES + shape->entries * ENTRY_BYTES;
}

static bool
index_shape_guess(int64_t bytes, struct index_shape *shape)
{
	struct index_shape ratio = { .slots = (bytes - HEADER_BYTES) / RATIO_BYTES };

	if (bytes == index_shape_bytes(shape))
		return true;
	ratio.entries = ENTRIES_A_SLOT * ratio.slots;
	if (bytes <= HEADER_BYTES || bytes != index_shape_bytes(&ratio) || ratio.entries > INT32_MAX)
		return false;
	*shape = ratio;
	return true;
}

static bool
is_of_index(int64_t bytes, void *arg)
{
	struct index_shape shape = *(const struct index_shape *)arg;

	return index_shape_guess(bytes, &shape);
}

bool
shape_of_index(int dirfd, struct index_shape *shape)
{
	struct lengths l = { .digits = INDEX_NAME_LEN, .fits = is_of_index, .arg = shape, .left = FILES_LOOKED_AT };

	(void)dir_each(dirfd, ".", count, &l);
	return l.n > 0 && index_shape_guess(most_common(&l), shape);
}
