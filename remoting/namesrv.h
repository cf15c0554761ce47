/* namesrv.h - this broker at the name servers, all of them.
 *
 *                         namesrv_register(), or time
 *      connected to each ─────────────────────────────> QUERY_DATA_VERSION, REGISTER_BROKER
 *                         namesrv_leave()
 *                        ─────────────────────────────> UNREGISTER_BROKER, then done()
 *
 * A name server forgets a broker when the connection closes, so each keeps one; one that is
 * not reached is tried again, and nobody waits for it.  A slave hears from them who its master
 * is: LINK_MASTER goes to the mount whenever that is news.
 */
#ifndef MQFS_REMOTING_NAMESRV_H
#define MQFS_REMOTING_NAMESRV_H

#include <jansson.h>

#include "net/daemon.h"

#define NAMESRV_MAX 8

struct namesrv;

/* Those of d->config; starts who looks up their names. */
int namesrv_open(struct daemon *d, struct namesrv **ret);

/* d's loop is there. */
int namesrv_start(struct namesrv *n);
void namesrv_close(struct namesrv *n);		/* accepts NULL */

/* This broker is now as `ext` and `body` say: they are kept, and told to all of them.
 *
 *      ext     brokerName brokerAddr clusterName haServerAddr brokerId, as in REGISTER_BROKER,
 *              and brokerPermission
 *      body    of an uncompressed REGISTER_BROKER, and the members "groups", RocketMQ's table of
 *              groups, and "builtIn", topics that are there unless the table of topics has them
 *
 * MQ_ECORRUPT, noted: not such a registration. */
int namesrv_register(struct namesrv *n, json_t *ext, const char *body, size_t body_len);

/* Nothing is registered from here on; done(arg) when all of them have answered, or their
 * time is over. */
void namesrv_leave(struct namesrv *n, void (*done)(void *arg, uint64_t id), void *arg, uint64_t id);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t namesrv_tick(struct namesrv *n);

#endif
