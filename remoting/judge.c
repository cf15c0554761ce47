#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "conf/thread.h"
#include "offsets/meta.h"
#include "remoting/codes.h"
#include "remoting/judge.h"
#include "store/file.h"

#define LOOK_MS 500			/* between two passes over the files */
#define FILES_MAX 256
#define DEPTH_MAX 8			/* of directories below acl/ */
#define TRACE_TOPIC "RMQ_SYS_TRACE_TOPIC"
#define REFUSED "org.apache.rocketmq.acl.common.AclException: "

/* Which file it was, and which contents, when it was read. */
struct stamp {
	ino_t ino;
	off_t size;
	struct timespec changed;
};

struct judged_file {
	char *path;
	bool seen;			/* it exists in this pass over the files */
	bool read;			/* stamp is set */
	struct stamp stamp;
	struct accounts *accounts;	/* NULL: it was never valid */
};

struct judge {
	char *file, *dir;
	struct lock lock;		/* RANK_JUDGE: all below */
	pthread_cond_t changed;
	struct judged_file files[FILES_MAX];
	size_t n;
	bool closing;
	struct thread thread;
	struct lock edits;		/* RANK_JUDGE_EDIT: one change of a file, or pass over all, at a time */
};

/* --- reading one ------------------------------------------------------------------------------------ */

static int
read_all(const char *path, struct edited *ret, struct stat *ret_st)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FREE char *text = NULL;
	int rc;

	if (fd < 0 || fstat(fd, ret_st) != 0)
		return err_note(-errno, "%s: %m", path);
	if (!S_ISREG(ret_st->st_mode) || ret_st->st_size > ACCOUNTS_FILE_MAX)
		return err_note(MQ_EBADCONF, "it is no file, or longer than 1 MiB");
	text = malloc((size_t)ret_st->st_size + 1);
	if (!text)
		return -ENOMEM;
	rc = file_read(fd, text, (size_t)ret_st->st_size, 0, path);
	if (rc != MQ_OK)
		return rc;
	ret->text = take_ptr(text);
	ret->len = (size_t)ret_st->st_size;
	return MQ_OK;
}

static struct stamp
stamp_of(const struct stat *st)
{
	return (struct stamp){ .ino = st->st_ino, .size = st->st_size, .changed = st->st_mtim };
}

static bool
same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->ino == b->ino && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Read the file.  If it is invalid its former accounts stay in force. */
static void
load(struct judge *j, struct judged_file *f)
{
	struct accounts *accounts = NULL, *old;
	struct edited in = { 0 };
	struct stat st = { 0 };
	int rc = read_all(f->path, &in, &st);

	if (rc == MQ_OK)
		rc = accounts_parse(in.text, in.len, &accounts);
	free(in.text);
	f->read = true;
	f->stamp = stamp_of(&st);
	if (rc != MQ_OK) {
		log_err("%s: %s; %s", f->path, err_text(rc),
			f->accounts ? "what it said before stays in force" : "it has no accounts");
		return;
	}
	log_info("%s: accounts: %zu", f->path, accounts->n);
	lock_take(&j->lock);
	old = f->accounts;
	f->accounts = accounts;
	lock_drop(&j->lock);
	accounts_unref(old);
}

/* --- looking for files -------------------------------------------------------------------------------- */

static struct judged_file *
file_of(struct judge *j, const char *path)
{
	for (size_t i = 0; i < j->n; i++)
		if (strcmp(j->files[i].path, path) == 0)
			return &j->files[i];
	return NULL;
}

static struct judged_file *
add_file(struct judge *j, const char *path)
{
	char *copy = j->n < FILES_MAX ? strdup(path) : NULL;

	if (!copy)
		return NULL;
	LOCKED(&j->lock);
	j->files[j->n] = (struct judged_file){ .path = copy };
	return &j->files[j->n++];
}

static void
look_at(struct judge *j, const char *path, const struct stat *st)
{
	struct judged_file *f = file_of(j, path);
	const struct stamp stamp = stamp_of(st);

	if (!f)
		f = add_file(j, path);
	if (!f)
		return;
	f->seen = true;
	if (!f->read || !same_stamp(&f->stamp, &stamp))
		load(j, f);
}

static bool
is_ours(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcmp(dot, ".yml") == 0 || strcmp(dot, ".yaml") == 0) && strcmp(name, "tools.yml") != 0;
}

