#include "config.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "fs/estate.h"
#include "fs/names.h"
#include "fs/node.h"

struct names {
	struct lock lock;
	void *tree;		/* tsearch(3), by number */
	struct estate *estate;	/* may be NULL */
	size_t free_from;	/* no slot of estate->names before this one is free */
};

struct name_row {
	uint64_t number;
	uint64_t holds;
	struct estate_name *kept;	/* NULL: it does not outlive this broker */
	bool inherited;			/* from a dead broker: it stays until the unmount */
	int kind;
	uint32_t id;
	char text[];
};

static int
row_compare(const void *a, const void *b)
{
	const struct name_row *ra = a, *rb = b;

	return ra->number < rb->number ? -1 : ra->number > rb->number;
}

static struct name_row *
row_find(struct names *ns, uint64_t number)
{
	struct name_row key = { .number = number };
	struct name_row **at = tfind(&key, &ns->tree, row_compare);

	MUST_HOLD(&ns->lock);
	return at ? *at : NULL;
}

static int
row_add(struct names *ns, uint64_t number, int kind, uint32_t id, const char *text, struct name_row **ret)
{
	size_t len = strlen(text) + 1;
	struct name_row *row = malloc(sizeof(*row) + len);

	if (!row)
		return -ENOMEM;
	*row = (struct name_row){ .number = number, .kind = kind, .id = id };
	memcpy(row->text, text, len);
	if (!tsearch(row, &ns->tree, row_compare)) {
		free(row);
		return -ENOMEM;
	}
	*ret = row;
	return MQ_OK;
}

static int
names_inherit(struct names *ns)
{
	int rc = MQ_OK;

	for (size_t i = 0; i < atomic_load(&ns->estate->n_names) && rc == MQ_OK; i++) {
		struct estate_name *kept = &ns->estate->names[i];
		struct name_row *row;

		if (!atomic_load(&kept->used))
			continue;
		rc = row_add(ns, kept->number, kept->kind, kept->id, kept->text, &row);
		if (rc == MQ_OK) {
			row->kept = kept;
			row->inherited = true;
		}
	}
	return rc;
}

int
names_open(struct estate *estate, struct names **ret)
{
	struct names *ns = calloc(1, sizeof(*ns));
	int rc = MQ_OK;

	if (!ns)
		return -ENOMEM;
	lock_init(&ns->lock, RANK_TABLE);
	ns->estate = estate;
	if (estate)
		rc = names_inherit(ns);
	if (rc != MQ_OK) {
		names_close(ns);
		return rc;
	}
	*ret = ns;
	return MQ_OK;
}

void
names_close(struct names *ns)
{
	if (!ns)
		return;
	tdestroy(ns->tree, free);
	lock_destroy(&ns->lock);
	free(ns);
}

static uint64_t
number_of(int kind, uint32_t id, const char *text)
{
	uint64_t h = bytes_hash64(BYTES_HASH64, &kind, sizeof(kind));

	h = bytes_hash64(h, &id, sizeof(id));
	h = bytes_hash64(h, text, strlen(text));
	return (h ^ (h >> 58)) & NODE_WIDE_MASK;
}

/* Keep the row in the estate, unless its text is too long or no slot is free: then it does not outlive this
 * broker. */
static void
row_keep(struct names *ns, struct name_row *row)
{
	struct estate_name *kept;

	MUST_HOLD(&ns->lock);
	if (!ns->estate || strlen(row->text) >= ESTATE_NAME_BYTES)
		return;
	while (ns->free_from < ESTATE_NAMES && atomic_load(&ns->estate->names[ns->free_from].used))
		ns->free_from++;
	if (ns->free_from == ESTATE_NAMES)
		return;
	if (ns->free_from >= atomic_load(&ns->estate->n_names))
		atomic_store(&ns->estate->n_names, (uint32_t)ns->free_from + 1);
	kept = &ns->estate->names[ns->free_from];
	kept->number = row->number;
	kept->kind = row->kind;
	kept->id = row->id;
	strcpy(kept->text, row->text);
	atomic_store(&kept->used, true);
	row->kept = kept;
}

static void
row_keep_no_more(struct names *ns, struct name_row *row)
{
	size_t at;

	MUST_HOLD(&ns->lock);
	if (!row->kept)
		return;
	atomic_store(&row->kept->used, false);
	at = (size_t)(row->kept - ns->estate->names);
	if (at < ns->free_from)
		ns->free_from = at;
}

int
names_intern(struct names *ns, int kind, uint32_t id, const char *text, uint64_t *ret_number)
{
	uint64_t number = number_of(kind, id, text);
	struct name_row *row;
	int rc;

	LOCKED(&ns->lock);
	while ((row = row_find(ns, number)) != NULL) {
		if (row->kind == kind && row->id == id && strcmp(row->text, text) == 0)
			break;
		number = (number + 1) & NODE_WIDE_MASK;	/* two texts with one hash */
	}
	if (!row) {
		rc = row_add(ns, number, kind, id, text, &row);
		if (rc != MQ_OK)
			return rc;
		row_keep(ns, row);
	}
	row->holds++;
	*ret_number = number;
	return MQ_OK;
}

int
names_find(struct names *ns, uint64_t number, const char **ret_text, uint32_t *ret_id)
{
	struct name_row *row;

	LOCKED(&ns->lock);
	row = row_find(ns, number);
	if (!row)
		return -ESTALE;
	*ret_text = row->text;
	*ret_id = row->id;
	return MQ_OK;
}

void
names_hold(struct names *ns, uint64_t number)
{
	struct name_row *row;

	LOCKED(&ns->lock);
	row = row_find(ns, number);
	if (row)
		row->holds++;
}

void
names_drop(struct names *ns, uint64_t number, uint64_t times)
{
	struct name_row *row;

	LOCKED(&ns->lock);
	row = row_find(ns, number);
	if (!row)
		return;
	row->holds -= times < row->holds ? times : row->holds;
	if (row->holds > 0 || row->inherited)
		return;
	row_keep_no_more(ns, row);
	tdelete(row, &ns->tree, row_compare);
	free(row);
}

struct numbers {
	int kind;
	uint64_t *list;
	size_t n, max;
};

static void
number_add(const void *node, VISIT which, void *arg)
{
	const struct name_row *row = *(struct name_row *const *)node;
	struct numbers *all = arg;

	if ((which != postorder && which != leaf) || row->kind != all->kind)
		return;
	if (ARRAY_ROOM(all->list, all->max, all->n + 1) == MQ_OK)
		all->list[all->n++] = row->number;
}

uint64_t *
names_numbers(struct names *ns, int kind, size_t *ret_n)
{
	struct numbers all = { .kind = kind };

	LOCKED(&ns->lock);
	twalk_r(ns->tree, number_add, &all);
	*ret_n = all.n;
	return all.list;
}
