#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "offsets/meta.h"
#include "remoting/accounts.h"
#include "remoting/yaml_tree.h"

#define KEY_MIN 7			/* characters of an accessKey, and of a secretKey */

/* A file that is being read. */
struct reading {
	yaml_document_t *doc;
	struct accounts *a;
};

/* --- texts ---------------------------------------------------------------------------------------- */

static void
texts_free(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

/* The member `name` as a list of texts. */
static int
read_texts(struct reading *r, int map, const char *name, char ***ret, size_t *ret_n)
{
	int list = yaml_tree_member(r->doc, map, name);
	size_t n = yaml_tree_items(r->doc, list);

	if (list && n == 0 && yaml_tree_text(r->doc, list))
		return err_note(MQ_EBADCONF, "%s: is no list", name);
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *text = yaml_tree_text(r->doc, yaml_tree_item(r->doc, list, i));

		(*ret)[i] = strdup(text ? text : "");
		if (!(*ret)[i])
			return -ENOMEM;
		++*ret_n;
	}
	return MQ_OK;
}

/* The member `name`; NULL: there is none. */
static int
read_text(struct reading *r, int map, const char *name, char **ret)
{
	const char *text = yaml_tree_text(r->doc, yaml_tree_member(r->doc, map, name));

	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : MQ_OK;
}

static bool
is_true(const char *text)
{
	return text && (strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 || strcasecmp(text, "on") == 0);
}

/* --- permissions ------------------------------------------------------------------------------------ */

static unsigned
perm_of(const char *text)
{
	static const struct {
		const char *word;
		unsigned perm;
	} words[] = {
		{ "PUB", ACCOUNT_PUB }, { "SUB", ACCOUNT_SUB },
		{ "PUB|SUB", ACCOUNT_PUB | ACCOUNT_SUB }, { "SUB|PUB", ACCOUNT_PUB | ACCOUNT_SUB },
	};
	size_t begin = text ? strspn(text, " \t") : 0, len = text ? strlen(text + begin) : 0;

	while (len > 0 && strchr(" \t", text[begin + len - 1]))
		len--;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (bytes_are(text + begin, len, words[i].word))
			return words[i].perm;
	return ACCOUNT_DENY;
}

/* NAME=PERM */
static int
read_resource(const char *text, const char *prefix, struct resource *ret)
{
	size_t begin = strspn(text, " \t="), len = strcspn(text + begin, "=");
	const char *perm = text + begin + len;
	int n;

	perm += strspn(perm, "=");
	while (len > 0 && strchr(" \t", text[begin + len - 1]))
		len--;
	if (len == 0 || *perm == '\0' || strchr(perm, '='))
		return err_note(MQ_EBADCONF, "Parse resource permission failed for %s:%.100s",
				*prefix ? "group" : "topic", text);
	n = asprintf(&ret->name, "%s%.*s", prefix, (int)len, text + begin);
	ret->perm = perm_of(perm);
	if (n < 0)
		ret->name = NULL;
	return n < 0 ? -ENOMEM : MQ_OK;
}

static int
by_resource(const void *a, const void *b)
{
	return strcmp(((const struct resource *)a)->name, ((const struct resource *)b)->name);
}

static int
read_resources(struct account *a)
{
	size_t max = a->n_topic_perms + a->n_group_perms;
	int rc = MQ_OK;

	a->resources = calloc(max + 1, sizeof(*a->resources));
	if (!a->resources)
		return -ENOMEM;
	for (size_t i = 0; i < max && rc == MQ_OK; i++) {
		bool group = i < a->n_group_perms;
		const char *text = group ? a->group_perms[i] : a->topic_perms[i - a->n_group_perms];

		rc = read_resource(text, group ? RETRY_PREFIX : "", &a->resources[a->n_resources]);
		if (rc == MQ_OK)
			a->n_resources++;
	}
	qsort(a->resources, a->n_resources, sizeof(*a->resources), by_resource);
	return rc;
}

bool
account_may(const struct account *a, const char *resource, unsigned want)
{
	const struct resource key = { .name = (char *)(uintptr_t)resource };
	const struct resource *r;
	unsigned has;

	if (a->admin && a->n_resources == 0)
		return true;
	r = a->n_resources > 0 ? bsearch(&key, a->resources, a->n_resources, sizeof(key), by_resource) : NULL;
	has = r ? r->perm : text_begins(resource, RETRY_PREFIX) ? a->group_perm : a->topic_perm;
	return !(has & ACCOUNT_DENY) && (has & want);
}

/* --- accounts --------------------------------------------------------------------------------------- */

static void
account_clear(struct account *a)
{
	free(a->access_key);
	free(a->secret_key);
	free(a->white_address);
	free(a->topic_perm_text);
	free(a->group_perm_text);
	free(a->user_name);
	whitelist_clear(&a->white);
	for (size_t i = 0; i < a->n_resources; i++)
		free(a->resources[i].name);
	free(a->resources);
	texts_free(a->topic_perms, a->n_topic_perms);
	texts_free(a->group_perms, a->n_group_perms);
	signer_free(a->signer);
	user_clear(&a->user);
}

static int
read_account_texts(struct reading *r, int map, struct account *a)
{
	const struct {
		const char *name;
		char **ret;
	} texts[] = {
		{ "accessKey", &a->access_key }, { "secretKey", &a->secret_key },
		{ "whiteRemoteAddress", &a->white_address }, { "defaultTopicPerm", &a->topic_perm_text },
		{ "defaultGroupPerm", &a->group_perm_text }, { "user", &a->user_name },
	};
	int rc = MQ_OK;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && rc == MQ_OK; i++)
		rc = read_text(r, map, texts[i].name, texts[i].ret);
	if (rc == MQ_OK)
		rc = read_texts(r, map, "topicPerms", &a->topic_perms, &a->n_topic_perms);
	if (rc == MQ_OK)
		rc = read_texts(r, map, "groupPerms", &a->group_perms, &a->n_group_perms);
	a->admin = is_true(yaml_tree_text(r->doc, yaml_tree_member(r->doc, map, "admin")));
	return rc;
}

