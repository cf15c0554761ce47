#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/err.h"
#include "conf/bytes.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/pages.h"
#include "offsets/tables.h"
#include "store/file.h"

#define MAP_BYTES_FIRST ((size_t)8 << 20)
#define MAP_BYTES_MAX ((size_t)1 << 40)

struct tables {
	MDB_env *env;
	MDB_dbi dbi[TABLES];
	bool read_only;
	_Atomic size_t map_bytes;
};

#define SUM_KEY "sum"
#define SUM_BYTES 16

static const char *const table_names[TABLES] = {
	"topics", "groups", "subscriptions", "offsets", "attrs", "queues", "meta", "owed",
};

/* LMDB's own codes are positive errnos or negative numbers of its own. */
static int
lmdb_err(int code, const char *doing)
{
	if (code == MDB_SUCCESS)
		return MQ_OK;
	if (code > 0)
		return err_note(-code, "lmdb: %s: %s", doing, mdb_strerror(code));
	if (code == MDB_MAP_FULL || code == MDB_TXN_FULL)
		return err_note(-ENOSPC, "lmdb: %s: %s", doing, mdb_strerror(code));
	return err_note(MQ_ECORRUPT, "lmdb: %s: %s", doing, mdb_strerror(code));
}

/* --- rows ------------------------------------------------------------------- */

/* One row in the buffer, followed by its key and its value. */
struct row_head {
	enum table table;
	bool gone;
	size_t key_len, value_len;
};

static void
rows_add(struct rows *r, const void *bytes, size_t len)
{
	if (r->err != MQ_OK)
		return;
	if (r->size - r->len < len) {
		size_t size = (r->size + len) * 2;
		unsigned char *buf = realloc(r->buf, size);

		if (!buf) {
			r->err = -ENOMEM;
			return;
		}
		r->buf = buf;
		r->size = size;
	}
	if (len)
		memcpy(r->buf + r->len, bytes, len);
	r->len += len;
}

void
rows_put(struct rows *r, enum table table, const void *key, size_t key_len, const void *value,
	 size_t value_len)
{
	struct row_head head = { .table = table, .key_len = key_len, .value_len = value_len };

	rows_add(r, &head, sizeof(head));
	rows_add(r, key, key_len);
	rows_add(r, value, value_len);
}

void
rows_delete(struct rows *r, enum table table, const void *key, size_t key_len)
{
	struct row_head head = { .table = table, .gone = true, .key_len = key_len };

	rows_add(r, &head, sizeof(head));
	rows_add(r, key, key_len);
}

void
rows_empty(struct rows *r, enum table table)
{
	rows_delete(r, table, "", 0);	/* no row has an empty key */
}

void
rows_append(struct rows *r, const struct rows *more)
{
	rows_add(r, more->buf, more->len);
	if (r->err == MQ_OK)
		r->err = more->err;
}

void
rows_clear(struct rows *r)
{
	r->len = 0;
	r->err = MQ_OK;
}

void
rows_free(struct rows *r)
{
	free(r->buf);
	*r = (struct rows){ 0 };
}

/* --- their sum -------------------------------------------------------------- */

/* The hash that a row adds to the sum. */
static uint64_t
row_hash(enum table table, const MDB_val *key, const MDB_val *value)
{
	unsigned char head[9] = { (unsigned char)table };
	uint64_t h;

	if (table == TABLE_META && bytes_are(key->mv_data, key->mv_size, SUM_KEY))
		return 0;
	be64_put(head + 1, (int64_t)key->mv_size);
	h = bytes_hash64(BYTES_HASH64, head, sizeof(head));
	h = bytes_hash64(h, key->mv_data, key->mv_size);
	return bytes_hash64(h, value->mv_data, value->mv_size);
}

