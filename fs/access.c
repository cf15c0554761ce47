#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/scope.h"
#include "fs/access.h"
#include "fs/acl.h"

#define GROUPS_AT_FIRST 64
#define ACCESS_SEARCH 1

/* --- who asks ------------------------------------------------------------------- */

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

/* --- what is asked for ------------------------------------------------------------ */

static int
check_node(struct mount *m, const struct acl_caller *who, const struct node *n, int want)
{
	AUTO_FREE unsigned char *acl = NULL;
	char path[NODE_PATH_SIZE];
	struct owner o;
	size_t len = 0;

	node_owner(m, n, &o);
	node_owner_path(n, path);
	if (path_acl(m->offsets, path, &acl, &len) != MQ_OK)
		len = 0;
	if (acl_allows(acl, len, &o, who, (unsigned)want))
		return MQ_OK;
	return err_note(-EACCES, "%s may not be %s by uid %d", path,
			want == ACCESS_SEARCH ? "entered" : want == ACCESS_WRITE ? "written" :
			want == ACCESS_READ ? "read" : "read and written", (int)who->uid);
}

static int
check_path(struct mount *m, const struct acl_caller *who, const struct node *topic)
{
	struct node topics;
	int rc = node_make(m, NODE_TOPICS, 0, 0, 0, &topics);

	if (rc == MQ_OK)
		rc = check_node(m, who, &topics, ACCESS_SEARCH);
	return rc == MQ_OK ? check_node(m, who, topic, ACCESS_SEARCH) : rc;
}

int
access_check(struct mount *m, const struct handle *h, struct topic *t, int32_t queue, int want)
{
	bool every = queue == ACCESS_EVERY_QUEUE;
	int32_t last = every ? topic_queues(m->offsets, t) - 1 : queue;
	struct acl_caller who = { .uid = h->uid, .gid = h->gid };
	struct node n;
	int rc;

	if (who.uid == 0 || !h->opening)
		return MQ_OK;
	groups_of(h, &who);
	rc = node_make(m, NODE_TOPIC, t->id, 0, 0, &n);
	if (rc == MQ_OK)
		rc = check_path(m, &who, &n);
	for (int32_t i = every ? 0 : queue; rc == MQ_OK && i <= last; i++) {
		rc = node_make(m, NODE_QUEUE, t->id, (uint32_t)i, 0, &n);
		if (rc == MQ_OK)
			rc = check_node(m, &who, &n, want);
	}
	free(who.groups);
	return rc;
}
