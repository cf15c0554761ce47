/* messages/ID: one message by its offset msg id, its UNIQ_KEY, or the newest with a key; not listed.
 *
 * A message has the owner and the read bits of the queue it is in.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "fs/access.h"
#include "fs/handle.h"
#include "fs/name.h"
#include "fs/open_queue.h"
#include "fs/reply.h"
#include "fs/workers.h"
#include "store/body.h"
#include "store/filter.h"
#include "store/wheel.h"

#define SAME_KEY_MAX 16		/* messages looked at for one key */
#define XATTR_PREFIX "user.mqfs."

/* A record, and the memory in which it lies; a compressed body is unpacked into memory of its own. */
struct stored {
	unsigned char *buf, *body;
	size_t size, body_size;
	struct record rec;
};

static void
stored_free(struct stored *s)
{
	free(s->buf);
	free(s->body);
}

#define AUTO_STORED __attribute__((cleanup(stored_free)))

static int
stored_read(struct mount *m, const struct node *n, struct stored *ret)
{
	int rc = store_read(m->store, MQ_POS((int64_t)n->wide), &ret->buf, &ret->size, &ret->rec);

	if (rc == MQ_OK)
		rc = body_unpack(&ret->rec, &ret->body, &ret->body_size);
	return rc == MQ_EEND ? -ESTALE : rc;
}

/* Topics in which messages wait for their time, or for the end of their transaction: properties say for which
 * topic and queue they are. */
static const char *const waiting[] = { SCHEDULE_TOPIC, "RMQ_SYS_TRANS_HALF_TOPIC", WHEEL_TOPIC };

#define N_WAITING (sizeof(waiting) / sizeof(waiting[0]))

static bool
is_waiting(const struct record *rec)
{
	for (size_t i = 0; i < N_WAITING; i++)
		if (strlen(waiting[i]) == (size_t)rec->topic_len &&
		    memcmp(waiting[i], rec->topic, (size_t)rec->topic_len) == 0)
			return true;
	return false;
}

/* The queue whose modes are those of the message: the one that it is in, or for which it waits.  NULL: the topic
 * is removed. */
static struct topic *
queue_of(struct mount *m, const struct record *rec, uint32_t *ret_queue_id)
{
	size_t len = (size_t)rec->topic_len, id_len = 0;
	const char *topic = rec->topic, *id = NULL;
	char name[RECORD_TOPIC_MAX + 1];
	uint32_t queue_id = (uint32_t)rec->queue_id;

	if (is_waiting(rec)) {
		topic = record_property(rec->props, (size_t)rec->props_len, "REAL_TOPIC", &len);
		id = record_property(rec->props, (size_t)rec->props_len, "REAL_QID", &id_len);
		queue_id = 0;
		for (size_t i = 0; id && i < id_len && i < 9 && id[i] >= '0' && id[i] <= '9'; i++)
			queue_id = 10 * queue_id + (uint32_t)(id[i] - '0');
	}
	if (!topic || len > RECORD_TOPIC_MAX)
		return NULL;
	memcpy(name, topic, len);
	name[len] = '\0';
	*ret_queue_id = queue_id;
	return topic_find(m->offsets, name);
}

/* --- messages/ -------------------------------------------------------------------- */

/* The best message with a key so far: the newest whose UNIQ_KEY it is, else the newest of all. */
struct found {
	mq_pos pos;		/* -1: none */
	bool exact;		/* by its UNIQ_KEY */
};

static void
found_better(struct found *found, const char *key, const struct record *rec)
{
	size_t len;
	const char *uniq = record_property(rec->props, (size_t)rec->props_len, "UNIQ_KEY", &len);
	bool exact = uniq && bytes_are(uniq, len, key);

	if (exact > found->exact || (exact == found->exact && rec->pos.byte > found->pos.byte))
		*found = (struct found){ .pos = rec->pos, .exact = exact };
}

