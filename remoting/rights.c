#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/err.h"
#include "remoting/rights.h"

#define NEW_MODE 0755

/* Without a user it is root, who may do all. */
static struct access
access_of(const struct user *r, struct offsets *o)
{
	struct access a = { .offsets = o, .uid = getuid(), .gid = getgid() };

	if (r) {
		a.who.uid = r->uid;
		a.who.gid = r->gid;
		a.who.groups = r->groups;
		a.who.n_groups = r->n_groups;
	}
	return a;
}

/* --- rights that were found before ------------------------------------------------------------------------ */

/* The rights of each message are checked, and most messages are of few queues: each thread remembers
 * the rights that it has found. */
struct allowed {
	const struct offsets *offsets;	/* NULL: nothing */
	uint64_t version, user;
	uint32_t topic, group;		/* ids; 0: no group */
	int32_t queue;
	unsigned want;
};

#define ALLOWED_MAX 256u

static _Thread_local struct allowed known[ALLOWED_MAX];

static struct allowed
question(const struct user *r, const struct offsets *o, const struct topic *t, const struct group *g, int32_t queue,
	 unsigned want)
{
	return (struct allowed){
		.offsets = o, .version = offsets_rights_version(o), .user = r->number,
		.topic = t->id, .group = g ? g->id : 0, .queue = queue, .want = want,
	};
}

static struct allowed *
place_of(const struct allowed *a)
{
	uint64_t n = a->user * 31 + a->topic * 17 + a->group * 13 + (uint32_t)a->queue * 3 + a->want;

	return &known[n % ALLOWED_MAX];
}

static bool
is_known(const struct allowed *a)
{
	const struct allowed *k = place_of(a);

	return k->offsets == a->offsets && k->version == a->version && k->user == a->user && k->topic == a->topic &&
	       k->group == a->group && k->queue == a->queue && k->want == a->want;
}

static bool
remember(const struct allowed *a, bool allowed)
{
	if (allowed)
		*place_of(a) = *a;
	return allowed;
}

/* --- rights ---------------------------------------------------------------------------------- */

bool
rights_queue(const struct user *r, struct offsets *o, const struct topic *t, int32_t queue, enum rights_want want)
{
	struct allowed q;
	struct access a;

	if (!r || r->uid == 0)
		return true;
	q = question(r, o, t, NULL, queue, want);
	if (is_known(&q))
		return true;
	a = access_of(r, o);
	return remember(&q, access_queue(&a, t, queue, want) == MQ_OK);
}

bool
rights_topic(const struct user *r, struct offsets *o, const struct topic *t)
{
	const struct access a = access_of(r, o);

	return access_topic(&a, t, ACCESS_WRITE) == MQ_OK;
}

bool
rights_group(const struct user *r, struct offsets *o, const struct group *g)
{
	const struct access a = access_of(r, o);

	return access_group(&a, g, ACCESS_WRITE) == MQ_OK;
}

/* groups/G/T/qN with that suffix. */
static bool
may_use(const struct user *r, struct offsets *o, const struct group *g, const struct topic *t, int32_t queue,
	const char *suffix, unsigned want)
{
	const struct access a = access_of(r, o);
	char name[32];

	snprintf(name, sizeof(name), "q%" PRId32 "%s", queue, suffix);
	return access_subscription(&a, g, t, name, want) == MQ_OK;
}

bool
rights_consume(const struct user *r, struct offsets *o, struct group *g, struct topic *t, int32_t queue)
{
	struct allowed q;
	struct access a;

	if (!r || r->uid == 0)
		return true;
	if (!rights_queue(r, o, t, queue, RIGHTS_READ))
		return false;
	if (!g)
		return rights_make(r, o, "groups");
	q = question(r, o, t, g, queue, RIGHTS_WRITE);
	if (is_known(&q))
		return true;
	if (subscription_find(o, g, t))
		return remember(&q, may_use(r, o, g, t, queue, "", ACCESS_READ | ACCESS_WRITE));
	a = access_of(r, o);
	return access_group(&a, g, ACCESS_WRITE | ACCESS_SEARCH) == MQ_OK;
}

bool
rights_offset(const struct user *r, struct offsets *o, const struct group *g, const struct topic *t, int32_t queue,
	      enum rights_want want)
{
	return may_use(r, o, g, t, queue, ".offset", want);
}

bool
rights_file(const struct user *r, struct offsets *o, const char *path)
{
	const struct access a = access_of(r, o);

	return access_file(&a, path, ACCESS_WRITE) == MQ_OK;
}

bool
rights_make(const struct user *r, struct offsets *o, const char *dir)
{
	const struct access a = access_of(r, o);

	return access_root(&a, dir, ACCESS_WRITE | ACCESS_SEARCH) == MQ_OK;
}

struct owner
rights_owner(const struct user *r)
{
	return (struct owner){ .uid = r ? r->uid : getuid(), .gid = r ? r->gid : getgid(), .mode = NEW_MODE };
}

int
rights_make_group(const struct user *r, struct offsets *o, const char *name, struct group **ret_g)
{
	struct group_conf conf;
	int rc;

	*ret_g = group_find(o, name);
	if (*ret_g)
		return MQ_OK;
	if (!rights_make(r, o, "groups"))
		return -EACCES;
	group_conf_default(&conf, name);
	conf.owner = rights_owner(r);
	rc = group_create(o, &conf, ret_g);
	if (rc == -EEXIST)		/* another thread has made it */
		*ret_g = group_find(o, name);
	return rc == -EEXIST ? MQ_OK : rc;
}
