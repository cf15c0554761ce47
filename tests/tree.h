/* tree.h - a directory of a test's own: made, worked on by a shell, removed. */
#ifndef MQFS_TESTS_TREE_H
#define MQFS_TESTS_TREE_H

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Make a directory in `parent` (NULL: $TMPDIR, or /tmp), called after `name`. */
static inline void
tree_make(char *ret_path, size_t size, const char *parent, const char *name)
{
	const char *tmp = getenv("TMPDIR");

	if (!parent)
		parent = tmp && *tmp ? tmp : "/tmp";
	assert_true(snprintf(ret_path, size, "%s/mqfs-%s.XXXXXX", parent, name) < (int)size);
	if (!mkdtemp(ret_path))
		fail_msg("%s: %s", ret_path, strerror(errno));
}

static inline int
tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Remove path and all that is in it; as nftw(3) returns. */
static inline int
tree_remove(const char *path)
{
	return nftw(path, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Run a shell command; its exit status. */
__attribute__((format(printf, 1, 0))) static inline int
sh_run(const char *fmt, va_list ap, char *ret_command, size_t size)
{
	int status;

	assert_true(vsnprintf(ret_command, size, fmt, ap) < (int)size);
	status = system(ret_command);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

__attribute__((format(printf, 1, 2))) static inline int
sh_status(const char *fmt, ...)
{
	char command[4096];
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = sh_run(fmt, ap, command, sizeof(command));
	va_end(ap);
	return status;
}

/* Run one that must succeed. */
__attribute__((format(printf, 1, 2))) static inline void
sh(const char *fmt, ...)
{
	char command[4096];
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = sh_run(fmt, ap, command, sizeof(command));
	va_end(ap);
	if (status != 0)
		fail_msg("exit status %d: %s", status, command);
}

#endif
