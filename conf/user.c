#include "config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conf/err.h"
#include "conf/user.h"

#define GROUPS_AT_FIRST 32

static int
find_groups(const char *name, struct user *u)
{
	int room = GROUPS_AT_FIRST, n;

	for (;;) {
		gid_t *groups = realloc(u->groups, (size_t)room * sizeof(*groups));

		if (!groups)
			return -ENOMEM;
		u->groups = groups;
		n = room;
		if (getgrouplist(name, u->gid, groups, &n) >= 0)
			break;
		room = n > room ? n : 2 * room;
	}
	u->n_groups = (size_t)n;
	return MQ_OK;
}

int
user_find(const char *name, struct user *ret)
{
	static _Atomic uint64_t numbers = 1;
	struct passwd pw, *found = NULL;
	struct user u = { 0 };
	char buf[4096];
	int rc = getpwnam_r(name, &pw, buf, sizeof(buf), &found);

	if (rc != 0 || !found)
		return err_note(MQ_EBADCONF, "there is no user %s", name);
	u.number = atomic_fetch_add(&numbers, 1);
	u.uid = pw.pw_uid;
	u.gid = pw.pw_gid;
	rc = find_groups(name, &u);
	if (rc == MQ_OK)
		*ret = u;
	else
		user_clear(&u);
	return rc;
}

void
user_clear(struct user *u)
{
	free(u->groups);
	*u = (struct user){ 0 };
}
