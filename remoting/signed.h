/* signed.h - signatures of clients' requests, as RocketMQ's AclClientRPCHook makes them.
 *
 *      Signature = base64(HMAC-SHA1(secretKey, values ‖ body))
 *
 * `values` are those of all ext fields but Signature and _UNIQUE_KEY_QUERY, one behind the
 * other in the order of the fields' names.  Fields that begin with "mqfs." are not signed: mqremoted adds them.
 */
#ifndef MQFS_REMOTING_SIGNED_H
#define MQFS_REMOTING_SIGNED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The values of an object of strings, or NULL: malloc'ed, not ended by a NUL.  NULL: no memory. */
char *signed_values(const json_t *ext, size_t *ret_len);

/* A secret key, ready to be used.  NULL: no memory. */
struct signer;
struct signer *signer_make(const char *secret);
void signer_free(struct signer *s);	/* accepts NULL */

/* Bytes that were signed, in up to so many parts. */
struct signed_part {
	const void *at;
	size_t len;
};

/* Is `signature` that of the parts?  Any thread. */
bool signer_has_signed(const struct signer *s, const struct signed_part *parts, size_t n, const char *signature);

#endif
