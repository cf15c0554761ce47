#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "conf/err.h"
#include "remoting/rights.h"

#define NEW_MODE 0755

int
rights_open(const struct settings *s, struct rights *ret)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(s->remotingUser);
	if (!pw)
		return err_note(MQ_EBADCONF, "remotingUser=%s: there is no such user", s->remotingUser);
	*ret = (struct rights){ .uid = pw->pw_uid, .gid = pw->pw_gid, .mounter = getuid(), .mounter_gid = getgid() };
	return MQ_OK;
}

static bool
allows(const struct rights *r, const struct owner *o, unsigned want)
{
	unsigned bits = r->uid == o->uid ? o->mode >> 6 : r->gid == o->gid ? o->mode >> 3 : o->mode;

	return r->uid == 0 || (bits & want) == want;
}

bool
rights_topic(const struct rights *r, struct offsets *o, const struct topic *t, enum rights_want want)
{
	struct topic_conf conf;

	topic_conf(o, t, &conf);
	return allows(r, &conf.owner, want);
}

bool
rights_group(const struct rights *r, struct offsets *o, const struct group *g, enum rights_want want)
{
	struct group_conf conf;

	group_conf(o, g, &conf);
	return allows(r, &conf.owner, want);
}

bool
rights_make(const struct rights *r, struct offsets *o, const char *dir)
{
	struct owner owner = { .uid = r->mounter, .gid = r->mounter_gid, .mode = NEW_MODE };

	(void)path_owner(o, dir, &owner);
	return allows(r, &owner, RIGHTS_WRITE);
}

struct owner
rights_owner(const struct rights *r)
{
	return (struct owner){ .uid = r->uid, .gid = r->gid, .mode = NEW_MODE };
}
