/* write_fuse MOUNTPOINT FILE - a FUSE server that writes each request to FILE as it is: what
 * a broker would be that understands nothing of what it is sent. */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int plain;

static void
write_on(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	ssize_t n = write(plain, buf, size);

	(void)ino;
	(void)off;
	(void)fi;
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, (size_t)n);
}

int
main(int argc, char **argv)
{
	struct floor f = {.write = write_on};

	if (argc != 3) {
		fprintf(stderr, "usage: write_fuse MOUNTPOINT FILE\n");
		return 1;
	}
	plain = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (plain < 0) {
		perror(argv[2]);
		return 1;
	}
	return floor_main(argv[0], argv[1], &f);
}
