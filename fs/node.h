/* node.h - the mounted tree: the meaning of inode numbers, and the operations on them.
 *
 * An inode number contains what its file is, so no table has to be kept between
 * requests, and the numbers are the same after a remount:
 *
 *     63      58 57                34 33           20 19             0
 *    ┌──────────┬────────────────────┬───────────────┬───────────────┐
 *    │ kind (6) │ id (24)            │ queue (14)    │ part (20)     │
 *    └──────────┴────────────────────┴───────────────┴───────────────┘
 *
 * id: of a topic, group, subscription (offsets.h) or snapshot, or a row of a table;
 * part: the head generation of a queue (12 bits, below its lane: lanes.h), or a file number.  Kinds with a wide
 * number (a log position, an interned name) use all 58 bits for it.
 * The root is 1, as FUSE wants it (kind 0).
 *
 * One kind of file is one fs/node_*.c with one struct node_class; the table
 * in node.c lists them.  Handlers run on the session's worker threads and must
 * not block: a request that has to wait is parked (pending.h).
 */
#ifndef MQFS_FS_NODE_H
#define MQFS_FS_NODE_H

#include <inttypes.h>
#include <sys/stat.h>

#include "conf/err.h"
#include "fs/mount.h"
#include "store/snapshot.h"

enum node_kind {
	NODE_ROOT = 0,
	NODE_README,
	NODE_TOPICS,		/* topics/ */
	NODE_TOPIC,		/* topics/T/            id = topic */
	NODE_TOPIC_CONFIG,	/* topics/T/config */
	NODE_TOPIC_CTL,		/* topics/T/ctl */
	NODE_QUEUE,		/* topics/T/qN          id = topic, queue, part = head moves */
	NODE_NAMED,		/* topics/T/qN@..:.., all, all@..: an interned name (names.h), id = topic */
	NODE_GROUPS,		/* groups/ */
	NODE_GROUP,		/* groups/G/            id = group */
	NODE_GROUP_CONFIG,
	NODE_GROUP_CTL,
	NODE_SUBSCRIPTION,	/* groups/G/T/          id = subscription */
	NODE_GROUP_QUEUE,	/* groups/G/T/qN        id = subscription, queue */
	NODE_GROUP_ANY,		/* groups/G/T/any */
	NODE_GROUP_NAMED,	/* groups/G/T/qN:.., any:.., all:..: an interned name, id = subscription */
	NODE_GROUP_OFFSET,	/* groups/G/T/qN.offset */
	NODE_GROUP_LAG,		/* groups/G/T/qN.lag */
	NODE_GROUP_EXPRESSION,	/* groups/G/T/subscription */
	NODE_MESSAGES,		/* messages/ */
	NODE_MESSAGE,		/* messages/ID          wide = log position */
	NODE_COMMITLOG,		/* commitlog/ */
	NODE_SEGMENT,		/* commitlog/N          wide = its first byte */
	NODE_CONSUMEQUEUE,	/* consumequeue/ */
	NODE_CQ_TOPIC,		/* consumequeue/T/      id = topic */
	NODE_CQ_QUEUE,		/* consumequeue/T/Q/    id = topic, queue */
	NODE_CQ_FILE,		/* consumequeue/T/Q/N   id = topic, queue, part = file number */
	NODE_CONFIG,		/* config/ */
	NODE_CONFIG_KEY,	/* config/KEY           id = row of the settings table */
	NODE_STATUS,		/* status/ */
	NODE_STATUS_FILE,	/* status/NAME          id = row of its table */
	NODE_REPLICATION,	/* status/replication/ */
	NODE_REPLICATION_TROUBLE,
	NODE_PEER,		/* status/replication/PEER/       id = its number */
	NODE_PEER_FILE,		/* status/replication/PEER/NAME   id, part = row of its table */
	NODE_LOSTFOUND,		/* lost+found/ */
	NODE_LOSTFOUND_FILE,	/* lost+found/NAME      an interned name */
	NODE_UNMADE_TOPIC,	/* topics/T/            of no topic yet: an interned name */
	NODE_UNMADE_QUEUE,	/* topics/T/qN, all, .. in there: an interned name */
	NODE_SNAPSHOTS,		/* .snapshots/ */
	NODE_SNAPSHOT,		/* .snapshots/S/        id = snapshot */
	NODE_SNAPSHOT_DIR,	/* .snapshots/S/DIR/    id, part = row of its table */
	NODE_SNAPSHOT_SEGMENT,	/* .snapshots/S/commitlog/N  id, queue and part = segment number */
	NODE_SNAPSHOT_FILE,	/* .snapshots/S/[DIR/]NAME   id, part = row of snapshot_files */
	NODE_SNAPSHOT_MANIFEST,	/* .snapshots/S/MANIFEST     id */
	NODE_CTL,		/* ctl */
	NODE_GROUP_CLIENTS,	/* groups/G/clients     id = group */
	NODE_GROUP_RETRY,	/* groups/G/T/qN.retry */
	NODE_GROUP_SUMMARY,	/* groups/G/lag         id = group */
	NODE_PARTS,		/* topics/T/qN.parts/   id = topic, queue */
	NODE_PART,		/* topics/T/qN.parts/N  id = topic, queue, part: node_parts.c */
	NODE_GROUP_ALL,		/* groups/G/T/all */
	NODE_TOPIC_PRODUCERS,	/* topics/T/producers   id = topic */
	NODE_KINDS,
};