static void
look_below(struct judge *j, const char *dir, int depth)
{
	DIR *d = depth < DEPTH_MAX ? opendir(dir) : NULL;
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		AUTO_FREE char *path = NULL;
		struct stat st;

		if (e->d_name[0] == '.' || asprintf(&path, "%s/%s", dir, e->d_name) < 0 || stat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			look_below(j, path, depth + 1);
		else if (is_ours(e->d_name))
			look_at(j, path, &st);
	}
	if (d)
		closedir(d);
}

/* Files that do not exist any more have no accounts. */
static void
forget_unseen(struct judge *j)
{
	for (size_t i = 0; i < j->n;) {
		struct judged_file gone = j->files[i];

		if (gone.seen || (!gone.accounts && !gone.read)) {
			i++;
			continue;
		}
		lock_take(&j->lock);
		j->files[i] = j->files[--j->n];
		lock_drop(&j->lock);
		log_warn("%s is not there any more, nor are its accounts", gone.path);
		accounts_unref(gone.accounts);
		free(gone.path);
	}
}

static void
look(struct judge *j)
{
	struct stat st;

	LOCKED(&j->edits);
	for (size_t i = 0; i < j->n; i++)
		j->files[i].seen = false;
	if (stat(j->file, &st) == 0)
		look_at(j, j->file, &st);
	look_below(j, j->dir, 0);
	forget_unseen(j);
}

static void *
watch_main(void *arg)
{
	struct judge *j = arg;
	bool closing = false;

	while (!closing) {
		lock_take(&j->lock);
		if (!j->closing)
			lock_wait(&j->lock, &j->changed, LOOK_MS);
		closing = j->closing;
		lock_drop(&j->lock);
		if (!closing)
			look(j);
	}
	return NULL;
}

/* --- opening and closing --------------------------------------------------------------------------------- */

int
judge_open(const char *file, struct judge **ret)
{
	struct judge *j = calloc(1, sizeof(*j));
	const char *slash = strrchr(file, '/');
	int rc = MQ_OK;

	if (!j)
		return -ENOMEM;
	lock_init(&j->lock, RANK_JUDGE);
	lock_init(&j->edits, RANK_JUDGE_EDIT);
	cond_init(&j->changed);
	j->file = strdup(file);
	if (!j->file || asprintf(&j->dir, "%.*s/acl", slash ? (int)(slash - file) : 1, slash ? file : ".") < 0)
		rc = -ENOMEM;
	if (rc == MQ_OK) {
		look(j);
		if (j->n == 0)
			log_warn("%s is not there: no client is let in", j->file);
		rc = thread_start(&j->thread, "judge", watch_main, j);
	}
	if (rc == MQ_OK)
		*ret = j;
	else
		judge_close(j);
	return rc;
}

void
judge_close(struct judge *j)
{
	if (!j)
		return;
	lock_take(&j->lock);
	j->closing = true;
	pthread_cond_broadcast(&j->changed);
	lock_drop(&j->lock);
	thread_join(&j->thread);
	for (size_t i = 0; i < j->n; i++) {
		accounts_unref(j->files[i].accounts);
		free(j->files[i].path);
	}
	free(j->file);
	free(j->dir);
	pthread_cond_destroy(&j->changed);
	lock_destroy(&j->lock);
	lock_destroy(&j->edits);
	free(j);
}

/* --- requests --------------------------------------------------------------------------------------------- */

/* RocketMQ's list, and requests that read and change accounts, which RocketMQ allows for any account. */
static bool
is_administrators(int code)
{
	static const int codes[] = {
		REMOTING_UPDATE_AND_CREATE_TOPIC, REMOTING_UPDATE_BROKER_CONFIG, REMOTING_DELETE_TOPIC_IN_BROKER,
		REMOTING_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, REMOTING_DELETE_SUBSCRIPTIONGROUP,
		REMOTING_UPDATE_AND_CREATE_ACL_CONFIG, REMOTING_DELETE_ACL_CONFIG,
		REMOTING_UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, REMOTING_GET_BROKER_CLUSTER_ACL_CONFIG,
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i] == code)
			return true;
	return false;
}

static bool
is_trace(const struct judge_request *r)
{
	for (size_t i = 0; i < r->n_wants; i++)
		if (r->wants[i].perm == ACCOUNT_PUB && strcmp(r->wants[i].resource, TRACE_TOPIC) == 0)
			return true;
	return false;
}

