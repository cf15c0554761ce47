/* acl.h - POSIX access lists of what has an owner (below topics/ and groups/).
 *
 * The kernel checks them itself; it asks for a list when a caller who is not the
 * owner wants in and the mode has group bits (with POSIX ACLs those are the mask).
 * So a list costs others one more round trip at each open of a queue, whose
 * attributes are not cached; the owner and root pay nothing.
 *
 * Bytes, as the kernel hands them over (little-endian):
 *     0  u32 version, 2
 *     4  { u16 tag, u16 perm, u32 id } ...
 * The owner's, the mask's (or the group's) and the others' entries are the mode's
 * bits: a change of one is a change of the other.
 */
#ifndef MQFS_OFFSETS_ACL_H
#define MQFS_OFFSETS_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "offsets/meta.h"

/* The mode's bits of a list; -EINVAL for bytes that are none. */
int acl_mode(const void *acl, size_t len, mode_t *ret_mode);

/* Put the mode's bits into a list. */
void acl_set_mode(void *acl, size_t len, mode_t mode);

/* Make a file's list a directory's: a user that may read the file may list and enter the
 * directory. */
void acl_to_list(void *acl, size_t len);

/* The process that asks. */
struct acl_caller {
	uid_t uid;
	gid_t gid;
	gid_t *groups;		/* supplementary ones */
	size_t n_groups;
};

/* Does a file of `owner` with this list (len 0: none) allow all of `want` (bits of a
 * mode: 4, 2, 1)?  As POSIX.1e draft 17 and acl(5) say it. */
bool acl_allows(const void *acl, size_t len, const struct owner *owner, const struct acl_caller *who, unsigned want);

#endif
