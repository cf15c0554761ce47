/* field.h - the fields of topic_conf and group_conf, as one table each.
 *
 * From a table come the JSON members of a record, the config file of the mount
 * (ini text) and its checks.  A field that has words is a word in both;
 * internal to this floor.
 */
#ifndef MQFS_OFFSETS_FIELD_H
#define MQFS_OFFSETS_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type {
	FIELD_I32,		/* also the enums and uid_t, gid_t, mode_t */
	FIELD_I64,
	FIELD_BOOL,
	FIELD_PERM,		/* an I32; as text letters */
	FIELD_SOME,		/* an I32; no member of the object where it is 0 */
};

struct field {
	const char *key;
	enum field_type type;
	size_t at;		/* of the member in its struct */
	int64_t min, max;	/* of a number */
	const char *const *words; /* instead of a number or a bool: its values in order, NULL-terminated */
	bool in_text;		/* shown in the config file */
};

/* Tables end with a NULL key. */
extern const struct field topic_fields[], group_fields[], owner_fields[];

/* Add every field of conf to object.  -1 without memory. */
int fields_to_json(const struct field *fields, const void *conf, json_t *object);

/* Take from object what it has.  MQ_ECORRUPT, noted: wrong type, out of range. */
int fields_from_json(const struct field *fields, const json_t *object, void *conf);

#endif
