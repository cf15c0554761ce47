/* role.h - master or slave: what the mount does about it, and a change of sides.
 *
 *     slave ──> master    1  nothing is received any more
 *                         2  all that came is in the views; a record that came in part is cut
 *                         3  an epoch begins: its record is the first of ours, and on this disk
 *                         4  appends are taken, slaves served
 *     master ──> slave    1  appends are refused (EROFS), those under way have ended
 *                         2  all is flushed
 *                         3  the master is followed, if there is one
 *
 * Open files go on, whoever reads.  What the role is at the next mount, options and
 * mqfs.conf say.
 */
#ifndef MQFS_FS_ROLE_H
#define MQFS_FS_ROLE_H

#include "fs/mount.h"

/* Start what the role needs: mqrepld, unless nobody is to follow or to be served. */
int role_begin(struct mount *m);

/* Serve RocketMQ's clients by mqremoted, where the settings say so. */
int role_serve_network(struct mount *m);

/* brokerRole becomes `value`.  Takes as long as it takes; on failure the broker is
 * what it was.  MQ_EBADCONF, noted: no such role. */
int role_change(struct mount *m, const char *value);

/* The setting `master` has changed. */
void role_follow_other(struct mount *m);

#endif