/* The sum over the rows of one table, as txn has them. */
static int
table_sum(struct tables *t, MDB_txn *txn, enum table table, uint64_t *sum)
{
	MDB_cursor *cursor = NULL;
	MDB_val key, value;
	int code = mdb_cursor_open(txn, t->dbi[table], &cursor);

	while (code == MDB_SUCCESS) {
		code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		if (code == MDB_SUCCESS)
			*sum += row_hash(table, &key, &value);
	}
	if (cursor)
		mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

/* The sum over the rows of all tables. */
static int
all_tables_sum(struct tables *t, MDB_txn *txn, uint64_t *ret)
{
	int code = MDB_SUCCESS;

	*ret = 0;
	for (int i = 0; code == MDB_SUCCESS && i < TABLES; i++)
		if (t->dbi[i])
			code = table_sum(t, txn, (enum table)i, ret);
	return code;
}

/* The sum of the rows that txn, a writer, begins with: the last transaction's, or, where that
 * one was not ours, computed.  It is not kept in memory, since a commit that has failed may
 * have happened on disk. */
static int
sum_get(struct tables *t, MDB_txn *txn, uint64_t *ret)
{
	MDB_val value, key = { .mv_size = strlen(SUM_KEY), .mv_data = (void *)(uintptr_t)SUM_KEY };
	int code = mdb_get(txn, t->dbi[TABLE_META], &key, &value);

	if (code != MDB_SUCCESS && code != MDB_NOTFOUND)
		return code;
	if (code == MDB_NOTFOUND || value.mv_size != SUM_BYTES ||
	    be64_get(value.mv_data) + 1 != (int64_t)mdb_txn_id(txn))
		return all_tables_sum(t, txn, ret);
	*ret = (uint64_t)be64_get((const char *)value.mv_data + 8);
	return MDB_SUCCESS;
}

static int
sum_put(struct tables *t, MDB_txn *txn, uint64_t sum)
{
	unsigned char row[SUM_BYTES];
	MDB_val key = { .mv_size = strlen(SUM_KEY), .mv_data = (void *)(uintptr_t)SUM_KEY };
	MDB_val value = { .mv_size = sizeof(row), .mv_data = row };

	be64_put(row, (int64_t)mdb_txn_id(txn));
	be64_put(row + 8, (int64_t)sum);
	return mdb_put(txn, t->dbi[TABLE_META], &key, &value, 0);
}

/* --- writing ---------------------------------------------------------------- */

/* Put or (value NULL) delete one row, and keep the sum.  A row that is there already costs no
 * page: a snapshot writes those of all queues. */
static int
row_into(struct tables *t, MDB_txn *txn, enum table table, MDB_val *key, MDB_val *value, uint64_t *sum)
{
	MDB_val old;
	int code = mdb_get(txn, t->dbi[table], key, &old);
	bool found = code == MDB_SUCCESS;

	if (!found && code != MDB_NOTFOUND)
		return code;
	if (found && value && old.mv_size == value->mv_size &&
	    memcmp(old.mv_data, value->mv_data, old.mv_size) == 0)
		return MDB_SUCCESS;
	if (found)
		*sum -= row_hash(table, key, &old);
	if (!value)
		return found ? mdb_del(txn, t->dbi[table], key, NULL) : MDB_SUCCESS;
	*sum += row_hash(table, key, value);
	return mdb_put(txn, t->dbi[table], key, value, 0);
}

static int
table_empty(struct tables *t, MDB_txn *txn, enum table table, uint64_t *sum)
{
	uint64_t all = 0;
	int code = table_sum(t, txn, table, &all);

	*sum -= all;
	return code == MDB_SUCCESS ? mdb_drop(txn, t->dbi[table], 0) : code;
}

static int
rows_into(struct tables *t, MDB_txn *txn, const struct rows *r, uint64_t *sum)
{
	struct row_head head;

	for (size_t at = 0; at < r->len; at += head.key_len + head.value_len) {
		MDB_val key, value;
		int code;

		memcpy(&head, r->buf + at, sizeof(head));
		at += sizeof(head);
		key = (MDB_val){ .mv_size = head.key_len, .mv_data = r->buf + at };
		value = (MDB_val){ .mv_size = head.value_len, .mv_data = r->buf + at + head.key_len };
		if (head.gone && head.key_len == 0)
			code = table_empty(t, txn, head.table, sum);
		else
			code = row_into(t, txn, head.table, &key, head.gone ? NULL : &value, sum);
		if (code != MDB_SUCCESS)
			return code;
	}
	return sum_put(t, txn, *sum);
}

static int
write_once(struct tables *t, const struct rows *r)
{
	uint64_t sum;
	MDB_txn *txn;
	int code = mdb_txn_begin(t->env, NULL, 0, &txn);

	if (code != MDB_SUCCESS)
		return code;
	code = sum_get(t, txn, &sum);
	if (code == MDB_SUCCESS)
		code = rows_into(t, txn, r, &sum);
	if (code != MDB_SUCCESS) {
		mdb_txn_abort(txn);
		return code;
	}
	return mdb_txn_commit(txn);
}

/* The map is full: it becomes twice as large, and the write is tried again. */
static int
map_grow(struct tables *t)
{
	size_t bytes = t->map_bytes * 2;
	int code;

	if (bytes > MAP_BYTES_MAX)
		return MDB_MAP_FULL;
	code = mdb_env_set_mapsize(t->env, bytes);
	if (code != MDB_SUCCESS)
		return code;
	t->map_bytes = bytes;
	log_info("lmdb: the map grows to %zu MiB", bytes >> 20);
	return MDB_SUCCESS;
}

int
tables_write(struct tables *t, const struct rows *r)
{
	int code;

	if (r->err != MQ_OK)
		return r->err;
	do {
		code = write_once(t, r);
	} while (code == MDB_MAP_FULL && (code = map_grow(t)) == MDB_SUCCESS);
	return lmdb_err(code, "write");
}

/* --- reading ---------------------------------------------------------------- */

int
tables_each(struct tables *t, enum table table, tables_row *each, void *arg)
{
	MDB_cursor *cursor = NULL;
	MDB_val key, value;
	MDB_txn *txn;
	int rc = MQ_OK;
	int code;

	if (t->dbi[table] == 0)
		return MQ_OK;
	code = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
	if (code != MDB_SUCCESS)
		return lmdb_err(code, "read");
	code = mdb_cursor_open(txn, t->dbi[table], &cursor);
	while (code == MDB_SUCCESS && rc == MQ_OK) {
		code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		if (code == MDB_SUCCESS)
			rc = each(arg, key.mv_data, key.mv_size, value.mv_data, value.mv_size);
	}
	if (cursor)
		mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	if (rc != MQ_OK || code == MDB_NOTFOUND || code == MDB_SUCCESS)
		return rc;
	return lmdb_err(code, "read");
}

int
tables_get(struct tables *t, const char *key, void *buf, size_t size, size_t *ret_len)
{
	MDB_val k = { .mv_size = strlen(key), .mv_data = (void *)(uintptr_t)key };
	MDB_val v;
	MDB_txn *txn;
	int code = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);

	if (code != MDB_SUCCESS)
		return lmdb_err(code, "read");
	code = mdb_get(txn, t->dbi[TABLE_META], &k, &v);
	if (code == MDB_SUCCESS) {
		memcpy(buf, v.mv_data, v.mv_size < size ? v.mv_size : size);
		*ret_len = v.mv_size;
	}
	mdb_txn_abort(txn);
	return code == MDB_NOTFOUND ? -ENOENT : lmdb_err(code, key);
}

