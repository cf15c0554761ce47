#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "remoting/accounts.h"
#include "remoting/accounts_edit.h"
#include "remoting/yaml_tree.h"

/* A document that is being changed; the first failure is remembered. */
struct edit {
	yaml_document_t doc;
	int rc;
};

/* --- nodes ------------------------------------------------------------------------------------------ */

static int
made(struct edit *e, int node)
{
	if (node == 0 && e->rc == MQ_OK)
		e->rc = -ENOMEM;
	return node;
}

static int
scalar(struct edit *e, const char *text, yaml_scalar_style_t style)
{
	return made(e, yaml_document_add_scalar(&e->doc, NULL, (const yaml_char_t *)text, (int)strlen(text), style));
}

static int
word(struct edit *e, const char *text)
{
	return scalar(e, text, YAML_PLAIN_SCALAR_STYLE);
}

static int
quoted(struct edit *e, const char *text)
{
	return scalar(e, text, YAML_SINGLE_QUOTED_SCALAR_STYLE);
}

static int
number(struct edit *e, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, n);
	return word(e, text);
}

static int
mapping(struct edit *e)
{
	return made(e, yaml_document_add_mapping(&e->doc, NULL, YAML_BLOCK_MAPPING_STYLE));
}

static int
sequence(struct edit *e)
{
	return made(e, yaml_document_add_sequence(&e->doc, NULL, YAML_BLOCK_SEQUENCE_STYLE));
}

static void
append(struct edit *e, int list, int item)
{
	if (e->rc == MQ_OK && !yaml_document_append_sequence_item(&e->doc, list, item))
		e->rc = -ENOMEM;
}

static void
set(struct edit *e, int map, const char *name, int value)
{
	yaml_node_t *n = yaml_document_get_node(&e->doc, map);
	int key;

	if (e->rc != MQ_OK)
		return;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const char *text = yaml_tree_text(&e->doc, p->key);

		if (text && strcmp(text, name) == 0) {
			p->value = value;
			return;
		}
	}
	key = word(e, name);
	if (e->rc == MQ_OK && !yaml_document_append_mapping_pair(&e->doc, map, key, value))
		e->rc = -ENOMEM;
}

static void
set_text(struct edit *e, int map, const char *name, const char *text)
{
	if (text)
		set(e, map, name, quoted(e, text));
}

/* Items with commas between; blank: none. */
static void
set_list(struct edit *e, int map, const char *name, const char *items)
{
	AUTO_FREE char *copy = items ? strdup(items) : NULL;
	char *rest = NULL;
	int list;

	if (!items)
		return;
	list = sequence(e);
	if (!copy)
		e->rc = -ENOMEM;
	for (char *item = copy ? strtok_r(copy, ",", &rest) : NULL; item; item = strtok_r(NULL, ",", &rest))
		if (item[strspn(item, " \t")])
			append(e, list, quoted(e, item));
	set(e, map, name, list);
}

/* The list of that name, made if there is none. */
static int
list_of(struct edit *e, int map, const char *name)
{
	int list = yaml_tree_member(&e->doc, map, name);
	const yaml_node_t *n = yaml_document_get_node(&e->doc, list);

	if (n && n->type == YAML_SEQUENCE_NODE)
		return list;
	list = sequence(e);
	set(e, map, name, list);
	return list;
}

/* --- the document ------------------------------------------------------------------------------------- */

/* *ret_root: its mapping, made if there is nothing. */
static int
edit_begin(struct edit *e, const char *text, size_t len, int *ret_root)
{
	e->rc = yaml_tree_parse(text, len, &e->doc);
	if (e->rc != MQ_OK)
		return e->rc;
	*ret_root = yaml_document_get_root_node(&e->doc) ? yaml_tree_root(&e->doc) : mapping(e);
	if (*ret_root == 0 && e->rc == MQ_OK)
		e->rc = err_note(MQ_EBADCONF, "the file is no mapping");
	if (e->rc != MQ_OK)
		yaml_document_delete(&e->doc);
	return e->rc;
}

