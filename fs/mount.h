/* mount.h - one mounted broker: the struct that every part of fs/ gets. */
#ifndef MQFS_FS_MOUNT_H
#define MQFS_FS_MOUNT_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf/settings.h"
#include "offsets/offsets.h"
#include "store/heal.h"
#include "store/store.h"
#include "store/storedir.h"

struct handles;
struct ahead;
struct lanes;
struct locks;
struct searcher;
struct estate;
struct lifeline;
struct closing;
struct names;
struct pending;
struct replication;
struct session;
struct keeper;
struct notices;
struct snapshots;
struct workers;

struct mount {
	struct settings *settings;
	struct storedir dir;
	bool has_dir;			/* dir is open */
	struct store *store;
	struct offsets *offsets;
	struct snapshots *snapshots;

	struct fuse_session *session;
	struct session *serving;	/* session.c's */
	struct workers *workers;	/* serve requests; NULL: not started yet */
	const char *mountpoint;
	struct handles *handles;	/* open files */
	struct names *names;		/* interned names with options */
	struct replication *_Atomic replication; /* with mqrepld; NULL: this broker neither follows nor is followed */
	struct service *service;	/* with mqremoted; NULL: no client is served */
	bool master_given;		/* the operator has set `master`: name servers do not change it */
	struct pending *pending;	/* requests that wait */
	struct locks *locks;		/* flock(2), fcntl(2) */
	struct lanes *lanes;		/* several inodes for the appenders of one queue */
	struct searcher *searcher;	/* continues reads that take long */
	struct ahead *ahead;		/* reads ahead for sequential readers; NULL: no read-ahead */
	struct closing *closing;	/* files being closed with a line unfinished */
	struct notices *notices;	/* tells watchers of queues that were trimmed */
	struct keeper *keeper;		/* removes files of dropped snapshots, makes MANIFESTs */
	struct healer healer;		/* where the scrub gets good bytes */

	_Atomic int64_t wheel_waiting;	/* messages that RocketMQ's timer wheel would deliver: store/wheel.h */

	bool read_only;
	bool passthrough;		/* the kernel can read files of the store itself */
	size_t max_write;
	int64_t started_ms;
	const struct lifeline *line;	/* to the supervisor */
	struct estate *estate;		/* state for the next broker; NULL: there is none */
	uid_t uid;			/* of the user who mounted: owner of files without another owner */
	gid_t gid;
	struct host host;		/* brokerIP1:listenPort, as messages carry it */
	_Atomic uint32_t round_robin;	/* of appends through topics/T/all */
};

static inline struct mount *
req_mount(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

#endif
