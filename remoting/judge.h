/* judge.h - access control where aclEnable is set: which requests are let in, by RocketMQ's rules and files.
 *
 *      aclFile                 plain_acl.yml (accounts.h)
 *      acl/ beside it          every *.yml and *.yaml below it, but tools.yml
 *
 *      globalWhiteRemoteAddresses has the address          let in, with the rights of remotingUser
 *      no accessKey, or no account of it                   refused
 *      whiteRemoteAddress of the account has the address   let in
 *      the signature is not the account's                  refused
 *      messages to RMQ_SYS_TRACE_TOPIC                     let in
 *      an administrator's code, and the account is none    refused
 *      topics and groups that the account may not use      refused
 *
 * A client that is let in has the rights of a Unix user in the tree (rights.h): the account's
 * `user`, else remotingUser.
 *
 * The mount judges, because it alone has the secret keys: mqremoted, which reads the bytes of
 * strangers, has no keys, and passes on the bytes that a client has signed with each request.  An
 * mqremoted that is taken over can repeat signed requests, and give wrong addresses and wrong
 * contents of a message; it cannot sign, nor use an account whose client has not connected to it.
 *
 * The files are checked for changes twice a second.  An invalid file is logged once, and its former
 * contents stay in force; a file that was never valid has no accounts.  An empty file counts as
 * invalid, because it is about to be written.
 */
#ifndef MQFS_REMOTING_JUDGE_H
#define MQFS_REMOTING_JUDGE_H

#include <jansson.h>

#include "remoting/accounts.h"
#include "remoting/accounts_edit.h"

struct judge;

/* MQ_OK also if files are invalid or missing, which is logged. */
int judge_open(const char *file, struct judge **ret);
void judge_close(struct judge *j);	/* accepts NULL */

/* --- requests ---------------------------------------------------------------------------------- */

struct want {
	const char *resource;		/* a topic, or %RETRY%GROUP */
	unsigned perm;			/* enum account_perm */
};

/* A client's request, as far as it is judged. */
struct judge_request {
	int code;
	const struct address *from;	/* NULL: not known */
	const char *access_key, *signature;	/* NULL: none */
	const struct signed_part *parts;
	size_t n_parts;
	const struct want *wants;
	size_t n_wants;
};

/* The account and user that a request was let in as. */
struct permit {
	struct accounts *accounts;	/* of which `user` is; NULL: none */
	const struct user *user;	/* NULL: remotingUser */
};

/* MQ_OK: *ret is to be given back.  -EACCES, noted in RocketMQ's words: it is refused.  Any thread. */
int judge_check(struct judge *j, const struct judge_request *p, struct permit *ret);
void permit_drop(struct permit *p);	/* accepts zeros */

/* --- mqadmin's commands; one thread at a time --------------------------------------------------- */

/* Change a file atomically, and read it again.  -ENOENT, MQ_EBADCONF, -errno: noted. */
int judge_put(struct judge *j, const struct account_change *c);
int judge_remove(struct judge *j, const char *access_key);
int judge_set_white(struct judge *j, const char *addresses, const char *path);	/* path "": aclFile */

/* { path: { "counter": ..., "timestamp": ... } }; *ret_main: that of aclFile.  NULL: no memory. */
json_t *judge_versions(struct judge *j, json_t **ret_main);

/* The contents of all files, as RocketMQ's GetBrokerClusterAclConfigResponseBody. */
json_t *judge_describe(struct judge *j);

#endif
