/* acl.h - access lists of nodes, as getxattr(2) and setxattr(2) have them; their bytes: offsets/acl.h. */
#ifndef MQFS_FS_ACL_H
#define MQFS_FS_ACL_H

#include "fs/node.h"

#define ACL_XATTR "system.posix_acl_access"

/* Append the access list of n to t.  -ENODATA: it has none. */
int node_acl(struct mount *m, const struct node *n, struct text *t);

/* Set it; NULL: remove it.  -EOPNOTSUPP, or -ENODATA for NULL: n cannot have one. */
int node_set_acl(struct mount *m, const struct node *n, const void *acl, size_t len);

/* Change the access list of n as chmod(2) to `mode` does. */
int node_acl_follows(struct mount *m, const struct node *n, mode_t mode);

#endif