int
tables_copy(struct tables *t, int fd)
{
	return lmdb_err(mdb_env_copyfd2(t->env, fd, 0), "copy");
}

int64_t
tables_map_bytes(const struct tables *t)
{
	return (int64_t)t->map_bytes;
}

/* --- opening ---------------------------------------------------------------- */

/* LMDB trusts its meta page: if the file is shorter than that says, reading a missing page
 * raises SIGBUS. */
static int
file_is_whole(struct tables *t)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat st;
	int fd;

	if (mdb_env_info(t->env, &info) || mdb_env_stat(t->env, &stat) || mdb_env_get_fd(t->env, &fd))
		return err_note(MQ_ECORRUPT, "lmdb: no information");
	if (fstat(fd, &st) < 0)
		return err_note(-errno, "lmdb: fstat: %m");
	if ((uint64_t)st.st_size < ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize)
		return err_note(MQ_ECORRUPT, "lmdb: data.mdb is cut short: %lld bytes of %llu",
				(long long)st.st_size,
				((unsigned long long)info.me_last_pgno + 1) * stat.ms_psize);
	t->map_bytes = info.me_mapsize;
	return MQ_OK;
}

static int
dbis_open(struct tables *t)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(t->env, NULL, t->read_only ? MDB_RDONLY : 0, &txn);

	for (int i = 0; code == MDB_SUCCESS && i < TABLES; i++) {
		code = mdb_dbi_open(txn, table_names[i], t->read_only ? 0 : MDB_CREATE, &t->dbi[i]);
		if (code == MDB_NOTFOUND && i > TABLE_META)
			code = MDB_SUCCESS;	/* an older version's: it stays 0, which is none of ours */
		if (code != MDB_SUCCESS)
			mdb_txn_abort(txn);
	}
	if (code == MDB_SUCCESS)
		code = mdb_txn_commit(txn);
	if (code == MDB_NOTFOUND)	/* read-only, and never written by us */
		return -ENOENT;
	return lmdb_err(code, "open tables");
}

static int
all_sum(struct tables *t, uint64_t *ret)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);

	if (code != MDB_SUCCESS)
		return lmdb_err(code, "read");
	code = all_tables_sum(t, txn, ret);
	mdb_txn_abort(txn);
	return lmdb_err(code, "read");
}

