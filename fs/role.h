/* role.h - what the mount does as master or slave, and changes of the role.
 *
 *     slave ──> master    1  nothing is received any more
 *                         2  all received records are in the views; an incomplete one is cut
 *                         3  an epoch begins: its record is the first one of this broker, and is on this disk
 *                         4  appends are accepted, slaves served
 *     master ──> slave    1  appends are refused (EROFS), those under way have ended
 *                         2  the whole log is flushed
 *                         3  this broker follows its master, if it has one
 *
 * Open files stay open, and readers continue.  Options and mqfs.conf set the role at the
 * next mount.
 */
#ifndef MQFS_FS_ROLE_H
#define MQFS_FS_ROLE_H

#include "fs/mount.h"

/* Start what the role needs: mqrepld, unless there is no master to follow and slaves are not let in. */
int role_begin(struct mount *m);

/* Serve RocketMQ's clients by mqremoted, where the settings say so. */
int role_serve_network(struct mount *m);

/* Set the setting of exactly that name, as a write to config/KEY does, and apply it to everything that depends on it.
 * A change of brokerRole may take long; if it fails, the broker keeps its role.  MQ_EBADCONF, noted: the value is
 * invalid, or it cannot change while mounted.  -EROFS: a role cannot change on a read-only mount. */
int config_set(struct mount *m, const char *key, const char *value);

#endif
