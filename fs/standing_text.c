#include "config.h"

#include <errno.h>

#include "fs/standing_text.h"
#include "fs/table.h"

/* --- tables ------------------------------------------------------------------------------ */

int
standing_render_topics(struct mount *m, struct text *t)
{
	struct table tb = { .words = 1 };
	struct standing st;
	int rc = standing_gather(m, &st);

	table_cell(&tb, "TOPIC");
	table_heading(&tb, topic_figures);
	table_end_row(&tb);
	for (size_t i = 0; rc == MQ_OK && i < st.n_topics; i++) {
		table_cell(&tb, "%s", st.topics[i].topic->name);
		table_figures(&tb, topic_figures, &st.topics[i]);
		table_end_row(&tb);
	}
	table_render(&tb, t);
	standing_free(&st);
	return rc;
}

/* What a line says of a group's topic, and of its whole group: consumers over the network and dead letters have
 * no topic. */
struct group_line {
	int64_t queues, lag, age_ms, consumers, clients, retried, dead;
};

#define OF_LINE(member) offsetof(struct group_line, member)
static const struct figure group_line_figures[] = {
	{ "queues", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_LINE(queues), NULL },
	{ "lag", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_LINE(lag), NULL },
	{ "age", NULL, FIGURE_GAUGE, FIGURE_MS, OF_LINE(age_ms), NULL },
	{ "consumers", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_LINE(consumers), NULL },
	{ "clients", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_LINE(clients), NULL },
	{ "retried", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_LINE(retried), NULL },
	{ "dead", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_LINE(dead), NULL },
	{ 0 },
};

static void
add_group_line(struct table *tb, const struct group_standing *g, const struct subscription_standing *s)
{
	struct group_line line = { .clients = g->clients, .retried = g->retried, .dead = g->dead };

	if (s) {
		line.queues = s->queues;
		line.lag = s->lag;
		line.age_ms = s->age_ms;
		line.consumers = s->consumers;
	}
	table_cell(tb, "%s", g->group->name);
	table_cell(tb, "%s", s ? s->sub->topic->name : "");
	table_figures(tb, group_line_figures, &line);
	table_end_row(tb);
}

int
standing_render_groups(struct mount *m, struct text *t)
{
	struct table tb = { .words = 2 };
	const struct subscription_standing *s;
	struct standing st;
	int rc = standing_gather(m, &st);

	table_cell(&tb, "GROUP");
	table_cell(&tb, "TOPIC");
	table_heading(&tb, group_line_figures);
	table_end_row(&tb);
	s = st.subs;
	for (size_t i = 0; rc == MQ_OK && i < st.n_groups; i++) {
		const struct group_standing *g = &st.groups[i];

		if (g->subscriptions == 0)
			add_group_line(&tb, g, NULL);
		for (int64_t k = 0; k < g->subscriptions; k++)
			add_group_line(&tb, g, s++);
	}
	table_render(&tb, t);
	standing_free(&st);
	return rc;
}

#define OF_PLACE(member) offsetof(struct place_standing, member)
static const struct figure place_figures[] = {
	{ "committed", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_PLACE(committed), NULL },
	{ "end", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_PLACE(end), NULL },
	{ "lag", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_PLACE(lag), NULL },
	{ "age", NULL, FIGURE_GAUGE, FIGURE_MS, OF_PLACE(age_ms), NULL },
	{ 0 },
};

static int
add_place(struct mount *m, struct table *tb, struct subscription *sub, int32_t queue)
{
	struct place_standing p;
	int rc = standing_place(m, sub, queue, &p);

	if (rc != MQ_OK)
		return rc;
	table_cell(tb, "%s", sub->topic->name);
	table_cell(tb, "q%" PRId32, queue);
	table_figures(tb, place_figures, &p);
	if (p.consumer > 0)
		table_cell(tb, "%" PRId32, p.consumer);
	else
		table_cell(tb, "%s", p.consumer == CONSUMER_CLIENTS ? "network" : p.consumer ? "unknown" : "");
	table_end_row(tb);
	return MQ_OK;
}

int
standing_render_lag(struct mount *m, struct group *g, struct text *t)
{
	struct subscription *sub = subscription_next(m->offsets, g, "");
	struct table tb = { .words = 2 };
	int rc = MQ_OK;

	table_cell(&tb, "TOPIC");
	table_cell(&tb, "QUEUE");
	table_heading(&tb, place_figures);
	table_cell(&tb, "CONSUMER");
	table_end_row(&tb);
	for (; sub && rc == MQ_OK; sub = subscription_next(m->offsets, g, sub->topic->name))
		for (int32_t i = 0; i < topic_queues(m->offsets, sub->topic) && rc == MQ_OK; i++)
			rc = add_place(m, &tb, sub, i);
	table_render(&tb, t);
	return rc;
}

/* --- metrics --------------------------------------------------------------------------------- */

/* The labels of one row: the broker's, and up to two of its own. */
static const char *
labels_of(struct text *l, const char *labels, const char *name, const char *value, const char *name2, const char *value2)
{
	l->len = 0;
	text_printf(l, "%s", labels);
	label_add(l, name, value);
	if (name2)
		label_add(l, name2, value2);
	return l->buf ? l->buf : "";
}

