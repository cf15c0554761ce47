/* tree.h - the end of a test's directory. */
#ifndef MQFS_TESTS_TREE_H
#define MQFS_TESTS_TREE_H

#include <ftw.h>
#include <stdio.h>

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

#endif
