/* replay FILE|DIRECTORY... - feeds every file to the fuzz target it is linked
 * with; fails if there was none. */
#include "config.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay_file(const char *path, size_t size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(size ? size : 1);	/* its exact size, for the sanitizer */
	int n = 0;

	if (f && data && fread(data, 1, size, f) == size) {
		LLVMFuzzerTestOneInput(data, size);
		n = 1;
	} else {
		perror(path);
	}
	free(data);
	if (f)
		fclose(f);
	return n;
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
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, (size_t)st.st_size);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char below[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		n += replay(below);
	}
	if (dir)
		closedir(dir);
	return n;
}

int
main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++)
		n += replay(argv[i]);
	printf("%d files\n", n);
	return n > 0 ? 0 : 1;
}