static void
topic_metrics(const struct standing *st, const char *labels, struct text *l, struct text *t)
{
	for (const struct figure *f = topic_figures; st->n_topics && f->name; f++) {
		figure_metric_head(f, "topic_", t);
		for (size_t i = 0; i < st->n_topics; i++)
			if (st->topics[i].named)
				figure_metric_line(f, "topic_", labels_of(l, labels, "topic", st->topics[i].topic->name, NULL, NULL),
						   &st->topics[i], t);
	}
}

static void
group_metrics(const struct standing *st, const char *labels, struct text *l, struct text *t)
{
	for (const struct figure *f = group_figures; st->n_groups && f->name; f++) {
		figure_metric_head(f, "group_", t);
		for (size_t i = 0; i < st->n_groups; i++)
			if (st->groups[i].named)
				figure_metric_line(f, "group_", labels_of(l, labels, "group", st->groups[i].group->name, NULL, NULL),
						   &st->groups[i], t);
	}
}

static void
subscription_metrics(const struct standing *st, const char *labels, struct text *l, struct text *t)
{
	for (const struct figure *f = subscription_figures; st->n_subs && f->name; f++) {
		figure_metric_head(f, "subscription_", t);
		for (size_t i = 0; i < st->n_subs; i++) {
			const struct subscription_standing *s = &st->subs[i];

			if (s->named)
				figure_metric_line(f, "subscription_",
						   labels_of(l, labels, "group", s->sub->group->name, "topic", s->sub->topic->name),
						   s, t);
		}
	}
}

static void
peer_metrics(const struct standing *st, const char *labels, struct text *l, struct text *t)
{
	for (const struct figure *f = peer_figures; st->n_peers && f->name; f++) {
		figure_metric_head(f, "replication_peer_", t);
		for (size_t i = 0; i < st->n_peers; i++)
			figure_metric_line(f, "replication_peer_",
					   labels_of(l, labels, "peer", st->peers[i].name, "remote", st->peers[i].broker),
					   &st->peers[i], t);
	}
}

void
standing_metrics(const struct standing *st, const char *labels, struct text *t)
{
	struct text l = { 0 };

	for (const struct figure *f = total_figures; f->name; f++) {
		figure_metric_head(f, "", t);
		figure_metric_line(f, "", labels, &st->totals, t);
	}
	topic_metrics(st, labels, &l, t);
	group_metrics(st, labels, &l, t);
	subscription_metrics(st, labels, &l, t);
	peer_metrics(st, labels, &l, t);
	if (l.err != MQ_OK)
		t->err = l.err;
	text_free(&l);
}

/* --- JSON ---------------------------------------------------------------------------------------- */

/* jansson takes a NULL as a failure, so one look at the end is enough. */
static int
add_figures(json_t *object, const struct figure *figures, const void *of)
{
	int bad = object ? 0 : -1;

	for (; figures->name; figures++)
		bad |= json_object_set_new(object, figures->name, figure_json(figures, of));
	return bad;
}

static json_t *
row_json(const char *key, const char *name, const struct figure *figures, const void *of)
{
	json_t *row = json_pack("{s:s}", key, name);

	if (add_figures(row, figures, of) == 0)
		return row;
	json_decref(row);
	return NULL;
}

static json_t *
topics_json(const struct standing *st)
{
	json_t *list = json_array();

	for (size_t i = 0; i < st->n_topics; i++)
		if (st->topics[i].named)
			json_array_append_new(list, row_json("topic", st->topics[i].topic->name, topic_figures, &st->topics[i]));
	return list;
}

/* A group, with those of its n subscriptions that are named. */
static json_t *
group_json(const struct group_standing *g, const struct subscription_standing *subs)
{
	json_t *row = row_json("group", g->group->name, group_figures, g), *list = json_array();

	for (int64_t k = 0; k < g->subscriptions; k++)
		if (subs[k].named)
			json_array_append_new(list, row_json("topic", subs[k].sub->topic->name, subscription_figures, &subs[k]));
	json_object_set_new(row, "topics", list);
	return row;
}

static json_t *
groups_json(const struct standing *st)
{
	const struct subscription_standing *subs = st->subs;
	json_t *list = json_array();

	for (size_t i = 0; i < st->n_groups; i++) {
		if (st->groups[i].named)
			json_array_append_new(list, group_json(&st->groups[i], subs));
		subs += st->groups[i].subscriptions;
	}
	return list;
}

static json_t *
peers_json(const struct standing *st)
{
	json_t *list = json_array();

	for (size_t i = 0; i < st->n_peers; i++) {
		json_t *row = row_json("peer", st->peers[i].name, peer_figures, &st->peers[i]);

		json_object_set_new(row, "broker", json_string(st->peers[i].broker));
		json_array_append_new(list, row);
	}
	return list;
}

int
standing_json(const struct standing *st, json_t *all)
{
	int bad = add_figures(all, total_figures, &st->totals);

	bad |= json_object_set_new(all, "topics", topics_json(st));
	bad |= json_object_set_new(all, "groups", groups_json(st));
	bad |= json_object_set_new(all, "peers", peers_json(st));
	return bad ? -ENOMEM : MQ_OK;
}
