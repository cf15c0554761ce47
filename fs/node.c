#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/lock.h"
#include "fs/acl.h"
#include "fs/estate.h"
#include "fs/names.h"
#include "fs/node.h"
#include "fs/text.h"
#include "offsets/access.h"

#define ATTR_DIR_SECONDS 1.0
#define FILE_MODE 0777		/* no file is a program: no setuid, no setgid */
#define DIR_MODE 03777

/* What the id of a kind is. */
enum id_of {
	ID_NOTHING,
	ID_TOPIC,
	ID_GROUP,
	ID_SUBSCRIPTION,
	ID_SNAPSHOT,
};

enum {
	NAMED = 1,		/* the wide number is that of an interned name, which has the id */
	HIDDEN = 2,		/* not listed with the fixed names of its directory */
};

/* One row for each kind of file.  In its path, %t is the topic, %g the group,
 * %q the queue, %n the name, %s the snapshot, %w a file's first byte.  A path without the
 * file's own name is that of its directory. */
static const struct kind {
	const struct node_class *class;
	enum id_of id;
	enum node_kind parent;	/* the directory that the file is in */
	const char *path;
	int flags;
} kinds[NODE_KINDS] = {
	[NODE_ROOT] = { &node_root, ID_NOTHING, NODE_ROOT, "", 0 },
	[NODE_README] = { &node_readme, ID_NOTHING, NODE_ROOT, "README", 0 },
	[NODE_CTL] = { &node_ctl, ID_NOTHING, NODE_ROOT, "ctl", 0 },
	[NODE_TOPICS] = { &node_topics, ID_NOTHING, NODE_ROOT, "topics", 0 },
	[NODE_TOPIC] = { &node_topic, ID_TOPIC, NODE_TOPICS, "topics/%t", 0 },
	[NODE_TOPIC_CONFIG] = { &node_topic_config, ID_TOPIC, NODE_TOPIC, "topics/%t/config", 0 },
	[NODE_TOPIC_CTL] = { &node_topic_ctl, ID_TOPIC, NODE_TOPIC, "topics/%t/ctl", 0 },
	[NODE_TOPIC_PRODUCERS] = { &node_topic_producers, ID_TOPIC, NODE_TOPIC, "topics/%t/producers", HIDDEN },
	[NODE_QUEUE] = { &node_queue, ID_TOPIC, NODE_TOPIC, "topics/%t/q%q", 0 },
	[NODE_NAMED] = { &node_queue, ID_TOPIC, NODE_TOPIC, "topics/%t/%n", NAMED },
	[NODE_PARTS] = { &node_parts, ID_TOPIC, NODE_TOPIC, "topics/%t/q%q.parts", 0 },
	[NODE_PART] = { &node_part, ID_TOPIC, NODE_PARTS, "topics/%t/q%q.parts", 0 },
	[NODE_GROUPS] = { &node_groups, ID_NOTHING, NODE_ROOT, "groups", 0 },
	[NODE_GROUP] = { &node_group, ID_GROUP, NODE_GROUPS, "groups/%g", 0 },
	[NODE_GROUP_CONFIG] = { &node_group_config, ID_GROUP, NODE_GROUP, "groups/%g/config", 0 },
	[NODE_GROUP_CTL] = { &node_group_ctl, ID_GROUP, NODE_GROUP, "groups/%g/ctl", 0 },
	[NODE_GROUP_SUMMARY] = { &node_group_summary, ID_GROUP, NODE_GROUP, "groups/%g/lag", 0 },
	[NODE_GROUP_CLIENTS] = { &node_group_clients, ID_GROUP, NODE_GROUP, "groups/%g/clients", 0 },
	[NODE_SUBSCRIPTION] = { &node_subscription, ID_SUBSCRIPTION, NODE_GROUP, "groups/%g/%t", 0 },
	[NODE_GROUP_QUEUE] = { &node_group_queue, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/q%q", 0 },
	[NODE_GROUP_ANY] = { &node_group_queue, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/any", 0 },
	[NODE_GROUP_ALL] = { &node_group_queue, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/all", 0 },
	[NODE_GROUP_NAMED] = { &node_group_queue, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/%n", NAMED },
	[NODE_GROUP_OFFSET] = { &node_group_offset, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/q%q.offset", 0 },
	[NODE_GROUP_RETRY] = { &node_group_retry, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/q%q.retry", 0 },
	[NODE_GROUP_LAG] = { &node_group_lag, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/q%q.lag", 0 },
	[NODE_GROUP_EXPRESSION] = { &node_group_expression, ID_SUBSCRIPTION, NODE_SUBSCRIPTION, "groups/%g/%t/subscription", 0 },
	[NODE_MESSAGES] = { &node_messages, ID_NOTHING, NODE_ROOT, "messages", 0 },
	[NODE_MESSAGE] = { &node_message, ID_NOTHING, NODE_MESSAGES, "messages/@%w", 0 },
	[NODE_COMMITLOG] = { &node_commitlog, ID_NOTHING, NODE_ROOT, "commitlog", 0 },
	[NODE_SEGMENT] = { &node_segment, ID_NOTHING, NODE_COMMITLOG, "commitlog/%w", 0 },
	[NODE_CONSUMEQUEUE] = { &node_consumequeue, ID_NOTHING, NODE_ROOT, "consumequeue", 0 },
	[NODE_CQ_TOPIC] = { &node_cq_topic, ID_TOPIC, NODE_CONSUMEQUEUE, "consumequeue/%t", 0 },
	[NODE_CQ_QUEUE] = { &node_cq_queue, ID_TOPIC, NODE_CQ_TOPIC, "consumequeue/%t/%q", 0 },
	[NODE_CQ_FILE] = { &node_cq_file, ID_TOPIC, NODE_CQ_QUEUE, "consumequeue/%t/%q", 0 },
	[NODE_CONFIG] = { &node_config, ID_NOTHING, NODE_ROOT, "config", 0 },
	[NODE_CONFIG_KEY] = { &node_config_key, ID_NOTHING, NODE_CONFIG, "config", 0 },
	[NODE_STATUS] = { &node_status, ID_NOTHING, NODE_ROOT, "status", 0 },
	[NODE_STATUS_FILE] = { &node_status_file, ID_NOTHING, NODE_STATUS, "status", 0 },
	[NODE_REPLICATION] = { &node_replication, ID_NOTHING, NODE_STATUS, "status/replication", 0 },
	[NODE_REPLICATION_TROUBLE] = { &node_replication_trouble, ID_NOTHING, NODE_REPLICATION, "status/replication/trouble", 0 },
	[NODE_PEER] = { &node_peer, ID_NOTHING, NODE_REPLICATION, "status/replication", 0 },
	[NODE_PEER_FILE] = { &node_peer_file, ID_NOTHING, NODE_PEER, "status/replication", 0 },
	[NODE_LOSTFOUND] = { &node_lostfound, ID_NOTHING, NODE_ROOT, "lost+found", 0 },
	[NODE_LOSTFOUND_FILE] = { &node_lostfound_file, ID_NOTHING, NODE_LOSTFOUND, "lost+found/%n", NAMED },
	[NODE_UNMADE_TOPIC] = { &node_unmade_topic, ID_NOTHING, NODE_TOPICS, "topics/%n", NAMED },
	[NODE_UNMADE_QUEUE] = { &node_unmade_queue, ID_NOTHING, NODE_TOPICS, "topics/%n", NAMED },
	[NODE_SNAPSHOTS] = { &node_snapshots, ID_NOTHING, NODE_ROOT, ".snapshots", HIDDEN },
	[NODE_SNAPSHOT] = { &node_snapshot, ID_SNAPSHOT, NODE_SNAPSHOTS, ".snapshots/%s", 0 },
	[NODE_SNAPSHOT_DIR] = { &node_snapshot_dir, ID_SNAPSHOT, NODE_SNAPSHOT, ".snapshots/%s", 0 },
	[NODE_SNAPSHOT_SEGMENT] = { &node_snapshot_segment, ID_SNAPSHOT, NODE_SNAPSHOT_DIR, ".snapshots/%s/commitlog", 0 },
	[NODE_SNAPSHOT_FILE] = { &node_snapshot_file, ID_SNAPSHOT, NODE_SNAPSHOT, ".snapshots/%s", 0 },
	[NODE_SNAPSHOT_MANIFEST] = { &node_snapshot_manifest, ID_SNAPSHOT, NODE_SNAPSHOT, ".snapshots/%s/MANIFEST", 0 },
};

/* --- numbers ----------------------------------------------------------------- */

fuse_ino_t
node_ino_wide(enum node_kind kind, uint64_t wide)
{
	if (kind == NODE_ROOT)
		return FUSE_ROOT_ID;
	return (uint64_t)kind << 58 | (wide & NODE_WIDE_MASK);
}

fuse_ino_t
node_ino(enum node_kind kind, uint32_t id, uint32_t queue, uint32_t part)
{
	return node_ino_wide(kind, (uint64_t)(id & 0xffffff) << 34 | (uint64_t)(queue & 0x3fff) << 20 |
					   (part & NODE_PART_MASK));
}

static bool
is_queue(fuse_ino_t ino)
{
	return ino >> 58 == NODE_QUEUE;
}

fuse_ino_t
node_queue_ino(uint32_t topic, uint32_t queue, uint32_t moves, unsigned lane)
{
	return node_ino(NODE_QUEUE, topic, queue, lane << NODE_LANE_SHIFT | (moves & NODE_HEAD_MASK));
}

fuse_ino_t
node_st_ino(fuse_ino_t ino)
{
	return is_queue(ino) ? ino & ~(fuse_ino_t)(NODE_PART_MASK & ~NODE_HEAD_MASK) : ino;
}

unsigned
node_lane(fuse_ino_t ino)
{
	return is_queue(ino) ? (unsigned)(ino & NODE_PART_MASK) >> NODE_LANE_SHIFT : 0;
}

uint32_t
node_head_moves(const struct node *n, struct queue *q)
{
	uint32_t now = queue_head_moves(q);

	return now - ((now - n->part) & NODE_HEAD_MASK);
}

static struct node
node_decode(fuse_ino_t ino)
{
	return (struct node){
		.ino = ino,
		.kind = (enum node_kind)(ino >> 58),
		.id = (uint32_t)(ino >> 34) & 0xffffff,
		.queue = (uint32_t)(ino >> 20) & 0x3fff,
		.part = (uint32_t)ino & (is_queue(ino) ? NODE_HEAD_MASK : NODE_PART_MASK),
		.wide = ino & NODE_WIDE_MASK,
	};
}

/* --- what numbers stand for -------------------------------------------------------- */

/* Set the members that n's id stands for.  -ESTALE: there is none (any more). */
static int
resolve(struct mount *m, struct node *n)
{
	switch (kinds[n->kind].id) {
	case ID_NOTHING:
		return MQ_OK;
	case ID_TOPIC:
		n->topic = topic_by_id(m->offsets, n->id);
		return n->topic && !n->topic->gone ? MQ_OK : -ESTALE;
	case ID_GROUP:
		n->group = group_by_id(m->offsets, n->id);
		return n->group && !n->group->gone ? MQ_OK : -ESTALE;
	case ID_SUBSCRIPTION:
		n->sub = subscription_by_id(m->offsets, n->id);
		if (!n->sub || n->sub->gone)
			return -ESTALE;
		n->topic = n->sub->topic;
		n->group = n->sub->group;
		return MQ_OK;
	case ID_SNAPSHOT:
		n->snapshot = snapshot_by_id(m->snapshots, n->id);
		return n->snapshot && (n->kind != NODE_SNAPSHOT_FILE || n->part < SNAPSHOT_FILES) ? MQ_OK : -ESTALE;
	}
	return -ESTALE;
}

/* The life of the directory that n is or is in; NULL: it has none. */
static _Atomic uint32_t *
life_of(const struct node *n)
{
	if (n->sub)
		return &n->sub->life;
	if (n->group)
		return &n->group->life;
	return n->topic ? &n->topic->life : NULL;
}

static uint32_t
life_now(const struct node *n)
{
	const _Atomic uint32_t *life = life_of(n);

	return life ? atomic_load(life) : 0;
}

bool
node_is_stale(const struct node *n)
{
	if (n->sub && n->sub->gone)
		return true;
	if (n->topic && n->topic->gone)
		return true;
	return n->life != life_now(n);
}

int
node_get(struct mount *m, fuse_ino_t ino, struct node *ret_node)
{
	struct node n = node_decode(ino);
	int rc = MQ_OK;

	if (n.kind >= NODE_KINDS || !kinds[n.kind].class)
		return -ESTALE;
	n.class = kinds[n.kind].class;
	if (kinds[n.kind].flags & NAMED)
		rc = names_find(m->names, n.wide, &n.name, &n.id);
	if (rc == MQ_OK)
		rc = resolve(m, &n);
	if (rc != MQ_OK)
		return rc;
	n.life = life_now(&n);
	*ret_node = n;
	return MQ_OK;
}

int
node_make(struct mount *m, enum node_kind kind, uint32_t id, uint32_t queue, uint32_t part,
	  struct node *ret_node)
{
	return node_get(m, node_ino(kind, id, queue, part), ret_node);
}

int
node_make_wide(struct mount *m, enum node_kind kind, uint64_t wide, struct node *ret_node)
{
	return node_get(m, node_ino_wide(kind, wide), ret_node);
}

int
node_make_named(struct mount *m, enum node_kind kind, uint32_t id, const char *name, struct node *ret_node)
{
	uint64_t number;
	int rc;

	rc = names_intern(m->names, (int)kind, id, name, &number);
	if (rc != MQ_OK)
		return rc;
	rc = node_make_wide(m, kind, number, ret_node);
	if (rc != MQ_OK)
		names_drop(m->names, number, 1);
	return rc;
}

/* --- lives, across a crash --------------------------------------------------------- */

static struct lock lives_lock = LOCK_STATIC(RANK_TABLE);

void
node_note_life(struct mount *m, const struct node *n)
{
	struct estate *e = m->estate;
	uint32_t i, n_lives;

	if (!e || n->life == 0)
		return;
	LOCKED(&lives_lock);
	n_lives = atomic_load(&e->n_lives);
	for (i = 0; i < n_lives && e->lives[i].ino != n->ino; i++)
		;
	if (i == ESTATE_LIVES)
		return;
	e->lives[i] = (struct estate_life){ .ino = n->ino, .life = n->life };
	if (i == n_lives)
		atomic_store(&e->n_lives, n_lives + 1);
}

void
nodes_inherit(struct mount *m)
{
	for (uint32_t i = 0; i < atomic_load(&m->estate->n_lives); i++) {
		struct node n = node_decode(m->estate->lives[i].ino);
		_Atomic uint32_t *life;

		(void)resolve(m, &n);
		life = life_of(&n);
		if (life)
			atomic_store(life, m->estate->lives[i].life);
	}
}

static bool
is_interned(fuse_ino_t ino)
{
	uint64_t kind = ino >> 58;

	return kind < NODE_KINDS && (kinds[kind].flags & NAMED);
}

void
node_hold(struct mount *m, fuse_ino_t ino)
{
	if (is_interned(ino))
		names_hold(m->names, ino & NODE_WIDE_MASK);
}

void
node_drop(struct mount *m, fuse_ino_t ino, uint64_t times)
{
	if (is_interned(ino))
		names_drop(m->names, ino & NODE_WIDE_MASK, times);
}

bool
node_is_dir(const struct node *n)
{
	return n->class->list != NULL;
}

int
node_find_queue(struct mount *m, const struct node *n, struct queue **ret_q)
{
	int rc = topic_queue(m->offsets, n->topic, (int32_t)n->queue, ret_q);

	return rc == -ENOENT ? -ESTALE : rc;
}

int
node_parent(struct mount *m, const struct node *n, struct node *ret_parent)
{
	enum node_kind parent = kinds[n->kind].parent;
	uint32_t id = kinds[parent].id == ID_GROUP ? n->group->id : n->id;

	return node_make(m, parent, kinds[parent].id == ID_NOTHING ? 0 : id, 0, 0, ret_parent);
}

/* --- files with fixed names ---------------------------------------------------------- */

/* The name of the only file of this kind in its directory, "config" in topics/T; NULL: it has a name of
 * its own. */
static const char *
fixed_name(enum node_kind kind)
{
	const struct kind *k = &kinds[kind];
	const char *slash = strrchr(k->path, '/'), *name = slash ? slash + 1 : k->path;

	return strchr(name, '%') || strcmp(k->path, kinds[k->parent].path) == 0 ? NULL : name;
}

/* The next kind after *kind of a file with a fixed name in dir.  False: there is none. */
static bool
fixed_next(const struct node *dir, enum node_kind *kind)
{
	while (++*kind < NODE_KINDS)
		if (kinds[*kind].class && kinds[*kind].parent == dir->kind && fixed_name(*kind))
			return true;
	return false;
}

int
node_fixed_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	for (enum node_kind kind = NODE_ROOT; fixed_next(dir, &kind);)
		if (strcmp(fixed_name(kind), name) == 0)
			return node_make(m, kind, dir->id, 0, 0, ret_child);
	return -ENOENT;
}

int
node_fixed_list(struct mount *m, const struct node *dir, struct lister *l)
{
	(void)m;
	for (enum node_kind kind = NODE_ROOT; fixed_next(dir, &kind);)
		if (!(kinds[kind].flags & HIDDEN))
			lister_add(l, fixed_name(kind), node_ino(kind, dir->id, 0, 0));
	return MQ_OK;
}

/* --- paths ------------------------------------------------------------------------ */

static int
path_part(const struct node *n, char what, char *buf, size_t size)
{
	switch (what) {
	case 't':
		return snprintf(buf, size, "%s", n->topic->name);
	case 'g':
		return snprintf(buf, size, "%s", n->group->name);
	case 'q':
		return snprintf(buf, size, "%u", n->queue);
	case 'n':
		return snprintf(buf, size, "%s", n->name);
	case 's':
		return snprintf(buf, size, "%s", n->snapshot->name);
	default:
		return snprintf(buf, size, "%020" PRIu64, n->wide);
	}
}

void
node_path(const struct node *n, char buf[NODE_PATH_SIZE])
{
	size_t at = 0;

	for (const char *p = kinds[n->kind].path; *p && at < NODE_PATH_SIZE - 1; p++) {
		if (*p == '%')
			at += (size_t)path_part(n, *++p, buf + at, NODE_PATH_SIZE - at);
		else
			buf[at++] = *p;
	}
	buf[at < NODE_PATH_SIZE ? at : NODE_PATH_SIZE - 1] = '\0';
}

int
node_note(const struct node *n, const char *name, int rc)
{
	char path[NODE_PATH_SIZE];

	node_path(n, path);
	if (!err_is_noted(rc) || (*path && strncmp(err_text(rc), path, strcspn(path, "/")) == 0))
		return rc;
	return err_note(rc, "%s%s%s: %s", path, *path && name ? "/" : "", name ? name : *path ? "" : "/", err_text(rc));
}

/* --- owners and modes ---------------------------------------------------------------- */

bool
node_is_unmade(const struct node *n)
{
	return n->kind == NODE_UNMADE_TOPIC || n->kind == NODE_UNMADE_QUEUE;
}

/* A name with options (q0@5:follow), the parts of q0 and its consume queue have the owner of q0.  A topic that is
 * not made yet has the owner of topics/. */
void
node_owner_path(const struct node *n, char buf[NODE_PATH_SIZE])
{
	char *name;

	if (node_is_unmade(n)) {
		strcpy(buf, "topics");
		return;
	}
	if (n->kind == NODE_CQ_QUEUE || n->kind == NODE_CQ_FILE) {
		snprintf(buf, NODE_PATH_SIZE, "topics/%s/q%" PRIu32, n->topic->name, n->queue);
		return;
	}
	node_path(n, buf);
	name = strrchr(buf, '/');
	if (name && n->name)
		name[strcspn(name, "@:")] = '\0';
	else if (name && (n->kind == NODE_PARTS || n->kind == NODE_PART))
		name[strcspn(name, ".")] = '\0';
}

/* Does the file show messages of all topics, whatever their modes are? */
static bool
is_private(enum node_kind kind)
{
	return kind == NODE_COMMITLOG || kind == NODE_SEGMENT || kind == NODE_LOSTFOUND ||
	       kind == NODE_LOSTFOUND_FILE;
}

static void
node_owner(struct mount *m, const struct node *n, struct owner *ret)
{
	char path[NODE_PATH_SIZE];

	node_owner_path(n, path);
	*ret = (struct owner){ .uid = m->uid, .gid = m->gid, .mode = is_private(n->kind) ? 0700 : 0755 };
	access_owner(m->offsets, path, n->topic, n->group, node_is_dir(n), ret);
	if (n->kind == NODE_PARTS || n->kind == NODE_CQ_QUEUE)	/* a reader of the queue may list them */
		ret->mode = (ret->mode & 0444) | (ret->mode & 0444) >> 2;
}

void
node_show_owner(struct mount *m, const struct node *n, struct stat *st)
{
	const struct node_class *c = n->class;
	struct owner o;

	node_owner(m, n, &o);
	if (!node_is_dir(n) && !c->accept && !c->write)
		o.mode &= ~(mode_t)0222;
	st->st_uid = o.uid;
	st->st_gid = o.gid;
	st->st_mode = (st->st_mode & S_IFMT) | o.mode;
}

static int
topic_set_owner(struct mount *m, struct topic *t, const struct owner *o)
{
	struct topic_conf conf;

	topic_conf(m->offsets, t, &conf);
	conf.owner = *o;
	return topic_change(m->offsets, t, &conf);
}

static int
group_set_owner(struct mount *m, struct group *g, const struct owner *o)
{
	struct group_conf conf;

	group_conf(m->offsets, g, &conf);
	conf.owner = *o;
	return group_change(m->offsets, g, &conf);
}

/* Setting times other than now is refused, as on a file with chattr +a. */
static bool
sets_times(int to_set)
{
	return ((to_set & FUSE_SET_ATTR_ATIME) && !(to_set & FUSE_SET_ATTR_ATIME_NOW)) ||
	       ((to_set & FUSE_SET_ATTR_MTIME) && !(to_set & FUSE_SET_ATTR_MTIME_NOW));
}

struct owner
node_new_owner(struct mount *m, const struct node *dir, const struct fuse_ctx *who, mode_t mode)
{
	struct owner above, o = { .uid = who->uid, .gid = who->gid, .mode = mode & DIR_MODE };

	node_owner(m, dir, &above);
	if (above.mode & S_ISGID) {
		o.gid = above.gid;
		o.mode |= S_ISGID;
	}
	return o;
}

int
node_set_owner(struct mount *m, const struct node *n, const struct stat *st, int to_set)
{
	char path[NODE_PATH_SIZE];
	struct owner o;
	int rc = MQ_OK;

	if (sets_times(to_set) && !n->class->accept) {
		node_path(n, path);
		return err_note(-EPERM, "%s: times cannot be set", path);
	}
	if (!(to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		return MQ_OK;		/* touch: the time of a queue is that of its last message */
	node_owner(m, n, &o);
	if (to_set & FUSE_SET_ATTR_MODE)
		o.mode = st->st_mode & (node_is_dir(n) ? DIR_MODE : FILE_MODE);
	if (to_set & FUSE_SET_ATTR_UID)
		o.uid = st->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		o.gid = st->st_gid;
	if (to_set & FUSE_SET_ATTR_MODE)
		rc = node_acl_follows(m, n, o.mode);
	if (rc != MQ_OK)
		return rc;
	if (n->kind == NODE_TOPIC)
		return topic_set_owner(m, n->topic, &o);
	if (n->kind == NODE_GROUP)
		return group_set_owner(m, n->group, &o);
	node_owner_path(n, path);
	return path_set_owner(m->offsets, path, &o);
}

/* --- attributes --------------------------------------------------------------------- */

void
stat_set_ms(struct stat *st, int64_t ms)
{
	struct timespec at = { .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000 };

	st->st_mtim = st->st_ctim = st->st_atim = at;
}

int
node_attr_dir(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	st->st_mode = S_IFDIR;
	st->st_nlink = 2;
	for (enum node_kind kind = NODE_ROOT; fixed_next(n, &kind);)
		st->st_nlink += kinds[kind].class->list && !(kinds[kind].flags & HIDDEN);
	node_show_owner(m, n, st);
	*ret_timeout = ATTR_DIR_SECONDS;
	return MQ_OK;
}

int
node_attr_text(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	(void)ret_timeout;
	st->st_mode = S_IFREG;
	node_show_owner(m, n, st);
	return text_length(m, n, &st->st_size);
}

int
node_attr(struct mount *m, const struct node *n, struct stat *ret_st, double *ret_timeout)
{
	struct stat st = {
		.st_ino = node_st_ino(n->ino),
		.st_nlink = 1,
		.st_uid = m->uid,
		.st_gid = m->gid,
		.st_blksize = 4096,
	};
	double timeout = 0;
	int rc;

	stat_set_ms(&st, m->started_ms);
	rc = n->class->attr ? n->class->attr(m, n, &st, &timeout) :
	     n->class->list ? node_attr_dir(m, n, &st, &timeout) : node_attr_text(m, n, &st, &timeout);
	if (rc != MQ_OK)
		return rc;
	st.st_blocks = S_ISREG(st.st_mode) && !st.st_blocks ? (st.st_size + 511) / 512 : st.st_blocks;
	*ret_st = st;
	*ret_timeout = timeout;
	return MQ_OK;
}
