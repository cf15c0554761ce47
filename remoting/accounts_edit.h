/* accounts_edit.h - changes of plain_acl.yml by mqadmin's commands: text in, text out.
 *
 * Other keys stay as they are, also those that mqfs does not know; comments and the style of the
 * YAML are lost.  dataVersion counts each change.  If the new text would be invalid, the change
 * fails (MQ_EBADCONF, noted as accounts_parse() does).
 */
#ifndef MQFS_REMOTING_ACCOUNTS_EDIT_H
#define MQFS_REMOTING_ACCOUNTS_EDIT_H

#include <stddef.h>

/* An account as updateAclConfig has it; NULL: stays as it is. */
struct account_change {
	const char *access_key, *secret_key;	/* must not be NULL */
	const char *white_address, *admin, *topic_perm, *group_perm;
	const char *topic_perms, *group_perms;	/* NAME=PERM,NAME=PERM; "": none */
};

struct edited {
	char *text;			/* to be freed */
	size_t len;
};

/* Make the account, or change it. */
int accounts_edit_put(const char *text, size_t len, const struct account_change *c, struct edited *ret);

/* Remove the account.  -ENOENT: there is none. */
int accounts_edit_remove(const char *text, size_t len, const char *access_key, struct edited *ret);

/* Set globalWhiteRemoteAddresses to these, which are separated by commas. */
int accounts_edit_white(const char *text, size_t len, const char *addresses, struct edited *ret);

#endif
