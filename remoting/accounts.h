/* accounts.h - the accounts of network clients and their permissions: RocketMQ's plain_acl.yml.
 *
 *      globalWhiteRemoteAddresses:             # addresses (whitelist.h) that may do all
 *        - 10.10.103.*
 *      accounts:
 *        - accessKey: RocketMQ                 # more than 6 characters, as the secret key
 *          secretKey: 12345678
 *          whiteRemoteAddress: 192.168.0.*     # from there it needs no signature, and may do all
 *          admin: false
 *          defaultTopicPerm: DENY              # DENY, PUB, SUB, PUB|SUB
 *          defaultGroupPerm: SUB
 *          topicPerms: [ topicA=DENY, topicB=PUB|SUB ]
 *          groupPerms: [ groupC=SUB ]
 *          user: alice                         # mqfs's own: the Unix user whose rights it has in the
 *                                              # tree; else remotingUser
 *      dataVersion:                            # written by mqadmin's commands
 *        - { counter: 1, timestamp: 1700000000000 }
 *
 * Other keys are ignored.  A struct accounts does not change once it is parsed, so any thread
 * that holds a reference may use it.
 */
#ifndef MQFS_REMOTING_ACCOUNTS_H
#define MQFS_REMOTING_ACCOUNTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "conf/user.h"
#include "remoting/signed.h"
#include "remoting/whitelist.h"

#define ACCOUNTS_FILE_MAX (1 << 20)	/* bytes of a file */

enum account_perm {
	ACCOUNT_DENY = 1,
	ACCOUNT_PUB = 4,
	ACCOUNT_SUB = 8,
};

/* A topic, or %RETRY%GROUP. */
struct resource {
	char *name;
	unsigned perm;			/* enum account_perm */
};

struct account {
	char *access_key, *secret_key;
	char *white_address;		/* as in the file; NULL: absent, as the next three */
	char *topic_perm_text, *group_perm_text, *user_name;
	struct whitelist white;
	bool admin;
	unsigned topic_perm, group_perm;	/* of topics and groups that are not in `resources` */
	struct resource *resources;		/* by name */
	size_t n_resources;
	char **topic_perms, **group_perms;	/* as in the file */
	size_t n_topic_perms, n_group_perms;
	struct signer *signer;
	struct user user;			/* number 0: none is named */
};

struct accounts {
	_Atomic int refs;
	struct whitelist white;
	char **white_texts;
	size_t n_white_texts;
	struct account *list;			/* by accessKey */
	size_t n;
	int64_t counter, timestamp_ms;		/* dataVersion, of its last change by mqadmin */
};

/* MQ_EBADCONF, noted: the text is not valid (where, and why).  *ret has one reference. */
int accounts_parse(const char *text, size_t len, struct accounts **ret);
struct accounts *accounts_ref(struct accounts *a);
void accounts_unref(struct accounts *a);	/* accepts NULL */

/* NULL: there is none. */
const struct account *accounts_find(const struct accounts *a, const char *access_key);

/* Does the account have `want` (enum account_perm) for the topic, or for %RETRY%GROUP? */
bool account_may(const struct account *a, const char *resource, unsigned want);

#endif
