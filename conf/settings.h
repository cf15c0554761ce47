/* settings.h - every setting, from one table.
 *
 * The table is conf/settings.def; from it come this struct, the parser, the
 * checks, --help, config/KEY in the mount and the reference part of
 * mqfs.conf(5).  Keys are RocketMQ's own names, and so are the fields.
 *
 * Numbers, switches and choices are atomics: whoever needs one reads it
 * where it is needed (`s->flushIntervalCommitLog`), so a change made while
 * mounted takes effect at the next use.  Texts are fixed once mounted.
 */
#ifndef MQFS_CONF_SETTINGS_H
#define MQFS_CONF_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum broker_role { ASYNC_MASTER, SYNC_MASTER, SLAVE };
enum flush_disk_type { ASYNC_FLUSH, SYNC_FLUSH };
enum on_slave_unavailable { ON_SLAVE_UNAVAILABLE_FAIL, ON_SLAVE_UNAVAILABLE_DEGRADE };

enum setting_type {
	SETTING_NUMBER,		/* decimal; with a unit of bytes also 4k, 64M, 1G */
	SETTING_SWITCH,		/* true | false */
	SETTING_CHOICE,		/* one word of a list */
	SETTING_TEXT,
};

enum setting_flag {
	SETTING_LIVE = 1,	/* may change while mounted (config/KEY is writable) */
	SETTING_IGNORED = 2,	/* known from RocketMQ; accepted, has no effect here */
	SETTING_SECRET = 4,	/* not shown in config/ */
};

struct settings {
#define NUMBER(key, ...) _Atomic int64_t key;
#define SWITCH(key, ...) _Atomic bool key;
#define CHOICE(key, ...) _Atomic int key;
#define TEXT(key, ...) char *key;
#include "conf/settings.def"
#undef NUMBER
#undef SWITCH
#undef CHOICE
#undef TEXT
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

/* The row of key, whatever its case and `_`; NULL if there is none. */
const struct setting *setting_find(const char *key);

/* All defaults.  -ENOMEM. */
int settings_init(struct settings *s);
void settings_free(struct settings *s);

/* Set one key from text.  `where` names the source in messages ("-o",
 * "mqfs.conf:12").  MQ_EBADCONF with a note that says the key, the value,
 * and what is allowed, or for an unknown key the nearest known one. */
int settings_set(struct settings *s, const char *key, const char *value, const char *where);

/* The same for a mounted broker: refuses what is not SETTING_LIVE. */
int settings_change(struct settings *s, const char *key, const char *value, const char *where);

/* Read mqfs.conf (inih) or a RocketMQ .properties/broker.conf: the file is
 * RocketMQ's if it says so by its name (*.properties, broker.conf) or has a
 * key that only RocketMQ knows in a line without a section; there an unknown
 * key is a log line, in our own file it is MQ_EBADCONF. */
int settings_load(struct settings *s, const char *path);

/* The text of one setting, as settings_set() would take it.  Returns its
 * length (as snprintf). */
int settings_get(const struct settings *s, const struct setting *row, char *buf, size_t size);

/* What cannot be checked one key at a time (a slave without master, segment
 * smaller than a message ...).  Call after the last source. */
int settings_check(const struct settings *s);

#endif
