/* user.h - a user of this system, and the groups that it is in. */
#ifndef MQFS_CONF_USER_H
#define MQFS_CONF_USER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct user {
	uint64_t number;	/* another one for each struct that user_find() has filled */
	uid_t uid;
	gid_t gid;		/* its first group, */
	gid_t *groups;		/* and all of them */
	size_t n_groups;
};

/* Look a user up.  MQ_EBADCONF, noted: there is no such user. */
int user_find(const char *name, struct user *ret);
void user_clear(struct user *u);	/* accepts zeros */

#endif
