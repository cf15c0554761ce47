/* accounts_edit.h - changes of plain_acl.yml, as mqadmin's commands want them: text in, text out.
 *
 * What is not changed stays, also what mqfs does not know, but for comments and the way it was
 * written.  dataVersion counts each change.  A text that would be no good file is not made
 * (MQ_EBADCONF, noted as accounts_parse() does).
 */
#ifndef MQFS_REMOTING_ACCOUNTS_EDIT_H
#define MQFS_REMOTING_ACCOUNTS_EDIT_H

#include <stddef.h>

/* An account as updateAclConfig has it; NULL: stays as it is. */
struct account_change {
	const char *access_key, *secret_key;	/* are there */
	const char *white_address, *admin, *topic_perm, *group_perm;
	const char *topic_perms, *group_perms;	/* NAME=PERM,NAME=PERM; "": none */
};

struct edited {
	char *text;			/* to be freed */
	size_t len;
};

/* Make the account, or change it. */
int accounts_edit_put(const char *text, size_t len, const struct account_change *c, struct edited *ret);

/* -ENOENT: it is not there. */
int accounts_edit_remove(const char *text, size_t len, const char *access_key, struct edited *ret);

/* globalWhiteRemoteAddresses are these, with commas between. */
int accounts_edit_white(const char *text, size_t len, const char *addresses, struct edited *ret);

#endif
