/* replay.c - feeds files to a fuzz target: every file named, every file of
 * every directory named.
 *
 * Without arguments, replay_NOUN replays tests/fuzz/corpus/NOUN of the source
 * tree ($srcdir, as make check sets it).  Exits 1 if there was no file.
 */
#include "config.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/target.h"

static int
replay_file(const char *path, size_t size)
{
	unsigned char *data = malloc(size ? size : 1);	/* no more, so that a read beyond it is seen */
	FILE *f = fopen(path, "rb");

	if (!data || !f || fread(data, 1, size, f) != size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

/* How many files were fed. */
static int
replay(const char *path)
{
	struct stat st;
	struct dirent *entry;
	DIR *dir;
	int n = 0;

	if (stat(path, &st) < 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, (size_t)st.st_size);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char child[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		n += replay(child);
	}
	if (dir)
		closedir(dir);
	return n;
}

static int
replay_own(const char *program)
{
	const char *noun = strstr(program, "replay_");
	const char *top = getenv("srcdir");
	char path[4096];

	if (!noun)
		return 0;
	while (strstr(noun + 1, "replay_"))
		noun = strstr(noun + 1, "replay_");
	noun += strlen("replay_");
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top ? top : ".", noun);
	return replay(path);
}

int
main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++)
		n += replay(argv[i]);
	if (argc == 1)
		n = replay_own(argv[0]);
	printf("%d files\n", n);
	return n == 0;
}
