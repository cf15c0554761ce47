#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/scope.h"
#include "offsets/registry.h"

uint64_t
offsets_rights_version(const struct offsets *o)
{
	return atomic_load(&o->rights_version);
}

void
offsets_show_rights_version(struct offsets *o, _Atomic uint64_t *place)
{
	LOCKED(&o->registry);
	o->rights_shown = place;
	if (place)
		atomic_store(place, atomic_load(&o->rights_version));
}

bool
path_owner(struct offsets *o, const char *path, struct owner *ret)
{
	LOCKED(&o->registry);
	const struct attr_entry *a = registry_find(o, ENTRY_ATTR, path);

	if (!a || !a->has_owner)
		return false;
	*ret = a->owner;
	return true;
}

int
path_acl(struct offsets *o, const char *path, unsigned char **ret_acl, size_t *ret_len)
{
	LOCKED(&o->registry);
	const struct attr_entry *a = registry_find(o, ENTRY_ATTR, path);
	unsigned char *acl;

	if (!a || !a->acl)
		return -ENODATA;
	acl = malloc(a->acl_len);
	if (!acl)
		return -ENOMEM;
	memcpy(acl, a->acl, a->acl_len);
	*ret_acl = acl;
	*ret_len = a->acl_len;
	return MQ_OK;
}

/* Is it a valid path, and not below a topic or group of the system? */
static int
path_check(const char *path)
{
	char name[META_PATH_MAX + 1];
	const char *slash = strchr(path, '/');
	bool topics = text_begins(path, "topics/");

	if (!meta_path_ok(path, strnlen(path, META_PATH_MAX + 1)))
		return err_note(-EINVAL, "not a path of the tree");
	if (!slash || (!topics && !text_begins(path, "groups/")))
		return MQ_OK;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(slash + 1, "/"), slash + 1);
	return topics ? meta_topic_check(name) : meta_group_check(name);
}

static int
path_change(struct offsets *o, const char *path, struct meta *m)
{
	AUTO_FREE char *copy = NULL;
	int rc = path_check(path);

	if (rc != MQ_OK)
		return rc;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	m->op = META_ATTR;
	m->path = copy;
	LOCKED(&o->apply);
	return change_one(o, m);
}

int
path_set_owner(struct offsets *o, const char *path, const struct owner *owner)
{
	struct meta m = { .has_owner = true, .owner = *owner };

	m.owner.mode &= 07777;
	return path_change(o, path, &m);
}

int
path_set_acl(struct offsets *o, const char *path, const unsigned char *acl, size_t len)
{
	unsigned char none = 0;
	struct meta m = { .acl = len ? (unsigned char *)(uintptr_t)acl : &none, .acl_len = len };

	if (len > META_ACL_MAX)
		return -E2BIG;
	return path_change(o, path, &m);
}
