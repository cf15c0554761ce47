#include "config.h"

#include <errno.h>

#include "fs/metrics_text.h"
#include "fs/table.h"

/* --- tables ------------------------------------------------------------------------------ */

int
metrics_render_topics(struct mount *m, struct text *t)
{
	struct table tb = { .words = 1 };
	struct metrics st;
	int rc = metrics_gather(m, &st);

	table_cell(&tb, "TOPIC");
	table_heading(&tb, topic_family.figures);
	table_end_row(&tb);
	for (size_t i = 0; rc == MQ_OK && i < st.n_topics; i++) {
		table_cell(&tb, "%s", st.topics[i].row.names[0]);
		table_figures(&tb, topic_family.figures, &st.topics[i]);
		table_end_row(&tb);
	}
	table_render(&tb, t);
	metrics_free(&st);
	return rc;
}

/* Clients over the network and dead letters belong to the group as a whole, so each of its lines has them. */
#define OF_GROUP(member) offsetof(struct group_metrics, member)
static const struct figure whole_group_figures[] = {
	{ "clients", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(clients), NULL },
	{ "retried", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(retried), NULL },
	{ "dead", NULL, FIGURE_GAUGE, FIGURE_NONE, OF_GROUP(dead), NULL },
	{ 0 },
};

/* s: one of its subscriptions, or zeros. */
static void
add_group_line(struct table *tb, const struct group_metrics *g, const struct subscription_metrics *s)
{
	table_cell(tb, "%s", g->row.names[0]);
	table_cell(tb, "%s", s->sub ? s->row.names[1] : "");
	table_figures(tb, subscription_family.figures, s);
	table_figures(tb, whole_group_figures, g);
	table_end_row(tb);
}

int
metrics_render_groups(struct mount *m, struct text *t)
{
	struct table tb = { .words = 2 };
	const struct subscription_metrics *s;
	struct metrics st;
	int rc = metrics_gather(m, &st);

	table_cell(&tb, "GROUP");
	table_cell(&tb, "TOPIC");
	table_heading(&tb, subscription_family.figures);
	table_heading(&tb, whole_group_figures);
	table_end_row(&tb);
	s = st.subs;
	for (size_t i = 0; rc == MQ_OK && i < st.n_groups; i++) {
		const struct group_metrics *g = &st.groups[i];

		if (g->subscriptions == 0)
			add_group_line(&tb, g, &(struct subscription_metrics){ 0 });
		for (int64_t k = 0; k < g->subscriptions; k++)
			add_group_line(&tb, g, s++);
	}
	table_render(&tb, t);
	metrics_free(&st);
	return rc;
}

#define OF_PLACE(member) offsetof(struct queue_metrics, member)
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
	struct queue_metrics p;
	int rc = queue_metrics_gather(m, sub, queue, &p);

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
metrics_render_lag(struct mount *m, struct group *g, struct text *t)
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

static const struct row *
row_at(const void *rows, size_t i, const struct family *f)
{
	return (const struct row *)((const char *)rows + i * f->row_bytes);
}

/* The metrics of a family's n rows; each line has the broker's labels, and those of its row. */
static void
family_metrics(const struct family *f, const void *rows, size_t n, const char *labels, struct text *t)
{
	struct text l = { 0 };

	for (const struct figure *fig = f->figures; n && fig->name; fig++) {
		figure_metric_head(fig, f->prefix, t);
		for (size_t i = 0; i < n; i++) {
			const struct row *row = row_at(rows, i, f);

			if (!row->named)
				continue;
			l.len = 0;
			text_printf(&l, "%s", labels);
			for (int k = 0; k < 2 && f->labels[k]; k++)
				label_add(&l, f->labels[k], row->names[k]);
			figure_metric_line(fig, f->prefix, l.buf ? l.buf : "", row, t);
		}
	}
	if (l.err != MQ_OK)
		t->err = l.err;
	text_free(&l);
}

void
metrics_prometheus(const struct metrics *st, const char *labels, struct text *t)
{
	for (const struct figure *f = total_figures; f->name; f++) {
		figure_metric_head(f, "", t);
		figure_metric_line(f, "", labels, &st->totals, t);
	}
	family_metrics(&topic_family, st->topics, st->n_topics, labels, t);
	family_metrics(&group_family, st->groups, st->n_groups, labels, t);
	family_metrics(&subscription_family, st->subs, st->n_subs, labels, t);
	family_metrics(&peer_family, st->peers, st->n_peers, labels, t);
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

/* Those of n rows that are named, each by its last label. */
static json_t *
rows_json(const struct family *f, const void *rows, size_t n)
{
	int last = f->labels[1] ? 1 : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct row *row = row_at(rows, i, f);

		if (row->named)
			json_array_append_new(list, row_json(f->labels[last], row->names[last], f->figures, row));
	}
	return list;
}

/* Each group has the list of its subscriptions. */
static json_t *
groups_json(const struct metrics *st)
{
	const struct subscription_metrics *subs = st->subs;
	json_t *list = json_array();

	for (size_t i = 0; i < st->n_groups; i++) {
		const struct group_metrics *g = &st->groups[i];

		if (g->row.named) {
			json_t *row = row_json("group", g->row.names[0], group_family.figures, g);

			json_object_set_new(row, "topics", rows_json(&subscription_family, subs, (size_t)g->subscriptions));
			json_array_append_new(list, row);
		}
		subs += g->subscriptions;
	}
	return list;
}

static json_t *
peers_json(const struct metrics *st)
{
	json_t *list = json_array();

	for (size_t i = 0; i < st->n_peers; i++) {
		json_t *row = row_json("peer", st->peers[i].name, peer_family.figures, &st->peers[i]);

		json_object_set_new(row, "broker", json_string(st->peers[i].broker));
		json_array_append_new(list, row);
	}
	return list;
}

int
metrics_json(const struct metrics *st, json_t *all)
{
	int bad = add_figures(all, total_figures, &st->totals);

	bad |= json_object_set_new(all, "topics", rows_json(&topic_family, st->topics, st->n_topics));
	bad |= json_object_set_new(all, "groups", groups_json(st));
	bad |= json_object_set_new(all, "peers", peers_json(st));
	return bad ? -ENOMEM : MQ_OK;
}