static int
check_wants(const struct account *a, const struct judge_request *r)
{
	if (is_administrators(r->code) && !a->admin)
		return err_note(-EACCES, REFUSED "Need admin permission for request code=%d, but accessKey=%.100s is not",
				r->code, a->access_key);
	for (size_t i = 0; i < r->n_wants; i++) {
		const char *name = r->wants[i].resource;
		bool group = text_begins(name, RETRY_PREFIX);

		if (!account_may(a, name, r->wants[i].perm))
			return err_note(-EACCES, REFUSED "No default permission for %s:%.100s",
					group ? "group" : "topic", group ? name + strlen(RETRY_PREFIX) : name);
	}
	return MQ_OK;
}

/* Is the address let in without an account?  Else *ret_accounts (a reference) has the account; NULL: none. */
static bool
find(struct judge *j, const struct judge_request *r, struct accounts **ret_accounts)
{
	struct accounts *found = NULL;

	LOCKED(&j->lock);
	for (size_t i = 0; i < j->n; i++) {
		struct accounts *a = j->files[i].accounts;

		if (a && r->from && whitelist_has(&a->white, r->from))
			return true;
		if (a && !found && r->access_key && accounts_find(a, r->access_key))
			found = a;
	}
	*ret_accounts = found ? accounts_ref(found) : NULL;
	return false;
}

static int
check(const struct account *a, const struct judge_request *r)
{
	if (r->from && whitelist_has(&a->white, r->from))
		return MQ_OK;
	if (!r->signature || !signer_has_signed(a->signer, r->parts, r->n_parts, r->signature))
		return err_note(-EACCES, REFUSED "Check signature failed for accessKey=%.100s", a->access_key);
	return is_trace(r) ? MQ_OK : check_wants(a, r);
}

int
judge_check(struct judge *j, const struct judge_request *r, struct permit *ret)
{
	struct permit permit = { 0 };
	const struct account *a;
	int rc;

	*ret = permit;
	if (find(j, r, &permit.accounts))
		return MQ_OK;
	if (!r->access_key)
		return err_note(-EACCES, REFUSED "No accessKey is configured");
	if (!permit.accounts)
		return err_note(-EACCES, REFUSED "No acl config for %.100s", r->access_key);
	a = accounts_find(permit.accounts, r->access_key);
	rc = check(a, r);
	if (rc != MQ_OK) {
		accounts_unref(permit.accounts);
		return rc;
	}
	permit.user = a->user.number ? &a->user : NULL;
	*ret = permit;
	return MQ_OK;
}

void
permit_drop(struct permit *p)
{
	accounts_unref(p->accounts);
	*p = (struct permit){ 0 };
}

/* --- changes ------------------------------------------------------------------------------------------------- */

/* Write a new file beside it, sync it, and rename it. */
static int
replace(const char *path, const struct stat *st, const struct edited *e)
{
	AUTO_FREE char *temp = NULL;
	AUTO_CLOSE int fd = -1;
	int rc = MQ_OK;

	if (asprintf(&temp, "%s.new", path) < 0) {
		temp = NULL;
		return -ENOMEM;
	}
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_note(-errno, "%s: %m", temp);
	if (st && (fchmod(fd, st->st_mode & 07777) != 0 || (fchown(fd, st->st_uid, st->st_gid) != 0 && errno != EPERM)))
		rc = err_note(-errno, "%s: %m", temp);
	if (rc == MQ_OK)
		rc = file_write(fd, e->text, e->len, 0, temp);
	if (rc == MQ_OK && (fsync(fd) != 0 || rename(temp, path) != 0))
		rc = err_note(-errno, "%s: %m", path);
	if (rc != MQ_OK)
		unlink(temp);
	return rc;
}

/* A change: one of the three, by what is not NULL. */
struct change {
	const struct account_change *put;
	const char *remove, *white;
};

static int
edit(const struct edited *in, const struct change *c, struct edited *ret)
{
	if (c->put)
		return accounts_edit_put(in->text, in->len, c->put, ret);
	if (c->remove)
		return accounts_edit_remove(in->text, in->len, c->remove, ret);
	return accounts_edit_white(in->text, in->len, c->white, ret);
}