static int
find_key_in(struct mount *m, const char *topic, const struct filter *filter, struct found *found)
{
	mq_pos pos[SAME_KEY_MAX];
	size_t n = 0;
	int rc;

	rc = store_find_key(m->store, topic, filter_key(filter), 0, INT64_MAX, pos, SAME_KEY_MAX, &n);
	for (size_t i = 0; rc == MQ_OK && i < n; i++) {
		AUTO_STORED struct stored s = { 0 };

		if (store_read(m->store, pos[i], &s.buf, &s.size, &s.rec) == MQ_OK &&
		    filter_wants(filter, s.rec.props, (size_t)s.rec.props_len))
			found_better(found, filter_key(filter), &s.rec);
	}
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* Look in all topics, and among messages that wait if no other is found. */
static int
find_key(struct mount *m, const struct filter *filter, struct node *ret_child)
{
	struct found found = { .pos = MQ_POS(-1) };
	int rc = MQ_OK;

	for (struct topic *t = topic_next(m->offsets, ""); t && rc == MQ_OK; t = topic_next(m->offsets, t->name))
		rc = find_key_in(m, t->name, filter, &found);
	for (size_t i = 0; i < N_WAITING && rc == MQ_OK && found.pos.byte < 0; i++)
		rc = find_key_in(m, waiting[i], filter, &found);
	if (rc != MQ_OK)
		return rc;
	return found.pos.byte < 0 ? -ENOENT : node_make_wide(m, NODE_MESSAGE, (uint64_t)found.pos.byte, ret_child);
}

static int
messages_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	AUTO_STORED struct stored s = { 0 };
	struct filter *filter = NULL;
	char key[NAME_BYTES_MAX + 1];
	mq_pos pos;
	int rc;

	(void)dir;
	if (record_parse_msg_id(name, &pos) == MQ_OK && pos.byte >= 0 &&
	    store_read(m->store, pos, &s.buf, &s.size, &s.rec) == MQ_OK)
		return node_make_wide(m, NODE_MESSAGE, (uint64_t)pos.byte, ret_child);
	rc = name_unescape(name, key);
	if (rc == MQ_OK && strchr(key, ' '))
		return -ENOENT;		/* no key holds a space */
	if (rc == MQ_OK)
		rc = filter_make(&(struct filter_spec){ .keys = key }, &filter);
	if (rc == MQ_OK) {
		workers_wait_begin(m);	/* a key that no message has is looked for in each index file */
		rc = find_key(m, filter, ret_child);
		workers_wait_end(m);
	}
	filter_free(filter);
	return rc;
}

const struct node_class node_messages = {
	.lookup = messages_lookup,
	.list = node_fixed_list,	/* of nothing */
	.set_attr = node_set_owner,
};

/* --- messages/ID: attributes and content ----------------------------------------------- */

/* A message without a topic can be read by the user who mounted only. */
static void
show_queue_owner(struct mount *m, const struct node *n, const struct record *rec, struct stat *st)
{
	struct node queue = { .kind = NODE_QUEUE, .class = n->class };

	queue.topic = queue_of(m, rec, &queue.queue);
	st->st_mode = S_IFREG | 0400;
	if (queue.topic)
		node_show_owner(m, &queue, st);
}

static int
message_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	AUTO_STORED struct stored s = { 0 };
	int rc;

	rc = stored_read(m, n, &s);
	if (rc != MQ_OK)
		return rc;
	show_queue_owner(m, n, &s.rec, st);
	st->st_size = s.rec.body_len;
	stat_set_ms(st, s.rec.store_ms);
	*ret_timeout = 1.0;
	return MQ_OK;
}

static int
message_open(struct mount *m, const struct node *n, struct handle *h)
{
	struct stored *s = calloc(1, sizeof(*s));
	struct topic *topic = NULL;
	uint32_t queue_id = 0;
	int rc;

	if (!s)
		return -ENOMEM;
	rc = stored_read(m, n, s);
	if (rc == MQ_OK)
		topic = queue_of(m, &s->rec, &queue_id);
	if (rc == MQ_OK)
		rc = open_queue_may_read(m, topic);
	if (rc == MQ_OK && topic)
		rc = access_check(m, h, topic, (int32_t)queue_id, ACCESS_READ);
	if (rc != MQ_OK) {
		stored_free(s);
		free(s);
		return rc;
	}
	h->fopen = FOPEN_DIRECT_IO | FOPEN_NOFLUSH;
	h->own = s;
	return MQ_OK;
}

static void
message_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	const struct stored *s = h->own;

	(void)m;
	reply_slice(req, s->rec.body, (size_t)s->rec.body_len, size, off);
}

static void
message_release(struct mount *m, struct handle *h)
{
	(void)m;
	stored_free(h->own);
	free(h->own);
}

/* --- messages/ID: xattrs ------------------------------------------------------------------ */

enum xattr_kind { OF_TOPIC, OF_QUEUE_ID, OF_NUMBER, OF_HOST, OF_PROPERTY };

