/* mem_fuse MOUNTPOINT BYTES - a FUSE server that hands out memory: one file of
 * 1 KiB lines. */
#include "floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024

static char *memory;
static size_t memory_bytes;

static void
mem_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	size_t at = (size_t)off;

	(void)ino;
	(void)fi;
	if (at >= memory_bytes)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, memory + at, size < memory_bytes - at ? size : memory_bytes - at);
}

int
main(int argc, char **argv)
{
	struct floor f = {.read = mem_read};
	size_t at;

	if (argc != 3) {
		fprintf(stderr, "usage: mem_fuse MOUNTPOINT BYTES\n");
		return 1;
	}
	memory_bytes = strtoul(argv[2], NULL, 10);
	memory = malloc(memory_bytes);
	if (!memory) {
		perror("mem_fuse");
		return 1;
	}
	memset(memory, 'x', memory_bytes);
	for (at = LINE_BYTES - 1; at < memory_bytes; at += LINE_BYTES)
		memory[at] = '\n';
	f.size = (off_t)memory_bytes;
	return floor_main(argv[0], argv[1], &f);
}