static int
change_file(struct judge *j, const char *path, const struct change *c)
{
	MUST_HOLD(&j->edits);
	struct edited in = { 0 }, out = { 0 };
	struct stat st = { 0 };
	int rc = read_all(path, &in, &st);
	bool is_new = rc == -ENOENT;

	if (is_new)
		rc = MQ_OK;
	if (rc == MQ_OK)
		rc = edit(&(struct edited){ in.text ? in.text : (char[]){ "" }, in.len }, c, &out);
	if (rc == MQ_OK)
		rc = replace(path, is_new ? NULL : &st, &out);
	free(in.text);
	free(out.text);
	if (rc == MQ_OK && stat(path, &st) == 0)
		look_at(j, path, &st);
	return rc;
}

/* The file that has that account; NULL: none. */
static const char *
path_of(struct judge *j, const char *access_key)
{
	MUST_HOLD(&j->edits);
	for (size_t i = 0; i < j->n; i++)
		if (j->files[i].accounts && accounts_find(j->files[i].accounts, access_key))
			return j->files[i].path;
	return NULL;
}

int
judge_put(struct judge *j, const struct account_change *c)
{
	const char *path;

	LOCKED(&j->edits);
	path = path_of(j, c->access_key);
	return change_file(j, path ? path : j->file, &(struct change){ .put = c });
}

int
judge_remove(struct judge *j, const char *access_key)
{
	const char *path;

	LOCKED(&j->edits);
	path = path_of(j, access_key);
	if (!path)
		return err_note(-ENOENT, "there is no account %.100s", access_key);
	return change_file(j, path, &(struct change){ .remove = access_key });
}

int
judge_set_white(struct judge *j, const char *addresses, const char *path)
{
	LOCKED(&j->edits);
	if (!*path)
		path = j->file;
	if (strcmp(path, j->file) != 0 && !file_of(j, path))
		return err_note(-ENOENT, "%.200s is none of this broker's files of accounts", path);
	return change_file(j, path, &(struct change){ .white = addresses });
}

/* --- descriptions ---------------------------------------------------------------------------------------------- */

static json_t *
version_of(const struct accounts *a)
{
	return json_pack("{s:I, s:I}", "counter", (json_int_t)(a ? a->counter : 0), "timestamp",
			 (json_int_t)(a ? a->timestamp_ms : 0));
}

json_t *
judge_versions(struct judge *j, json_t **ret_main)
{
	json_t *all = json_object();

	*ret_main = NULL;
	LOCKED(&j->lock);
	for (size_t i = 0; i < j->n && all; i++) {
		json_object_set_new(all, j->files[i].path, version_of(j->files[i].accounts));
		if (strcmp(j->files[i].path, j->file) == 0)
			*ret_main = version_of(j->files[i].accounts);
	}
	if (!*ret_main)
		*ret_main = version_of(NULL);
	return all;
}

static json_t *
texts_json(char *const *texts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *
account_json(const struct account *a)
{
	json_t *object = json_pack("{s:s, s:s, s:b}", "accessKey", a->access_key, "secretKey", a->secret_key, "admin",
				   a->admin);

	if (a->white_address)
		json_object_set_new(object, "whiteRemoteAddress", json_string(a->white_address));
	if (a->topic_perm_text)
		json_object_set_new(object, "defaultTopicPerm", json_string(a->topic_perm_text));
	if (a->group_perm_text)
		json_object_set_new(object, "defaultGroupPerm", json_string(a->group_perm_text));
	if (a->n_topic_perms > 0)
		json_object_set_new(object, "topicPerms", texts_json(a->topic_perms, a->n_topic_perms));
	if (a->n_group_perms > 0)
		json_object_set_new(object, "groupPerms", texts_json(a->group_perms, a->n_group_perms));
	return object;
}

json_t *
judge_describe(struct judge *j)
{
	json_t *white = json_array(), *list = json_array();

	LOCKED(&j->lock);
	for (size_t i = 0; i < j->n; i++) {
		const struct accounts *a = j->files[i].accounts;

		for (size_t k = 0; a && k < a->n_white_texts; k++)
			json_array_append_new(white, json_string(a->white_texts[k]));
		for (size_t k = 0; a && k < a->n; k++)
			json_array_append_new(list, account_json(&a->list[k]));
	}
	return json_pack("{s:o, s:o}", "globalWhiteAddrs", white, "plainAccessConfigs", list);
}