/* What its texts mean. */
static int
account_resolve(struct account *a)
{
	int rc = MQ_OK;

	if (!a->access_key || !a->secret_key || strlen(a->access_key) < KEY_MIN || strlen(a->secret_key) < KEY_MIN)
		return err_note(MQ_EBADCONF, "The accessKey=%.100s and secretKey cannot be null and length should "
				"longer than 6", a->access_key ? a->access_key : "null");
	a->topic_perm = perm_of(a->topic_perm_text);
	a->group_perm = perm_of(a->group_perm_text);
	a->signer = signer_make(a->secret_key);
	if (!a->signer)
		return -ENOMEM;
	if (a->white_address)
		rc = whitelist_add(&a->white, a->white_address);
	if (rc == MQ_OK)
		rc = read_resources(a);
	return rc == MQ_OK && a->user_name ? user_find(a->user_name, &a->user) : rc;
}

static int
read_account(struct reading *r, int map)
{
	struct account a = { 0 };
	int rc = yaml_tree_is_map(r->doc, map) ? read_account_texts(r, map, &a)
					       : err_note(MQ_EBADCONF, "accounts: an item is no account");

	if (rc == MQ_OK)
		rc = account_resolve(&a);
	if (rc == MQ_EBADCONF && a.access_key)
		rc = err_note(rc, "account %.100s: %s", a.access_key, err_text(rc));
	if (rc != MQ_OK) {
		account_clear(&a);
		return rc;
	}
	r->a->list[r->a->n++] = a;
	return MQ_OK;
}

static int
by_key(const void *a, const void *b)
{
	return strcmp(((const struct account *)a)->access_key, ((const struct account *)b)->access_key);
}

static int
read_accounts(struct reading *r, int root)
{
	int list = yaml_tree_member(r->doc, root, "accounts"), rc = MQ_OK;
	size_t n = yaml_tree_items(r->doc, list);

	if (list && n == 0 && (yaml_tree_text(r->doc, list) || yaml_tree_is_map(r->doc, list)))
		return err_note(MQ_EBADCONF, "accounts: is no list");
	r->a->list = calloc(n + 1, sizeof(*r->a->list));
	if (!r->a->list)
		return -ENOMEM;
	for (size_t i = 0; i < n && rc == MQ_OK; i++)
		rc = read_account(r, yaml_tree_item(r->doc, list, i));
	qsort(r->a->list, r->a->n, sizeof(*r->a->list), by_key);
	for (size_t i = 1; i < r->a->n && rc == MQ_OK; i++)
		if (by_key(&r->a->list[i - 1], &r->a->list[i]) == 0)
			rc = err_note(MQ_EBADCONF, "account %.100s: is there twice", r->a->list[i].access_key);
	return rc;
}

static int64_t
number_of(const char *text)
{
	return text ? strtoll(text, NULL, 10) : 0;
}

static int
read_root(struct reading *r)
{
	int root = yaml_tree_root(r->doc), versions = yaml_tree_member(r->doc, root, "dataVersion");
	struct accounts *a = r->a;
	int rc;

	if (!root)
		return err_note(MQ_EBADCONF, "it holds nothing");
	rc = read_texts(r, root, "globalWhiteRemoteAddresses", &a->white_texts, &a->n_white_texts);
	for (size_t i = 0; i < a->n_white_texts && rc == MQ_OK; i++)
		rc = whitelist_add(&a->white, a->white_texts[i]);
	if (yaml_tree_items(r->doc, versions) > 0) {
		int first = yaml_tree_item(r->doc, versions, 0);

		a->counter = number_of(yaml_tree_text(r->doc, yaml_tree_member(r->doc, first, "counter")));
		a->timestamp_ms = number_of(yaml_tree_text(r->doc, yaml_tree_member(r->doc, first, "timestamp")));
	}
	return rc == MQ_OK ? read_accounts(r, root) : rc;
}

int
accounts_parse(const char *text, size_t len, struct accounts **ret)
{
	struct accounts *a = calloc(1, sizeof(*a));
	yaml_document_t doc;
	struct reading r = { .doc = &doc, .a = a };
	int rc = !a ? -ENOMEM : len > ACCOUNTS_FILE_MAX ? err_note(MQ_EBADCONF, "it is longer than 1 MiB") :
		 yaml_tree_parse(text, len, &doc);

	if (rc != MQ_OK) {
		free(a);
		return rc;
	}
	a->refs = 1;
	rc = read_root(&r);
	yaml_document_delete(&doc);
	if (rc == MQ_OK)
		*ret = a;
	else
		accounts_unref(a);
	return rc;
}

const struct account *
accounts_find(const struct accounts *a, const char *access_key)
{
	const struct account key = { .access_key = (char *)(uintptr_t)access_key };

	return a->n > 0 ? bsearch(&key, a->list, a->n, sizeof(key), by_key) : NULL;
}

struct accounts *
accounts_ref(struct accounts *a)
{
	atomic_fetch_add(&a->refs, 1);
	return a;
}

void
accounts_unref(struct accounts *a)
{
	if (!a || atomic_fetch_sub(&a->refs, 1) != 1)
		return;
	for (size_t i = 0; i < a->n; i++)
		account_clear(&a->list[i]);
	free(a->list);
	texts_free(a->white_texts, a->n_white_texts);
	whitelist_clear(&a->white);
	free(a);
}
