#include "config.h"

#include <stdlib.h>

#include "fs/access.h"

#define GROUPS_AT_FIRST 64

/* --- the caller ------------------------------------------------------------------- */

static void
groups_of(const struct handle *h, struct acl_caller *who)
{
	int n = GROUPS_AT_FIRST;

	for (int tries = 0; tries < 2; tries++) {
		gid_t *groups = realloc(who->groups, (size_t)n * sizeof(*groups));
		int got;

		if (!groups)
			return;
		who->groups = groups;
		got = fuse_req_getgroups(h->opening, n, groups);
		if (got < 0)
			return;		/* a process of another namespace: its gid alone counts */
		who->n_groups = got < n ? (size_t)got : (size_t)n;
		if (got <= n)
			return;
		n = got;
	}
}

/* --- its access ------------------------------------------------------------ */

int
access_check(struct mount *m, const struct handle *h, struct topic *t, int32_t queue, int want)
{
	struct access a = {
		.offsets = m->offsets, .uid = m->uid, .gid = m->gid, .who = { .uid = h->uid, .gid = h->gid },
	};
	int rc;

	if (a.who.uid == 0 || !h->opening)
		return MQ_OK;
	groups_of(h, &a.who);
	rc = access_queue(&a, t, queue, (unsigned)want);
	free(a.who.groups);
	return rc;
}