static void
count_change(struct edit *e, int root)
{
	int old = yaml_tree_member(&e->doc, root, "dataVersion"), list, map;
	const char *counter = NULL;

	if (yaml_tree_items(&e->doc, old) > 0)
		counter = yaml_tree_text(&e->doc, yaml_tree_member(&e->doc, yaml_tree_item(&e->doc, old, 0), "counter"));
	list = sequence(e);
	map = mapping(e);
	set(e, map, "counter", number(e, (counter ? strtoll(counter, NULL, 10) : 0) + 1));
	set(e, map, "timestamp", number(e, clock_wall_ms()));
	append(e, list, map);
	set(e, root, "dataVersion", list);
}

static int
edit_end(struct edit *e, int root, struct edited *ret)
{
	struct accounts *a = NULL;
	struct edited out = { 0 };
	int rc;

	count_change(e, root);
	if (e->rc != MQ_OK) {
		yaml_document_delete(&e->doc);
		return e->rc;
	}
	rc = yaml_tree_print(&e->doc, &out.text, &out.len);
	if (rc == MQ_OK)
		rc = accounts_parse(out.text, out.len, &a);
	accounts_unref(a);
	if (rc == MQ_OK)
		*ret = out;
	else
		free(out.text);
	return rc;
}

/* --- changes --------------------------------------------------------------------------------------------- */

/* Where it is in the list; the list's length: it is not there. */
static size_t
find(struct edit *e, int list, const char *access_key)
{
	size_t n = yaml_tree_items(&e->doc, list), i = 0;

	for (; i < n; i++) {
		int item = yaml_tree_item(&e->doc, list, i);
		const char *key = yaml_tree_text(&e->doc, yaml_tree_member(&e->doc, item, "accessKey"));

		if (key && strcmp(key, access_key) == 0)
			break;
	}
	return i;
}

int
accounts_edit_put(const char *text, size_t len, const struct account_change *c, struct edited *ret)
{
	struct edit e;
	int root, list, map, rc = edit_begin(&e, text, len, &root);
	size_t at;

	if (rc != MQ_OK)
		return rc;
	list = list_of(&e, root, "accounts");
	at = find(&e, list, c->access_key);
	if (at < yaml_tree_items(&e.doc, list)) {
		map = yaml_tree_item(&e.doc, list, at);
	} else {
		map = mapping(&e);
		append(&e, list, map);
	}
	set_text(&e, map, "accessKey", c->access_key);
	set_text(&e, map, "secretKey", c->secret_key);
	set_text(&e, map, "whiteRemoteAddress", c->white_address);
	if (c->admin)
		set(&e, map, "admin", word(&e, strcmp(c->admin, "true") == 0 ? "true" : "false"));
	set_text(&e, map, "defaultTopicPerm", c->topic_perm);
	set_text(&e, map, "defaultGroupPerm", c->group_perm);
	set_list(&e, map, "topicPerms", c->topic_perms);
	set_list(&e, map, "groupPerms", c->group_perms);
	return edit_end(&e, root, ret);
}

static void
cut_item(struct edit *e, int list, size_t at)
{
	yaml_node_t *n = yaml_document_get_node(&e->doc, list);
	yaml_node_item_t *item = n->data.sequence.items.start + at;

	memmove(item, item + 1, (size_t)(n->data.sequence.items.top - item - 1) * sizeof(*item));
	n->data.sequence.items.top--;
}

int
accounts_edit_remove(const char *text, size_t len, const char *access_key, struct edited *ret)
{
	struct edit e;
	int root, list, rc = edit_begin(&e, text, len, &root);
	size_t at, n = 0;

	if (rc != MQ_OK)
		return rc;
	list = yaml_tree_member(&e.doc, root, "accounts");
	for (; (at = find(&e, list, access_key)) < yaml_tree_items(&e.doc, list); n++)
		cut_item(&e, list, at);
	if (n == 0) {
		yaml_document_delete(&e.doc);
		return err_note(-ENOENT, "there is no account %.100s", access_key);
	}
	return edit_end(&e, root, ret);
}

int
accounts_edit_white(const char *text, size_t len, const char *addresses, struct edited *ret)
{
	struct edit e;
	int root, rc = edit_begin(&e, text, len, &root);

	if (rc != MQ_OK)
		return rc;
	set_list(&e, root, "globalWhiteRemoteAddresses", addresses);
	return edit_end(&e, root, ret);
}
