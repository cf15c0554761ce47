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

/* Of statvfs(3) and of mount(2): the same bits. */
static const struct flag {
	const char *word;
	unsigned long set, clear;
} kernel_flags[] = {
	{ "noexec", MS_NOEXEC, 0 }, { "exec", 0, MS_NOEXEC },
	{ "nosuid", MS_NOSUID, 0 }, { "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 }, { "dev", 0, MS_NODEV },
	{ "noatime", MS_NOATIME, 0 }, { "atime", 0, MS_NOATIME },
	{ "sync", MS_SYNCHRONOUS, 0 }, { "dirsync", MS_DIRSYNC, 0 },
};

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
		return err_note(-EINVAL, "a remount changes no settings; %s is %s: %s", table[i].key, is,
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

/* What is mounted, with the words of the command line applied one after the other. */
static unsigned long
wanted_flags(unsigned long flags, char *words)
{
	for (char *at = words, *word; (word = strsep(&at, ",")) != NULL;)
		for (size_t i = 0; i < sizeof(kernel_flags) / sizeof(kernel_flags[0]); i++)
			if (strcmp(kernel_flags[i].word, word) == 0)
				flags = (flags & ~kernel_flags[i].clear) | kernel_flags[i].set;
	return flags;
}

int
remount(const struct args *args, const struct settings *settings)
{
	unsigned long flags = MS_REMOUNT | (args->read_only ? MS_RDONLY : 0);
	AUTO_FREE char *words = strdup(args->kernel_words);
	struct statvfs st;
	int rc = check_mount(args);

	if (rc == MQ_OK)
		rc = check_settings(args, settings);
	if (rc != MQ_OK)
		return rc;
	if (statvfs(args->mountpoint, &st) < 0)
		return err_note(-errno, "%s: %m", args->mountpoint);
	if (!words)
		return -ENOMEM;
	flags |= wanted_flags(st.f_flag & KEPT_FLAGS, words) | (st.f_flag & ST_RELATIME ? MS_RELATIME : 0);
	if (mount(NULL, args->mountpoint, NULL, flags, NULL) == 0)
		return MQ_OK;
	return err_note(-errno, "%s: remount: %m%s", args->mountpoint,
			errno == EBUSY ? " (a file is open for writing)" : "");
}
