/* config/KEY: every setting that is not secret, one value per file. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "fs/command.h"
#include "fs/role.h"

static bool
is_shown(const struct setting *row)
{
	return !(row->flags & SETTING_SECRET) && (row->flags & SETTING_ROCKETMQ) != SETTING_ROCKETMQ;
}

static const struct setting *
row_of(const struct node *n)
{
	size_t rows;
	const struct setting *table = settings_table(&rows);

	return n->id < rows && is_shown(&table[n->id]) ? &table[n->id] : NULL;
}

static int
config_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	size_t n;
	const struct setting *table = settings_table(&n), *row = setting_find(name);

	(void)dir;
	if (!row || !is_shown(row) || strcmp(row->key, name) != 0)
		return -ENOENT;
	return node_make(m, NODE_CONFIG_KEY, (uint32_t)(row - table), 0, 0, ret_child);
}

static int
config_list(struct mount *m, const struct node *dir, struct lister *l)
{
	size_t n;
	const struct setting *table = settings_table(&n);

	(void)m, (void)dir;
	for (size_t i = 0; i < n; i++)
		if (is_shown(&table[i]))
			lister_add(l, table[i].key, node_ino(NODE_CONFIG_KEY, (uint32_t)i, 0, 0));
	return MQ_OK;
}

const struct node_class node_config = {
	.lookup = config_lookup,
	.list = config_list,
	.set_attr = node_set_owner,
};

/* --- config/KEY ------------------------------------------------------------------- */

static int
config_key_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	const struct setting *row = row_of(n);
	int rc;

	if (!row)
		return -ESTALE;
	rc = node_attr_text(m, n, st, ret_timeout);
	if (!(row->flags & SETTING_LIVE))
		st->st_mode &= ~(mode_t)0222;
	return rc;
}

static int
config_key_render(struct mount *m, const struct node *n, struct text *t)
{
	const struct setting *row = row_of(n);
	AUTO_FREE char *buf = NULL;
	int len;

	if (!row)
		return -ESTALE;
	len = settings_get(m->settings, row, NULL, 0);
	buf = malloc((size_t)len + 1);
	if (!buf)
		return -ENOMEM;
	settings_get(m->settings, row, buf, (size_t)len + 1);
	text_printf(t, "%s\n", buf);
	return MQ_OK;
}

static int
config_key_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	const struct setting *row = row_of(n);
	AUTO_FREE char *value = text_line(text, len);

	if (!row || !value)
		return row ? -ENOMEM : -ESTALE;
	return config_set(m, row->key, value);
}

/* The setting's meaning, the allowed values, and whether it can change while mounted. */
static int
config_key_help(struct mount *m, const struct node *n, struct text *t)
{
	const struct setting *row = row_of(n);
	char allowed[256];

	(void)m;
	if (!row)
		return -ESTALE;
	setting_allowed(row, allowed, sizeof(allowed));
	text_printf(t, "%s (%s; by default %s; %s)", row->help, allowed, *row->dflt ? row->dflt : "empty",
		    row->flags & SETTING_LIVE ? "can change while mounted" : "changes with the next mount");
	return MQ_OK;
}

const struct node_class node_config_key = {
	.attr = config_key_attr,
	.set_attr = node_set_owner,
	.help = config_key_help,
	.render = config_key_render,
	.accept = config_key_accept,
};