struct node_class;

/* A node, resolved for the length of one request.  Cheap to make, copied freely. */
struct node {
	fuse_ino_t ino;
	enum node_kind kind;
	uint32_t id;
	uint32_t queue;
	uint32_t part;
	uint64_t wide;		/* the low 58 bits as one number */
	const struct node_class *class;
	struct topic *topic;	/* set for nodes below a topic or a subscription */
	struct group *group;
	struct subscription *sub;
	uint32_t life;		/* of sub, else group, else topic, when n was resolved */
	struct snapshot *snapshot;	/* set for nodes below .snapshots/S */
	const char *name;	/* of an interned node: its text, kept as long as the kernel knows it */
};

/* The inode number of a node. */
fuse_ino_t node_ino(enum node_kind kind, uint32_t id, uint32_t queue, uint32_t part);
fuse_ino_t node_ino_wide(enum node_kind kind, uint64_t wide);

/* The inode number of a segment in a snapshot. */
fuse_ino_t node_snapshot_segment_ino(const struct snapshot *s, int64_t base);

/* The number of a queue whose head has moved `moves` times, in a lane; the st_ino of a number; its lane. */
fuse_ino_t node_queue_ino(uint32_t topic, uint32_t queue, uint32_t moves, unsigned lane);
fuse_ino_t node_st_ino(fuse_ino_t ino);
unsigned node_lane(fuse_ino_t ino);

/* How often the head of n's queue q had moved when n was made; n holds the low bits of that number. */
uint32_t node_head_moves(const struct node *n, struct queue *q);

#define NODE_PART_MASK 0xfffffu
#define NODE_LANES 256u
#define NODE_LANE_SHIFT 12
#define NODE_HEAD_MASK ((1u << NODE_LANE_SHIFT) - 1)
#define NODE_WIDE_MASK ((UINT64_C(1) << 58) - 1)

/* The node of an inode number.  -ESTALE: there is none (any more). */
int node_get(struct mount *m, fuse_ino_t ino, struct node *ret_node);

/* The same from its parts, for lookup(). */
int node_make(struct mount *m, enum node_kind kind, uint32_t id, uint32_t queue, uint32_t part,
	      struct node *ret_node);
int node_make_wide(struct mount *m, enum node_kind kind, uint64_t wide, struct node *ret_node);

/* A node with the interned name `name`, of the topic or subscription `id` (0: of neither).  It is held. */
int node_make_named(struct mount *m, enum node_kind kind, uint32_t id, const char *name,
		    struct node *ret_node);

/* Interned names live while they are held: by the kernel, by open files, by lists, and by a
 * caller that has just looked one up, until it has passed it on: node_drop(). */
