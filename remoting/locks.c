#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "remoting/locks.h"

#define KEY_BYTES 300
#define LOOK_MS 1000			/* all locks are looked at no more often */

/* key: "GROUP/TOPIC/QUEUE", value: {"client": text, "until": number}. */
struct locks {
	json_t *table;
	int64_t looked_ms;		/* when all were looked at, for room */
};

int
locks_open(struct locks **ret)
{
	struct locks *l = calloc(1, sizeof(*l));

	if (l)
		l->table = json_object();
	if (!l || !l->table) {
		free(l);
		return -ENOMEM;
	}
	*ret = l;
	return MQ_OK;
}

void
locks_close(struct locks *l)
{
	if (!l)
		return;
	json_decref(l->table);
	free(l);
}

/* False: names that long are none. */
static bool
key_of(char key[KEY_BYTES], const char *group, const char *topic, int64_t queue_id)
{
	return snprintf(key, KEY_BYTES, "%s/%s/%" PRId64, group, topic, queue_id) < KEY_BYTES;
}

static void
forget_expired(struct locks *l, int64_t now_ms)
{
	const char *key;
	void *next;
	json_t *lock;

	if (l->looked_ms && now_ms < l->looked_ms + LOOK_MS)
		return;
	l->looked_ms = now_ms;
	json_object_foreach_safe(l->table, next, key, lock)
		if (json_integer_value(json_object_get(lock, "until")) <= now_ms)
			json_object_del(l->table, key);
}

bool
locks_take(struct locks *l, const char *group, const char *topic, int64_t queue_id, const char *client,
	   int64_t now_ms)
{
	char key[KEY_BYTES];
	json_t *lock;

	if (!key_of(key, group, topic, queue_id))
		return false;
	lock = json_object_get(l->table, key);
	if (lock && json_integer_value(json_object_get(lock, "until")) > now_ms &&
	    strcmp(json_string_value(json_object_get(lock, "client")), client) != 0)
		return false;
	if (!lock && json_object_size(l->table) >= LOCKS_MAX)
		forget_expired(l, now_ms);
	if (!lock && json_object_size(l->table) >= LOCKS_MAX)
		return false;
	lock = json_pack("{s:s, s:I}", "client", client, "until", (json_int_t)(now_ms + LOCKS_MS));
	return lock && json_object_set_new(l->table, key, lock) == 0;
}

void
locks_drop(struct locks *l, const char *group, const char *topic, int64_t queue_id, const char *client)
{
	char key[KEY_BYTES];
	const json_t *lock;

	if (!key_of(key, group, topic, queue_id))
		return;
	lock = json_object_get(l->table, key);
	if (lock && strcmp(json_string_value(json_object_get(lock, "client")), client) == 0)
		json_object_del(l->table, key);
}
