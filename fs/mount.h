/* mount.h - one mounted broker: what every part of fs/ works on. */
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
struct moved;
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
	struct workers *workers;	/* serve; NULL: nobody does yet */
	const char *mountpoint;
	struct handles *handles;	/* open files */
	struct names *names;		/* interned names with options */
	struct replication *_Atomic replication; /* with mqrepld; NULL: nobody follows */
	struct service *service;	/* with mqremoted; NULL: no client is served */
	bool master_given;		/* by the operator: name servers do not say who it is */
	struct pending *pending;	/* requests that wait */
	struct locks *locks;		/* flock(2), fcntl(2) */
	struct lanes *lanes;		/* appends to one queue side by side */
	struct searcher *searcher;	/* goes on with reads that take long */
	struct ahead *ahead;		/* fills what sequential readers ask next; NULL: nobody does */
	struct closing *closing;	/* files being closed with a line unfinished */

	struct moved *moved;		/* tells watchers of queues that were trimmed */
	struct keeper *keeper;		/* cleans up after snapshots, sums them up */
	struct healer healer;		/* from where the scrub has good bytes */

	_Atomic int64_t wheel_waiting;	/* messages that RocketMQ's timer wheel would deliver: store/wheel.h */

	bool read_only;
	bool passthrough;		/* the kernel can read our files itself */
	size_t max_write;
	int64_t started_ms;
	const struct lifeline *line;	/* to the supervisor */
	struct estate *estate;		/* what outlives us; NULL: nothing */
	uid_t uid;			/* who mounted: owner of what nobody owns */
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