void node_hold(struct mount *m, fuse_ino_t ino);
void node_drop(struct mount *m, fuse_ino_t ino, uint64_t times);

/* Was the topic, group or subscription of n removed since n was resolved?  One that was made again under the
 * same name is another one: open files of the old one answer ESTALE. */
bool node_is_stale(const struct node *n);

/* The directory n was made, perhaps again: note in the estate which life of it the kernel knows. */
void node_note_life(struct mount *m, const struct node *n);

/* Read the lives that a dead broker has noted. */
void nodes_inherit(struct mount *m);

bool node_is_dir(const struct node *n);
bool node_is_unmade(const struct node *n);	/* of a topic that is not made yet: node_unmade.c */

/* The path of n below the mount point ("topics/T/q0"); and the path under which its owner is kept: the same
 * without the options of a name. */
#define NODE_PATH_SIZE 1024
void node_path(const struct node *n, char buf[NODE_PATH_SIZE]);
void node_owner_path(const struct node *n, char buf[NODE_PATH_SIZE]);

/* rc, whose note, if there is one, says which file is meant: the path of n, or of `name` in it (may be NULL). */
int node_note(const struct node *n, const char *name, int rc);

/* Below topics/ and groups/ everything has an owner: its own, else its directory's (a file without the x bits).
 * node_show_owner() puts it into st, whose file type must be set; node_set_owner() is chmod and chown. */
void node_show_owner(struct mount *m, const struct node *n, struct stat *st);
int node_set_owner(struct mount *m, const struct node *n, const struct stat *st, int to_set);

/* The owner of a directory that `who` makes in dir: a setgid directory passes its group on. */
struct owner node_new_owner(struct mount *m, const struct node *dir, const struct fuse_ctx *who, mode_t mode);

/* The queue that n is, or belongs to.  -ESTALE: its topic has no such queue. */
int node_find_queue(struct mount *m, const struct node *n, struct queue **ret_q);

/* Make a topic that `who` owns in topics/, as the settings say. */
int node_topic_make(struct mount *m, const struct node *topics, const char *name, mode_t mode,
		    const struct fuse_ctx *who, struct topic **ret);

/* The directory that a directory is in. */
int node_parent(struct mount *m, const struct node *n, struct node *ret_parent);

/* The complete st of n, for getattr, lookup and readdirplus. */
int node_attr(struct mount *m, const struct node *n, struct stat *ret_st, double *ret_timeout);

/* The attributes of a plain directory, and of a text whose size is the length of render()'s text. */
int node_attr_dir(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout);
int node_attr_text(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout);

void stat_set_ms(struct stat *st, int64_t ms);	/* mtime and ctime */

struct text;

/* The entries of a directory for readdir: list() adds each child, and the list holds it.
 * -ENOMEM is remembered. */
struct lister;
void lister_add(struct lister *l, const char *name, fuse_ino_t ino);

/* lookup() and list() of the children of dir whose names are fixed (topics/T/config), by the table in
 * node.c.  -ENOENT: dir has no such child. */
int node_fixed_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child);
int node_fixed_list(struct mount *m, const struct node *dir, struct lister *l);

struct handle;

/* Text that grows; see text.c. */
struct text {
	char *buf;
	size_t len, size;
	int err;		/* sticky -ENOMEM */
};

void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add(struct text *t, const void *bytes, size_t len);
void text_free(struct text *t);

/* The operations of one kind of node.  For a NULL member callers get the error that
 * the kernel reports for a file without that operation: EPERM for changes,
 * ENOTDIR/EISDIR, ENODATA.  All return MQ_OK or an error code of err.h.
 */
struct node_class {
	/* Attributes.  st has st_ino, nlink 1, the mount's owner and start time;
	 * st_mode must be set; *ret_timeout is in seconds, preset to 0.
	 * NULL: node_attr_dir() with list(), node_attr_text() without. */
	int (*attr)(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout);

