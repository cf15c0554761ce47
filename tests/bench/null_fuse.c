/* null_fuse MOUNTPOINT - a FUSE server that throws away what is written. */
#include "floor.h"

#include <stdio.h>

static void
null_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)buf;
	(void)off;
	(void)fi;
	fuse_reply_write(req, size);
}

int
main(int argc, char **argv)
{
	struct floor f = {.write = null_write};

	if (argc != 2) {
		fprintf(stderr, "usage: null_fuse MOUNTPOINT\n");
		return 1;
	}
	return floor_main(argv[0], argv[1], &f);
}
