#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/access.h"

#define PATH_BYTES (META_PATH_MAX + 64)

/* topics/T and groups/G: their configuration has the owner. */
static bool
is_own_directory(const char *path)
{
	bool one = text_begins(path, "topics/") || text_begins(path, "groups/");

	return one && !strchr(path + 7, '/');
}

void
access_owner(struct offsets *o, const char *path, const struct topic *t, const struct group *g, bool is_dir,
	     struct owner *ret)
{
	struct topic_conf tc;
	struct group_conf gc;

	if (!is_own_directory(path) && path_owner(o, path, ret))
		return;
	if (g) {
		group_conf(o, g, &gc);
		*ret = gc.owner;
	} else if (t) {
		topic_conf(o, t, &tc);
		*ret = tc.owner;
	}
	if (!is_dir)
		ret->mode &= 0666;
}

static int
check_one(const struct access *a, const char *path, const struct topic *t, const struct group *g, bool is_dir,
	  unsigned want)
{
	AUTO_FREE unsigned char *acl = NULL;
	struct owner owner = { .uid = a->uid, .gid = a->gid, .mode = 0755 };
	size_t len = 0;

	access_owner(a->offsets, path, t, g, is_dir, &owner);
	if (path_acl(a->offsets, path, &acl, &len) != MQ_OK)
		len = 0;
	if (acl_allows(acl, len, &owner, &a->who, want))
		return MQ_OK;
	return err_note(-EACCES, "%s may not be %s by uid %d", path,
			want == ACCESS_SEARCH ? "entered" : want == ACCESS_WRITE ? "written" :
			want == ACCESS_READ ? "read" : want & ACCESS_SEARCH ? "changed" : "read and written",
			(int)a->who.uid);
}

/* `path` and the directories on the way to it. */
static int
check_path(const struct access *a, const char *path, const struct topic *t, const struct group *g, bool is_dir,
	   unsigned want)
{
	char part[PATH_BYTES];
	int rc = MQ_OK;

	if (a->who.uid == 0)
		return MQ_OK;
	for (const char *slash = strchr(path, '/'); slash && rc == MQ_OK; slash = strchr(slash + 1, '/')) {
		bool top = !memchr(path, '/', (size_t)(slash - path));

		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		rc = check_one(a, part, top ? NULL : t, top ? NULL : g, true, ACCESS_SEARCH);
	}
	return rc == MQ_OK ? check_one(a, path, t, g, is_dir, want) : rc;
}

int
access_root(const struct access *a, const char *dir, unsigned want)
{
	return check_path(a, dir, NULL, NULL, true, want);
}

int
access_file(const struct access *a, const char *path, unsigned want)
{
	return check_path(a, path, NULL, NULL, false, want);
}

int
access_topic(const struct access *a, const struct topic *t, unsigned want)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "topics/%s", t->name);
	return check_path(a, path, t, NULL, true, want);
}

int
access_queue(const struct access *a, const struct topic *t, int32_t queue, unsigned want)
{
	bool every = queue == ACCESS_EVERY_QUEUE;
	int32_t first = every ? 0 : queue, last = every ? topic_queues(a->offsets, t) - 1 : queue;
	char path[PATH_BYTES];
	int rc = MQ_OK;

	for (int32_t i = first; rc == MQ_OK && i <= last; i++) {
		snprintf(path, sizeof(path), "topics/%s/q%" PRId32, t->name, i);
		rc = check_path(a, path, t, NULL, false, want);
	}
	return rc;
}

int
access_group(const struct access *a, const struct group *g, unsigned want)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "groups/%s", g->name);
	return check_path(a, path, NULL, g, true, want);
}

int
access_subscription(const struct access *a, const struct group *g, const struct topic *t, const char *name,
		    unsigned want)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "groups/%s/%s%s%s", g->name, t->name, name ? "/" : "", name ? name : "");
	return check_path(a, path, NULL, g, !name, want);
}
