/* judge.h - which requests are let in, where aclEnable is set: RocketMQ's rules, by its files.
 *
 *      aclFile                 plain_acl.yml (accounts.h)
 *      acl/ beside it          every *.yml and *.yaml below it, but tools.yml
 *
 *      globalWhiteRemoteAddresses has the address          let in, with the rights of remotingUser
 *      no accessKey, or no account of it                   refused
 *      whiteRemoteAddress of the account has the address   let in
 *      the signature is not the account's                  refused
 *      messages to RMQ_SYS_TRACE_TOPIC                     let in
 *      an administrator's code, and it is none             refused
 *      topics and groups that it may not use               refused
 *
 * Who is let in has the rights of a Unix user in the tree (rights.h): the account's `user`, else
 * remotingUser.
 *
 * The mount judges, because the secret keys are here: mqremoted, which reads what strangers
 * send, sees none of them, and hands over what a client has signed with each request.  An
 * mqremoted that is taken over can repeat what was signed, and lie about addresses and about
 * what is in a message; it cannot sign, and has no account whose client has not come to it.
 *
 * The files are looked at twice a second.  One that is no good is logged once, and what it said
 * before stays in force; one that never was good has no accounts.  An empty file is no good:
 * it is about to be written.
 */
#ifndef MQFS_REMOTING_JUDGE_H
#define MQFS_REMOTING_JUDGE_H

#include <jansson.h>

#include "remoting/accounts.h"
#include "remoting/accounts_edit.h"

struct judge;

/* MQ_OK also if files are no good, or not there: it is logged. */
int judge_open(const char *file, struct judge **ret);
void judge_close(struct judge *j);	/* accepts NULL */

/* --- requests ---------------------------------------------------------------------------------- */

struct want {
	const char *resource;		/* a topic, or %RETRY%GROUP */
	unsigned perm;			/* enum account_perm */
};

/* A client's request, as far as it is judged. */
struct plea {
	int code;
	const struct address *from;	/* NULL: not known */
	const char *access_key, *signature;	/* NULL: none */
	const struct signed_part *parts;
	size_t n_parts;
	const struct want *wants;
	size_t n_wants;
};

/* Whom it was let in as. */
struct leave {
	struct accounts *accounts;	/* NULL: nobody in particular */
	const struct user *user;	/* NULL: remotingUser */
};

/* MQ_OK: *ret is to be given back.  -EACCES, noted in RocketMQ's words: it is refused.  Any thread. */
int judge_hear(struct judge *j, const struct plea *p, struct leave *ret);
void leave_drop(struct leave *l);	/* accepts zeros */

/* --- mqadmin's commands; one thread at a time --------------------------------------------------- */

/* They change a file in one step, and it is read again.  -ENOENT, MQ_EBADCONF, -errno: noted. */
int judge_put(struct judge *j, const struct account_change *c);
int judge_remove(struct judge *j, const char *access_key);
int judge_set_white(struct judge *j, const char *addresses, const char *path);	/* path "": aclFile */

/* { path: { "counter": ..., "timestamp": ... } }; *ret_main: that of aclFile.  NULL: no memory. */
json_t *judge_versions(struct judge *j, json_t **ret_main);

/* What all files say, as RocketMQ's GetBrokerClusterAclConfigResponseBody. */
json_t *judge_describe(struct judge *j);

#endif
