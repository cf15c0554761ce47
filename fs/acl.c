#include "config.h"

#include <errno.h>

#include "conf/scope.h"
#include "fs/acl.h"
#include "offsets/acl.h"

static bool
has_acl(const struct node *n)
{
	return n->topic || n->group;
}

int
node_acl(struct mount *m, const struct node *n, struct text *t)
{
	AUTO_FREE unsigned char *acl = NULL;
	char path[NODE_PATH_SIZE];
	size_t len;
	int rc;

	if (!has_acl(n))
		return -ENODATA;
	node_owner_path(n, path);
	rc = path_acl(m->offsets, path, &acl, &len);
	if (rc != MQ_OK)
		return rc;
	if (n->kind == NODE_PARTS)
		acl_to_list(acl, len);
	text_add(t, acl, len);
	return MQ_OK;
}

int
node_set_acl(struct mount *m, const struct node *n, const void *acl, size_t len)
{
	char path[NODE_PATH_SIZE];
	struct stat st = { 0 };
	int rc;

	if (!has_acl(n) || !n->class->set_attr)
		return acl ? -EOPNOTSUPP : -ENODATA;
	rc = acl ? acl_mode(acl, len, &st.st_mode) : MQ_OK;
	if (rc != MQ_OK)
		return rc;
	node_owner_path(n, path);
	rc = path_set_acl(m->offsets, path, acl, len);
	return rc == MQ_OK && acl ? node_set_owner(m, n, &st, FUSE_SET_ATTR_MODE) : rc;
}

int
node_acl_follows(struct mount *m, const struct node *n, mode_t mode)
{
	AUTO_FREE unsigned char *acl = NULL;
	char path[NODE_PATH_SIZE];
	size_t len;

	if (!has_acl(n))
		return MQ_OK;
	node_owner_path(n, path);
	if (path_acl(m->offsets, path, &acl, &len) != MQ_OK)
		return MQ_OK;
	acl_set_mode(acl, len, mode);
	return path_set_acl(m->offsets, path, acl, len);
}