	/* Directories have a list().  *ret_child of lookup() is held (node_drop()). */
	int (*lookup)(struct mount *m, const struct node *dir, const char *name, struct node *ret_child);
	int (*list)(struct mount *m, const struct node *dir, struct lister *l);
	int (*make_dir)(struct mount *m, const struct node *dir, const char *name, mode_t mode,
			const struct fuse_ctx *who, struct node *ret_child);
	int (*remove_dir)(struct mount *m, const struct node *dir, const char *name);

	bool unlogged;		/* make_dir and remove_dir write no record to the log: they wait for no slave */

	/* chmod, chown, touch: st and to_set as in fuse_lowlevel_ops.setattr; a
	 * change of size never comes here. */
	int (*set_attr)(struct mount *m, const struct node *n, const struct stat *st, int to_set);

	/* user.mqfs.*.  get: append the value to t.  list: append NUL-ended names.
	 * POSIX ACLs are served by ops.c for what has an owner. */
	int (*get_xattr)(struct mount *m, const struct node *n, const char *name, struct text *t);
	int (*list_xattr)(struct mount *m, const struct node *n, struct text *t);
	/* Append the value of user.mqfs.help, which describes the file.  NULL: it has none. */
	int (*help)(struct mount *m, const struct node *n, struct text *t);

	/* Small files whose whole content is text made at open (text.c serves
	 * them): render makes it; accept gets the written text, at each write
	 * (TEXT_COMMAND) or as a whole at close (TEXT_WHOLE).  check returns the error
	 * that accept would return for whole lines, while write(2) can still report it. */
	int (*render)(struct mount *m, const struct node *n, struct text *t);
	int (*accept)(struct mount *m, const struct node *n, const char *text, size_t len);
	int (*check)(struct mount *m, const struct node *n, const char *text, size_t len);
	enum { TEXT_COMMAND, TEXT_WHOLE } accept_when;
	const struct command *commands;		/* of a ctl file: command.h */
	/* May it be opened, for reasons beside its mode?  NULL: yes. */
	int (*may_open)(struct mount *m, const struct node *n, const struct handle *h);

	/* Other files.  open may set h->fopen, h->backing_id and h->own; on failure
	 * it frees all that it made.  NULL, with read: h->own is not needed.  read, write, fsync reply themselves, now or later
	 * (pending.h), with a reference on h for as long as they use it after they
	 * returned.  flush runs at each close(2) unless h->fopen has FOPEN_NOFLUSH;
	 * release once, when the last reference is gone. */
	int (*open)(struct mount *m, const struct node *n, struct handle *h);
	/* Open it again as a broker that died had it open: h->kept has its state.  NULL: open() is called. */
	int (*resume)(struct mount *m, const struct node *n, struct handle *h);
	void (*read)(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);
	void (*write)(struct mount *m, fuse_req_t req, struct handle *h, const char *buf, size_t size,
		      off_t off, const struct fuse_file_info *fi);
	void (*fsync)(struct mount *m, fuse_req_t req, struct handle *h);
	int (*flush)(struct mount *m, struct handle *h);	/* close(2) of one descriptor */
	int64_t (*data_end)(const struct node *n);	/* the bytes behind it are a hole; NULL: no hole */
	void (*release)(struct mount *m, struct handle *h);	/* the last close */
	void (*poll)(struct mount *m, fuse_req_t req, struct handle *h, struct fuse_pollhandle *ph);
};

extern const struct node_class node_root, node_readme, node_topics, node_topic, node_topic_config,
	node_topic_ctl, node_ctl, node_queue, node_parts, node_part, node_groups, node_group,
	node_group_config, node_group_ctl, node_group_clients, node_group_summary,
	node_topic_producers,
	node_subscription, node_group_queue,
	node_group_offset, node_group_lag,
	node_group_retry,
	node_group_expression, node_messages, node_message, node_commitlog, node_segment,
	node_consumequeue, node_cq_topic, node_cq_queue, node_cq_file, node_config, node_config_key,
	node_status, node_status_file, node_replication, node_replication_trouble, node_peer, node_peer_file,
	node_lostfound, node_lostfound_file, node_unmade_topic, node_unmade_queue, node_snapshots, node_snapshot,
	node_snapshot_dir, node_snapshot_segment, node_snapshot_file, node_snapshot_manifest;

#endif
