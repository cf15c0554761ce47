/* codes.h - the codes of requests: REMOTING_NAME for each row of requests.def. */
#ifndef MQFS_REMOTING_CODES_H
#define MQFS_REMOTING_CODES_H

#include <stdbool.h>

#include <jansson.h>

enum remoting_request {
#define REQUEST(name, code, in_mqremoted, in_mount) REMOTING_##name = code,
#define SENT(name, code) REMOTING_##name = code,
#include "remoting/requests.def"
};

/* Is it a request of an mqfs slave?  Addresses that haListen and haAllow let in may send it, clients not. */
static inline bool
remoting_is_of_slave(int code, const json_t *ext)
{
	return code == REMOTING_HELLO || code == REMOTING_READ_LOG ||
	       (code == REMOTING_UPDATE_CONSUMER_OFFSET && (json_object_get(ext, "seen") || json_object_get(ext, "reset")));
}

#endif
