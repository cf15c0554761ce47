/* rights.h - what a client may do: what the Unix user remotingUser may, by the owners and
 * modes of topics and groups.  The mount asks here before it acts, whatever mqremoted says.
 */
#ifndef MQFS_REMOTING_RIGHTS_H
#define MQFS_REMOTING_RIGHTS_H

#include <stdbool.h>

#include "remoting/service.h"

enum rights_want {
	RIGHTS_READ = 4,	/* as in a mode */
	RIGHTS_WRITE = 2,
};

struct rights {
	uid_t uid;		/* remotingUser, */
	gid_t gid;		/* and its first group */
	uid_t mounter;		/* owner of what nobody owns */
	gid_t mounter_gid;
};

/* MQ_EBADCONF, noted: there is no such user. */
int rights_open(const struct settings *s, struct rights *ret);

bool rights_topic(const struct rights *r, struct offsets *o, const struct topic *t, enum rights_want want);
bool rights_group(const struct rights *r, struct offsets *o, const struct group *g, enum rights_want want);

/* May it make and remove names there: dir is "topics" or "groups"? */
bool rights_make(const struct rights *r, struct offsets *o, const char *dir);

/* Whom a topic or group belongs to that a client makes. */
struct owner rights_owner(const struct rights *r);

#endif
