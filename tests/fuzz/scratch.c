#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "tests/fuzz/scratch.h"
#include "tests/tree.h"

void
scratch_begin(char path[SCRATCH_PATH])
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || !*tmp)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(path, SCRATCH_PATH, "%s/mqfs-fuzz-XXXXXX", tmp);
	MUST(mkdtemp(path));
}

void
scratch_end(const char *path)
{
	MUST(tree_remove(path) == 0);
}

int
scratch_file(const char *path, const char *name)
{
	char full[2 * SCRATCH_PATH];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", path, name);
	for (char *slash = full + strlen(path) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		mkdir(full, 0700);
	}
	fd = open(full, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	return fd;
}