/* Do the rows have the sum that was written with them? */
static int
sum_check(struct tables *t)
{
	unsigned char row[SUM_BYTES] = { 0 };
	MDB_envinfo info;
	size_t len = 0;
	uint64_t sum;
	int rc = all_sum(t, &sum);

	if (rc == MQ_OK)
		rc = tables_get(t, SUM_KEY, row, sizeof(row), &len);
	if (rc != MQ_OK)
		return rc == -ENOENT ? MQ_OK : rc;
	if (len != sizeof(row) || mdb_env_info(t->env, &info))
		return err_note(MQ_ECORRUPT, "lmdb: a bad row \"%s\"", SUM_KEY);
	if (be64_get(row) == (int64_t)info.me_last_txnid && be64_get(row + 8) != (int64_t)sum)
		return err_note(MQ_ECORRUPT, "lmdb: a row is not what was written");
	return MQ_OK;
}

static int
format_check(struct tables *t)
{
	unsigned char format[4] = { 0 };
	size_t len;
	int rc = tables_get(t, "format", format, sizeof(format), &len);

	if (rc == -ENOENT)
		return MQ_OK;		/* new: the first checkpoint writes it */
	if (rc != MQ_OK)
		return rc;
	if (len != sizeof(format) || memcmp(format, "\0\0\0\1", sizeof(format)) != 0)
		return err_note(MQ_ECORRUPT, "lmdb: not our format, or a newer one");
	return MQ_OK;
}

static int
env_open(struct tables *t, const char *path, unsigned flags)
{
	int dead;
	int code = mdb_env_create(&t->env);

	if (code == MDB_SUCCESS)
		code = mdb_env_set_maxdbs(t->env, TABLES);
	if (code == MDB_SUCCESS)
		code = mdb_env_set_mapsize(t->env, MAP_BYTES_FIRST);
	if (code == MDB_SUCCESS)
		code = mdb_env_open(t->env, path, flags | MDB_NOTLS, 0640);
	if (code == MDB_SUCCESS && !t->read_only)
		code = mdb_reader_check(t->env, &dead);
	if (code == ENOENT)
		return -ENOENT;
	return lmdb_err(code, path);
}

static int
data_check(const char *path)
{
	AUTO_FREE char *data = NULL;

	return asprintf(&data, "%s/data.mdb", path) < 0 ? -ENOMEM : pages_check(data);
}

/* LMDB syncs its file, not the name of it: without the name nothing that was committed
 * would be found after a power cut. */
static int
sync_name(const char *path)
{
	AUTO_CLOSE int fd = -1;
	int rc = dir_open(AT_FDCWD, path, 0, &fd);

	return rc == MQ_OK ? dir_sync(fd, path) : rc;
}

int
tables_open(const char *path, bool read_only, struct tables **ret_t)
{
	struct tables *t;
	int rc;

	if (!read_only && mkdir(path, 0750) < 0 && errno != EEXIST)
		return err_note(-errno, "%s: %m", path);
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->read_only = read_only;
	rc = data_check(path);
	if (rc == MQ_OK)
		rc = env_open(t, path, read_only ? MDB_RDONLY | MDB_NOLOCK : 0);
	if (rc == MQ_OK && !read_only)
		rc = sync_name(path);
	if (rc == MQ_OK)
		rc = file_is_whole(t);
	if (rc == MQ_OK)
		rc = dbis_open(t);
	if (rc == MQ_OK)
		rc = format_check(t);
	if (rc == MQ_OK)
		rc = sum_check(t);
	if (rc != MQ_OK) {
		tables_close(t);
		return rc;
	}
	*ret_t = t;
	return MQ_OK;
}

int
tables_amend(const char *path, const struct rows *r, struct tables **ret_t)
{
	struct tables *t = calloc(1, sizeof(*t));
	int rc = t ? env_open(t, path, MDB_NOLOCK | MDB_NOSYNC) : -ENOMEM;

	if (rc == MQ_OK)
		rc = file_is_whole(t);
	if (rc == MQ_OK)
		rc = dbis_open(t);
	if (rc == MQ_OK)
		rc = tables_write(t, r);
	if (rc != MQ_OK) {
		tables_close(t);
		return rc;
	}
	*ret_t = t;
	return MQ_OK;
}

void
tables_close(struct tables *t)
{
	if (!t)
		return;
	if (t->env)
		mdb_env_close(t->env);
	free(t);
}
