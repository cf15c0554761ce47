#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/queue.h"
#include "store/shape.h"

#define HEADER_BYTES 40
#define SLOT_BYTES 4
#define ENTRY_BYTES 20
#define ENTRIES_A_SLOT 4
#define RATIO_BYTES (SLOT_BYTES + ENTRIES_A_SLOT * ENTRY_BYTES)
#define QUEUE_DEPTH 2		/* consumequeue/TOPIC/QUEUE/FILE */
#define QUEUE_NAME_LEN 20
#define INDEX_NAME_LEN 17

/* The length of a file whose name is so many digits; 0: it is none, or is empty. */
static int64_t
file_bytes(int dirfd, const char *name, size_t digits)
{
	struct stat st;

	if (strspn(name, "0123456789") != digits || name[digits] ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return 0;
	return st.st_size;
}

/* The first file `depth` directories below dirfd/name. */
static int64_t
first_file(int dirfd, const char *name, int depth, size_t digits)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int64_t bytes = 0;
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (bytes == 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		bytes = depth ? first_file(fd, e->d_name, depth - 1, digits) : file_bytes(fd, e->d_name, digits);
	}
	closedir(dir);
	return bytes;
}

int64_t
shape_of_queues(int dirfd)
{
	int64_t bytes = first_file(dirfd, ".", QUEUE_DEPTH, QUEUE_NAME_LEN);

	return bytes % QUEUE_ENTRY_BYTES == 0 ? bytes : 0;
}

int64_t
index_shape_bytes(const struct index_shape *shape)
{
	return HEADER_BYTES + shape->slots * SLOT_BYTES + shape->entries * ENTRY_BYTES;
}

bool
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

bool
shape_of_index(int dirfd, struct index_shape *shape)
{
	int64_t bytes = first_file(dirfd, ".", 0, INDEX_NAME_LEN);

	return bytes > 0 && index_shape_guess(bytes, shape);
}
