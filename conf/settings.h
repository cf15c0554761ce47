/* settings.h - every setting, from one table.
 *
 * The table is conf/settings.def; from it come this struct, the parser, the
 * checks, --help, config/KEY in the mount and the reference part of
 * mqfs.conf(5).  Keys are RocketMQ's own names, and so are the fields.
 *
 * Numbers, switches and choices are atomics: code reads one
 * where it is needed (`s->flushIntervalCommitLog`), so a change made while
 * mounted takes effect at the next use.  So are texts, of which few change;
 * what one has been stays readable until settings_free().
 */
#ifndef MQFS_CONF_SETTINGS_H
#define MQFS_CONF_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum broker_role { ASYNC_MASTER, SYNC_MASTER, SLAVE };
enum flush_disk_type { ASYNC_FLUSH, SYNC_FLUSH };
enum master_kind { MASTER_KIND_AUTO, MASTER_KIND_MQFS, MASTER_KIND_ROCKETMQ };
enum on_slave_unavailable { ON_SLAVE_UNAVAILABLE_FAIL, ON_SLAVE_UNAVAILABLE_DEGRADE };
enum on_full { ON_FULL_BLOCK, ON_FULL_DROP };
enum tls_server_mode { TLS_SERVER_AUTO, TLS_SERVER_DISABLED, TLS_SERVER_PERMISSIVE, TLS_SERVER_ENFORCING };
enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRE };
enum allow_other { ALLOW_OTHER_AUTO, ALLOW_OTHER_TRUE, ALLOW_OTHER_FALSE };

#define SETTING_PATH_BYTES 256

enum setting_type {
	SETTING_NUMBER,		/* decimal; with a suffix of its unit too: 64M, 5s, 3d */
	SETTING_SWITCH,		/* true | false */
	SETTING_CHOICE,		/* one word of a list */
	SETTING_TEXT,		/* one line without control characters */
};

enum setting_flag {
	SETTING_LIVE = 1,	/* may change while mounted (config/KEY is writable) */
	SETTING_IGNORED = 2,	/* accepted with a log line, has no effect in this version */
	SETTING_SECRET = 4,	/* not shown in config/ */
	SETTING_ROCKETMQ = 8 | SETTING_IGNORED,	/* has a meaning in RocketMQ alone */
	SETTING_REFUSED = 16 | SETTING_ROCKETMQ, /* and any value but the default makes a store of files
						  * that mean something else: MQ_EBADCONF */
};

struct settings {
#define NUMBER(key, ...) _Atomic int64_t key;
#define SWITCH(key, ...) _Atomic int key;	/* 0 or 1 */
#define CHOICE(key, ...) _Atomic int key;	/* one of an enum above */
#define TEXT(key, ...) char *_Atomic key;
#include "conf/settings.def"
	struct old_text *old_texts;	/* replaced while mounted */
};

/* One row of the table, for whoever lists or prints settings. */
struct setting {
	const char *key;
	enum setting_type type;
	unsigned flags;		/* enum setting_flag */
	const char *unit;	/* "bytes", "ms", "h", "%" ... or "" */
	const char *dflt;	/* the default, as text */
	int64_t min, max;	/* of a number */
	const char *const *words; /* of a choice, NULL-terminated */
	const char *help;	/* one line */
	size_t offset;		/* of the field in struct settings */
};

const struct setting *settings_table(size_t *ret_n);

/* The row of key, whatever its case and `_` and `-`, by its own name or another
 * it goes by (role, store, haMasterAddress, mapedFileSizeCommitLog ...); NULL
 * if there is none. */
const struct setting *setting_find(const char *key);

/* Is value valid for row?  MQ_EBADCONF with a note. */
int setting_check(const struct setting *row, const char *value, const char *where);

/* The values that row takes, for messages: "1 to 3600000 ms", "block or drop". */
void setting_allowed(const struct setting *row, char *buf, size_t size);

/* One value of a row that is no text, from text (false: it is not valid) and back.  A switch is 0
 * or 1, a choice the place of its word.  Also for rows of other tables: topics' and groups' config. */
bool setting_parse(const struct setting *row, const char *text, int64_t *ret_value);
int setting_print(const struct setting *row, int64_t value, char *buf, size_t size);

/* All defaults.  -ENOMEM.  settings_free() accepts what this has touched,
 * and zeroes. */
int settings_init(struct settings *s);
void settings_free(struct settings *s);

/* Set one key from text.  `where` names the source in messages ("-o",
 * "mqfs.conf:12").  MQ_EBADCONF with a note that says the key, the value,
 * and what is allowed, or for an unknown key the nearest known one; *s is as
 * it was then.  Before the mount only: texts are replaced. */
int settings_set(struct settings *s, const char *key, const char *value, const char *where);

/* The same for a mounted broker, in any thread: refuses what is not
 * SETTING_LIVE, and what settings_check() would refuse, but for a slave without a
 * master. */
int settings_change(struct settings *s, const char *key, const char *value, const char *where);

/* Read mqfs.conf (inih) or a RocketMQ .properties/broker.conf.  The file is
 * RocketMQ's if its name says so (*.properties, broker*.conf), or if a line
 * before any [section] has a SETTING_ROCKETMQ key.  There an unknown key is a
 * log line, in our own file it is MQ_EBADCONF; a RocketMQ file that names no storePathRootDir
 * means ~/store, as it does to RocketMQ; a bad value or a line that is
 * none is MQ_EBADCONF in both, with a note of file and line.  In mqfs.conf
 * [sections] are for the reader of the file only.  A later line wins.
 *
 * -errno when the file cannot be read, -EFBIG above 1 MiB. */
int settings_load(struct settings *s, const char *path);

/* The same from memory; name stands for the path. */
int settings_load_text(struct settings *s, const char *name, const char *text, size_t len);

/* Mount options: `key=value,switch,key=value`, a bare word being `true`, `\,`
 * a comma within a value (and `\\` a backslash).  A key that is no setting is
 * shown to other(arg, key, value), value NULL for a bare word, which says
 * whether it was its own; if not, or if other is NULL, it is MQ_EBADCONF as
 * in settings_set().  Empty words are skipped.  NULL for s: so are settings.  -ENOMEM. */
int settings_set_options(struct settings *s, const char *opts, const char *where,
			 bool (*other)(void *arg, const char *key, const char *value), void *arg);

/* The text of one setting, as settings_set() would take it.  Returns its
 * length (as snprintf). */
int settings_get(const struct settings *s, const struct setting *row, char *buf, size_t size);

/* After the last source, fill in what depends on this host and on other
 * settings: brokerName (host name), brokerIP1 (first IPv4 address that is not
 * a loopback's, else 127.0.0.1), haListenPort (listenPort + 1), brokerId (0
 * for a master, at least 1 for a slave), allowOther (true or false), and a maxMessageSize
 * that fits into a segment where it is the default (which is logged).  -ENOMEM. */
int settings_resolve(struct settings *s);

/* The most that a record needs beside its body: properties, topic, fixed fields, and the blank
 * record that ends a segment. */
#define RECORD_SPARE_BYTES (32767 + 127 + 128)

/* What cannot be checked one key at a time: MQ_EBADCONF with a note that
 * names both keys.  Call after settings_resolve(). */
int settings_check(const struct settings *s);

/* The settings as --help shows them: key, default, range, one line of help. */
void settings_print_help(FILE *out);

#endif