static const struct xattr {
	const char *name;
	enum xattr_kind kind;
	size_t at;			/* OF_NUMBER, OF_HOST: the member of struct record */
	const char *property;		/* OF_PROPERTY */
} xattrs[] = {
	{ XATTR_PREFIX "topic", OF_TOPIC, 0, NULL },
	{ XATTR_PREFIX "queue_id", OF_QUEUE_ID, 0, NULL },
	{ XATTR_PREFIX "queue_offset", OF_NUMBER, offsetof(struct record, qoff), NULL },
	{ XATTR_PREFIX "phy_offset", OF_NUMBER, offsetof(struct record, pos), NULL },
	{ XATTR_PREFIX "born_time", OF_NUMBER, offsetof(struct record, born_ms), NULL },
	{ XATTR_PREFIX "born_host", OF_HOST, offsetof(struct record, born), NULL },
	{ XATTR_PREFIX "store_time", OF_NUMBER, offsetof(struct record, store_ms), NULL },
	{ XATTR_PREFIX "store_host", OF_HOST, offsetof(struct record, stored), NULL },
	{ XATTR_PREFIX "tags", OF_PROPERTY, 0, "TAGS" },
	{ XATTR_PREFIX "keys", OF_PROPERTY, 0, "KEYS" },
};

#define N_XATTRS (sizeof(xattrs) / sizeof(xattrs[0]))
#define XATTR_PROP XATTR_PREFIX "prop."

static int
show_property(const struct record *r, const char *name, struct text *t)
{
	size_t len;
	const char *value = record_property(r->props, (size_t)r->props_len, name, &len);

	if (!value)
		return -ENODATA;
	text_add(t, value, len);
	return MQ_OK;
}

static void
show_host(const struct host *host, struct text *t)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(host->v6 ? AF_INET6 : AF_INET, host->addr, text, sizeof(text)))
		text_printf(t, host->v6 ? "[%s]:%d" : "%s:%d", text, host->port);
}

static void
show_xattr(const struct record *r, const struct xattr *x, struct text *t)
{
	const void *member = (const char *)r + x->at;
	int64_t number;

	switch (x->kind) {
	case OF_TOPIC:
		text_add(t, r->topic, (size_t)r->topic_len);
		break;
	case OF_QUEUE_ID:
		text_printf(t, "%d", r->queue_id);
		break;
	case OF_NUMBER:
		memcpy(&number, member, sizeof(number));
		text_printf(t, "%" PRId64, number);
		break;
	case OF_HOST:
		show_host(member, t);
		break;
	case OF_PROPERTY:
		(void)show_property(r, x->property, t);		/* it is empty where the message has none */
		break;
	}
}

static int
message_get_xattr(struct mount *m, const struct node *n, const char *name, struct text *t)
{
	AUTO_STORED struct stored s = { 0 };
	int rc;

	if (!text_begins(name, XATTR_PREFIX))
		return -ENODATA;
	rc = stored_read(m, n, &s);
	if (rc != MQ_OK)
		return rc;
	if (text_begins(name, XATTR_PROP))
		return show_property(&s.rec, name + sizeof(XATTR_PROP) - 1, t);
	for (size_t i = 0; i < N_XATTRS; i++) {
		if (strcmp(name, xattrs[i].name) != 0)
			continue;
		show_xattr(&s.rec, &xattrs[i], t);
		return MQ_OK;
	}
	return -ENODATA;
}

/* No program could ask for a longer name, or for the rest of a longer list. */
static bool
can_be_listed(const struct text *t, const char *property, size_t len)
{
	return len > 0 && !memchr(property, '\0', len) && sizeof(XATTR_PROP) - 1 + len <= XATTR_NAME_MAX &&
	       t->len + sizeof(XATTR_PROP) + len <= XATTR_LIST_MAX;
}

static int
message_list_xattr(struct mount *m, const struct node *n, struct text *t)
{
	AUTO_STORED struct stored s = { 0 };
	const char *name, *value;
	size_t name_len, value_len, cursor = 0;
	int rc;

	rc = stored_read(m, n, &s);
	if (rc != MQ_OK)
		return rc;
	for (size_t i = 0; i < N_XATTRS; i++)
		text_add(t, xattrs[i].name, strlen(xattrs[i].name) + 1);
	while (record_property_next(s.rec.props, (size_t)s.rec.props_len, &cursor, &name, &name_len, &value,
				    &value_len)) {
		if (!can_be_listed(t, name, name_len))
			continue;
		text_add(t, XATTR_PROP, sizeof(XATTR_PROP) - 1);
		text_add(t, name, name_len);
		text_add(t, "", 1);
	}
	return MQ_OK;
}

const struct node_class node_message = {
	.attr = message_attr,
	.open = message_open,
	.read = message_read,
	.release = message_release,
	.get_xattr = message_get_xattr,
	.list_xattr = message_list_xattr,
};
