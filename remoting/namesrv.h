/* namesrv.h - registers this broker with all name servers.
 *
 *                         namesrv_register(), or time
 *      connected to each ─────────────────────────────> QUERY_DATA_VERSION, REGISTER_BROKER
 *                         namesrv_leave()
 *                        ─────────────────────────────> UNREGISTER_BROKER, then done()
 *
 * A name server forgets a broker when the connection closes, so mqremoted keeps one to each; a
 * name server that is not reached is tried again, and nothing waits for it.  Name servers tell a
 * slave who its master is: when that has changed, a LINK_MASTER goes to the mount.
 */
#ifndef MQFS_REMOTING_NAMESRV_H
#define MQFS_REMOTING_NAMESRV_H

#include <jansson.h>

#include "net/daemon.h"

#define NAMESRV_MAX 8

struct namesrv;

/* The name servers of d->config; starts the processes that resolve their names. */
int namesrv_open(struct daemon *d, struct namesrv **ret);

/* Begin; d's loop exists now. */
int namesrv_start(struct namesrv *n);
void namesrv_close(struct namesrv *n);		/* accepts NULL */

/* Register this broker with `ext` and `body`: they are kept, and sent to all name servers.
 *
 *      ext     brokerName brokerAddr clusterName haServerAddr brokerId, as in REGISTER_BROKER,
 *              and brokerPermission
 *      body    of an uncompressed REGISTER_BROKER, and the members "groups", RocketMQ's table of
 *              groups, and "builtIn", topics that are added unless the table of topics has them
 *
 * MQ_ECORRUPT, noted: not such a registration. */
int namesrv_register(struct namesrv *n, json_t *ext, const char *body, size_t body_len);

/* Unregister; done(arg, id) is called when all name servers have answered, or their time is
 * over. */
void namesrv_leave(struct namesrv *n, void (*done)(void *arg, uint64_t id), void *arg, uint64_t id);

/* Do what is due now.  Returns when to call again, 0: no need. */
int64_t namesrv_tick(struct namesrv *n);

#endif
