#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "fs/remount.h"

#define VALUE_BYTES 4096
#define KEPT_FLAGS (ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_SYNCHRONOUS | ST_NOATIME | ST_NODIRATIME)

/* A one-line file of the mount, without its '\n'. */
static int
file_of_mount(const char *mountpoint, const char *dir, const char *name, char value[VALUE_BYTES])
{
	char path[VALUE_BYTES];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s/%s", mountpoint, dir, name);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, value, VALUE_BYTES - 1);
	if (n < 0)
		return -errno;
	value[n] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return MQ_OK;
}

/* fstab's options come with each remount, so what they say must only be what already is. */
static int
check_settings(const struct args *args, const struct settings *settings)
{
	char wanted[VALUE_BYTES], is[VALUE_BYTES];
	size_t n;
	const struct setting *table = settings_table(&n);

	for (size_t i = 0; i < n; i++) {
		settings_get(settings, &table[i], wanted, sizeof(wanted));
		if (strcmp(wanted, table[i].dflt) == 0 || (table[i].flags & (SETTING_IGNORED | SETTING_SECRET)) ||
		    file_of_mount(args->mountpoint, "config", table[i].key, is) != MQ_OK || strcmp(is, wanted) == 0)
			continue;
		return err_note(-EINVAL, "remount changes ro and rw only; %s is %s: %s", table[i].key, is,
				table[i].flags & SETTING_LIVE ? "write it to config/" : "unmount, and mount again");
	}
	return MQ_OK;
}

static int
check_mount(const struct args *args)
{
	char read_only[VALUE_BYTES];

	if (file_of_mount(args->mountpoint, "status", "read_only", read_only) != MQ_OK)
		return err_note(-EINVAL, "%s: no mqfs is mounted there to be remounted", args->mountpoint);
	if (!args->read_only && strcmp(read_only, "1") == 0)
		return err_note(-EROFS, "%s: the store was opened read-only: unmount, and mount again", args->mountpoint);
	return MQ_OK;
}

int
remount(const struct args *args, const struct settings *settings)
{
	unsigned long flags = MS_REMOUNT | (args->read_only ? MS_RDONLY : 0);
	struct statvfs st;
	int rc = check_mount(args);

	if (rc == MQ_OK)
		rc = check_settings(args, settings);
	if (rc != MQ_OK)
		return rc;
	if (statvfs(args->mountpoint, &st) < 0)
		return err_note(-errno, "%s: %m", args->mountpoint);
	flags |= (st.f_flag & KEPT_FLAGS) | (st.f_flag & ST_RELATIME ? MS_RELATIME : 0);
	if (mount(NULL, args->mountpoint, NULL, flags, NULL) == 0)
		return MQ_OK;
	return err_note(-errno, "%s: remount: %m%s", args->mountpoint,
			errno == EBUSY ? " (a file is open for writing)" : "");
}
