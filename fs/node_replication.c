/* status/replication/: the master or the slaves of this broker, and how far they are. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/err.h"
#include "fs/node.h"
#include "repl/replication.h"

/* --- peers ------------------------------------------------------------------------ */

static int
peer_find(struct mount *m, uint32_t number, struct replication_peer *ret)
{
	struct replication_peer list[REPLICATION_PEERS_MAX];
	size_t n = m->replication ? replication_peers(m->replication, list) : 0;

	for (size_t i = 0; i < n; i++)
		if ((uint32_t)list[i].number == number) {
			*ret = list[i];
			return MQ_OK;
		}
	return -ESTALE;
}

static int64_t
behind(struct mount *m, const struct replication_peer *p)
{
	return replication_peer_behind(p, mark_at(store_written(m->store)));
}

static void
show_state(struct mount *m, const struct replication_peer *p, struct text *t)
{
	static const char *const words[] = {
		[LINK_PEER_GONE] = "gone",
		[LINK_PEER_CONNECTING] = "connecting",
		[LINK_PEER_WAITING] = "waiting",
		[LINK_PEER_TRANSFER] = "transfer",
	};

	(void)m;
	text_printf(t, "%s\n", p->state >= LINK_PEER_GONE && p->state <= LINK_PEER_TRANSFER ? words[p->state] : "-");
}

static void
show_broker(struct mount *m, const struct replication_peer *p, struct text *t)
{
	(void)m;
	text_printf(t, "%s\n", *p->broker ? p->broker : "unknown");
}

static void
show_trouble(struct mount *m, const struct replication_peer *p, struct text *t)
{
	(void)m;
	if (*p->trouble)
		text_printf(t, "%s\n", p->trouble);
}

static void
show_address(struct mount *m, const struct replication_peer *p, struct text *t)
{
	(void)m;
	text_printf(t, "%s\n", p->address);
}

static void
show_behind(struct mount *m, const struct replication_peer *p, struct text *t)
{
	text_printf(t, "%" PRId64 "\n", behind(m, p));
}

/* Seconds until it has caught up, at the present rate. */
static void
show_eta(struct mount *m, const struct replication_peer *p, struct text *t)
{
	int64_t left = behind(m, p);

	if (left == 0)
		text_printf(t, "0\n");
	else if (p->bytes_per_s == 0 || p->state != LINK_PEER_TRANSFER)
		text_printf(t, "unknown\n");
	else
		text_printf(t, "%" PRId64 "\n", (left + p->bytes_per_s - 1) / p->bytes_per_s);
}

#define OF_PEER(member) offsetof(struct replication_peer, member)

static const struct {
	const char *name, *help;
	void (*show)(struct mount *m, const struct replication_peer *p, struct text *t);
	size_t at;		/* without show: of an int64_t in the peer */
} peer_files[] = {
	{ "address", "its address, and, when it is gone, why", show_address, 0 },
	{ "state", "gone, connecting, waiting (for its first bytes) or transfer", show_state, 0 },
	{ "broker", "who it says it is", show_broker, 0 },
	{ "trouble", "why it cannot go on, as it says; empty when it can", show_trouble, 0 },
	{ "ack", "it has the log up to here (bytes)", NULL, OF_PEER(ack) },
	{ "sent", "what was sent reaches up to here (bytes)", NULL, OF_PEER(sent) },
	{ "behind", "what it has still to get (bytes)", show_behind, 0 },
	{ "rate", "what it got lately (bytes per s)", NULL, OF_PEER(bytes_per_s) },
	{ "eta", "when it has caught up at that rate, or `unknown' (s)", show_eta, 0 },
};

#define N_PEER_FILES (sizeof(peer_files) / sizeof(peer_files[0]))

/* --- status/replication/ -------------------------------------------------------------- */

static int
replication_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct replication_peer list[REPLICATION_PEERS_MAX];
	size_t n = m->replication ? replication_peers(m->replication, list) : 0;
	char peer[REPLICATION_NAME_BYTES];

	for (size_t i = 0; i < n; i++) {
		replication_peer_name(&list[i], peer);
		if (strcmp(peer, name) == 0)
			return node_make(m, NODE_PEER, (uint32_t)list[i].number, 0, 0, ret_child);
	}
	return node_fixed_lookup(m, dir, name, ret_child);
}

static int
replication_list(struct mount *m, const struct node *dir, struct lister *l)
{
	struct replication_peer list[REPLICATION_PEERS_MAX];
	size_t n = m->replication ? replication_peers(m->replication, list) : 0;
	char peer[REPLICATION_NAME_BYTES];

	for (size_t i = 0; i < n; i++) {
		replication_peer_name(&list[i], peer);
		lister_add(l, peer, node_ino(NODE_PEER, (uint32_t)list[i].number, 0, 0));
	}
	return node_fixed_list(m, dir, l);
}

const struct node_class node_replication = {
	.lookup = replication_lookup,
	.list = replication_list,
};

static int
trouble_render(struct mount *m, const struct node *n, struct text *t)
{
	struct replication_stats stats = { 0 };

	(void)n;
	if (m->replication)
		replication_stats(m->replication, &stats);
	text_printf(t, "%s", stats.trouble);
	return MQ_OK;
}

static int
trouble_help(struct mount *m, const struct node *n, struct text *t)
{
	(void)m, (void)n;
	text_printf(t, "why replication does not get on; empty when it does");
	return MQ_OK;
}

const struct node_class node_replication_trouble = {
	.help = trouble_help,
	.render = trouble_render,
};

/* --- status/replication/PEER/ ------------------------------------------------------------ */

static int
peer_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	for (uint32_t i = 0; i < N_PEER_FILES; i++)
		if (strcmp(peer_files[i].name, name) == 0)
			return node_make(m, NODE_PEER_FILE, dir->id, 0, i, ret_child);
	return -ENOENT;
}

static int
peer_list(struct mount *m, const struct node *dir, struct lister *l)
{
	(void)m;
	for (uint32_t i = 0; i < N_PEER_FILES; i++)
		lister_add(l, peer_files[i].name, node_ino(NODE_PEER_FILE, dir->id, 0, i));
	return MQ_OK;
}

const struct node_class node_peer = {
	.lookup = peer_lookup,
	.list = peer_list,
};

static int
peer_file_render(struct mount *m, const struct node *n, struct text *t)
{
	struct replication_peer p;
	int64_t number;
	int rc = n->part < N_PEER_FILES ? peer_find(m, n->id, &p) : -ESTALE;

	if (rc != MQ_OK)
		return rc;
	if (peer_files[n->part].show) {
		peer_files[n->part].show(m, &p, t);
		return MQ_OK;
	}
	memcpy(&number, (const char *)&p + peer_files[n->part].at, sizeof(number));
	text_printf(t, "%" PRId64 "\n", number);
	return MQ_OK;
}

static int
peer_file_help(struct mount *m, const struct node *n, struct text *t)
{
	(void)m;
	if (n->part >= N_PEER_FILES)
		return -ESTALE;
	text_printf(t, "%s", peer_files[n->part].help);
	return MQ_OK;
}

const struct node_class node_peer_file = {
	.help = peer_file_help,
	.render = peer_file_render,
};
