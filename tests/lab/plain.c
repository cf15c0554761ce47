/* plain - what plain files keep of what fdatasync() has acknowledged, when the
 * power is cut.  The measure for tests/lab/power.sh: no broker has a part in it.
 *
 *	plain run DIR ACKS MS	threads write and sync files of DIR; after MS the file
 *				system is shut down; ACKS tells what was acknowledged
 *	plain check DIR ACKS	tells which of that is not there; 1 if anything is
 *
 * Times are in microseconds from the beginning of the shutdown (ioctl), so what
 * is acknowledged at a negative time was acknowledged before.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define GOING_DOWN _IOR('X', 125, uint32_t)	/* XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN */
enum { WITHOUT_LOG_FLUSH = 2, FILE_BYTES = 64 << 20, CHUNK = 4096, KEPT = 4096 };

/* How the file's space came to be. */
enum space { GROWING, RESERVED, ZEROED, SPACES };
static const char *const space_names[SPACES] = { "growing", "reserved", "zeroed" };

struct writer {
	pthread_t thread;
	enum space space;
	int fd;
	uint64_t acked;			/* writes */
	int64_t times[KEPT];		/* of the last of them, by number % KEPT */
};

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void
must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "plain: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* The number of the write, again and again: never zero. */
static void
fill(uint64_t *chunk, uint64_t number)
{
	for (size_t i = 0; i < CHUNK / sizeof(*chunk); i++)
		chunk[i] = number;
}

static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	uint64_t chunk[CHUNK / sizeof(uint64_t)];

	for (uint64_t n = 0; n < FILE_BYTES / CHUNK; n++) {
		fill(chunk, n + 1);
		if (pwrite(w->fd, chunk, CHUNK, (off_t)(n * CHUNK)) != CHUNK || fdatasync(w->fd) != 0)
			break;
		w->times[n % KEPT] = now_us();
		w->acked = n + 1;
	}
	return NULL;
}

static void
writer_start(struct writer *w, int dir, enum space space)
{
	static char zeros[FILE_BYTES];

	w->space = space;
	w->fd = openat(dir, space_names[space], O_RDWR | O_CREAT | O_TRUNC, 0644);
	must(w->fd >= 0, space_names[space]);
	if (space == RESERVED)
		must(posix_fallocate(w->fd, 0, FILE_BYTES) == 0, "fallocate");
	if (space == ZEROED)
		must(write(w->fd, zeros, FILE_BYTES) == FILE_BYTES, "write");
	must(fsync(w->fd) == 0 && fsync(dir) == 0, "fsync");
}

static int
run(const char *path, const char *acks_path, long ms)
{
	static struct writer writers[SPACES];
	uint32_t how = WITHOUT_LOG_FLUSH;
	int dir = open(path, O_RDONLY | O_DIRECTORY);
	FILE *acks = fopen(acks_path, "w");
	int64_t cut, done;

	must(dir >= 0 && acks, path);
	for (enum space s = 0; s < SPACES; s++)
		writer_start(&writers[s], dir, s);
	for (enum space s = 0; s < SPACES; s++)
		must(pthread_create(&writers[s].thread, NULL, writer_main, &writers[s]) == 0, "thread");
	usleep((useconds_t)ms * 1000);
	cut = now_us();
	must(ioctl(dir, GOING_DOWN, &how) == 0, "shutdown");
	done = now_us();
	for (enum space s = 0; s < SPACES; s++) {
		struct writer *w = &writers[s];

		pthread_join(w->thread, NULL);
		for (uint64_t n = w->acked > KEPT ? w->acked - KEPT : 0; n < w->acked; n++)
			fprintf(acks, "%s %" PRIu64 " %" PRId64 "\n", space_names[s], n, w->times[n % KEPT] - cut);
	}
	printf("the shutdown took %" PRId64 " us\n", done - cut);
	return fclose(acks) == 0 ? 0 : 2;
}

static int
check(const char *path, const char *acks_path)
{
	FILE *acks = fopen(acks_path, "r");
	int dir = open(path, O_RDONLY | O_DIRECTORY);
	uint64_t chunk[CHUNK / sizeof(uint64_t)], want[CHUNK / sizeof(uint64_t)], n;
	char name[16];
	int64_t at;
	int rc = 0;

	must(dir >= 0 && acks, path);
	while (fscanf(acks, "%15s %" SCNu64 " %" SCNd64, name, &n, &at) == 3) {
		int fd = openat(dir, name, O_RDONLY);

		memset(chunk, 0, sizeof(chunk));
		fill(want, n + 1);
		must(fd >= 0 && pread(fd, chunk, CHUNK, (off_t)(n * CHUNK)) >= 0, name);
		if (memcmp(chunk, want, CHUNK) != 0) {
			printf("lost: %s, write %" PRIu64 ", acknowledged at %" PRId64 " us\n", name, n, at);
			rc = 1;
		}
		close(fd);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "run") == 0)
		return run(argv[2], argv[3], atol(argv[4]));
	if (argc == 4 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argv[3]);
	fprintf(stderr, "usage: plain run DIR ACKS MS | plain check DIR ACKS\n");
	return 2;
}
