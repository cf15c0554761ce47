#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/err.h"
#include "fs/mountpoint.h"

#define DEAD_MOUNTS_MAX 8	/* on top of each other */

static int
run_fusermount(const char *path)
{
	char *argv[] = {
		(char *)"fusermount3", (char *)"-u", (char *)"-z", (char *)"--", (char *)path, NULL,
	};
	pid_t pid;
	int status;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return -EPERM;
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		return -EPERM;
	return MQ_OK;
}

int
mountpoint_detach(const char *path)
{
	if (umount2(path, MNT_DETACH) == 0 || run_fusermount(path) == MQ_OK)
		return MQ_OK;
	return err_note(-EBUSY, "%s: a dead mount is here and cannot be taken away", path);
}

int
mountpoint_check(const char *path)
{
	struct statvfs fs;
	struct stat st;
	int rc;

	/* stat(2) may be answered from what the kernel remembers of a dead mount */
	for (int tries = 0; stat(path, &st) < 0 || statvfs(path, &fs) < 0; tries++) {
		if (errno != ENOTCONN || tries == DEAD_MOUNTS_MAX)
			return err_note(-errno, "%s: %m", path);
		rc = mountpoint_detach(path);
		if (rc != MQ_OK)
			return rc;
	}
	if (!S_ISDIR(st.st_mode))
		return err_note(-ENOTDIR, "%s: %m", path);
	return MQ_OK;
}

uint64_t
mountpoint_id(const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0)
		return 0;
	return st.stx_mnt_id;
}
