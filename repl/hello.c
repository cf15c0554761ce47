#include "config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "net/values.h"
#include "repl/hello.h"

#define HELLO_VERSION 1
#define HELLO_ROOM ((size_t)4 << 20)	/* bytes of memory; all epochs that there can be take a quarter */

/* --- out --------------------------------------------------------------------------- */

static json_t *
epoch_json(const struct epoch *e)
{
	char id[EPOCH_ID_TEXT], by[EPOCH_ID_TEXT];

	epoch_id_print(e->id, id);
	epoch_id_print(e->by, by);
	return json_pack("{s:I, s:I, s:s, s:s}", "epoch", (json_int_t)e->number, "start", (json_int_t)e->start.byte,
			 "id", id, "by", by);
}

static json_t *
epochs_json(const struct epochs *epochs)
{
	json_t *list = json_array();

	for (size_t i = 0; i < epochs->n; i++)
		if (json_array_append_new(list, epoch_json(&epochs->list[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* Add the optional members.  Takes the object over. */
static json_t *
with_more(json_t *object, const struct hello *h)
{
	char text[EPOCH_ID_TEXT];
	json_auto_t *via = json_array();
	int rc = object && via ? 0 : -1;

	epoch_id_print(h->instance, text);
	if (rc == 0)
		rc = json_object_set_new(object, "instance", json_string(text));
	for (size_t i = 0; rc == 0 && i < h->via.n; i++) {
		epoch_id_print(h->via.ids[i], text);
		rc = json_array_append_new(via, json_string(text));
	}
	if (rc == 0)
		rc = json_object_set(object, "via", via);
	if (rc == 0 && h->unlogged)
		rc = json_object_set_new(object, "unlogged", json_true());
	if (rc == 0 && h->unsynced)
		rc = json_object_set_new(object, "unsynced", json_true());
	if (rc == 0 && h->tail.from.byte < h->tail.to.byte)
		rc = json_object_set_new(object, "tail", json_pack("{s:I, s:I, s:I}",
					 "from", (json_int_t)h->tail.from.byte, "to", (json_int_t)h->tail.to.byte,
					 "crc", (json_int_t)h->tail.crc));
	if (rc == 0)
		return object;
	json_decref(object);
	return NULL;
}

char *
hello_encode(const struct hello *h, size_t *ret_len)
{
	char store_id[EPOCH_ID_TEXT];
	json_auto_t *object = NULL;
	char *text;

	epoch_id_print(h->store_id, store_id);
	object = json_pack("{s:i, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:o, s:s}",
			   "v", HELLO_VERSION, "program", h->program, "cluster", h->cluster,
			   "brokerName", h->broker_name, "brokerId", (json_int_t)h->broker_id, "role", h->role,
			   "storeId", store_id, "segment", (json_int_t)h->segment_bytes,
			   "begin", (json_int_t)h->begin.byte, "end", (json_int_t)h->end.byte,
			   "epochs", epochs_json(&h->epochs), "trouble", h->trouble);
	object = with_more(object, h);
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	if (text)
		*ret_len = strlen(text);
	return text;
}

/* --- in ------------------------------------------------------------------------------ */

static bool
take_text(const char *from, char *to, size_t size)
{
	size_t len = strlen(from);

	if (len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)from[i] < ' ' || from[i] == 0x7f)	/* it will stand in a log line */
			return false;
	memcpy(to, from, len + 1);
	return true;
}

static bool
take_epoch(const json_t *object, struct epoch *ret)
{
	json_int_t number, start;
	const char *id, *by;

	if (json_unpack((json_t *)object, "{s:I, s:I, s:s, s:s}", "epoch", &number, "start", &start,
			"id", &id, "by", &by) != 0)
		return false;
	ret->number = number;
	ret->start = MQ_POS(start);
	return epoch_id_parse(id, ret->id) && epoch_id_parse(by, ret->by);
}

/* The list is the caller's also when it cannot be. */
static bool
take_epochs(const json_t *array, struct epochs *ret)
{
	size_t n = json_array_size(array);

	if (n > EPOCHS_MAX)
		return false;
	ret->list = calloc(n + 1, sizeof(*ret->list));
	for (size_t i = 0; ret->list && i < n; i++)
		if (!take_epoch(json_array_get(array, i), &ret->list[i]))
			return false;
	ret->n = ret->list ? n : 0;
	return ret->list && epochs_ok(ret);
}

static bool
take_via(const json_t *array, struct hello_via *ret)
{
	size_t n = json_array_size(array);

	if (n > HELLO_VIA_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *id = json_string_value(json_array_get(array, i));

		if (!id || !epoch_id_parse(id, ret->ids[i]))
			return false;
	}
	ret->n = n;
	return true;
}

static bool
take_tail(const json_t *object, struct hello_tail *ret)
{
	json_int_t from, to, crc;

	if (json_unpack((json_t *)object, "{s:I, s:I, s:I}", "from", &from, "to", &to, "crc", &crc) != 0 ||
	    from < 0 || to <= from || crc < 0 || crc > UINT32_MAX)
		return false;
	*ret = (struct hello_tail){ MQ_POS(from), MQ_POS(to), (uint32_t)crc };
	return true;
}

/* The optional members; one that is there must be valid. */
static bool
take_more(const json_t *object, struct hello *h)
{
	const json_t *unlogged = json_object_get(object, "unlogged"), *unsynced = json_object_get(object, "unsynced");
	const json_t *instance = json_object_get(object, "instance");
	const json_t *via = json_object_get(object, "via"), *tail = json_object_get(object, "tail");

	h->unlogged = json_is_true(unlogged);
	h->unsynced = json_is_true(unsynced);
	return (!unlogged || json_is_boolean(unlogged)) && (!unsynced || json_is_boolean(unsynced)) &&
	       (!instance || (json_is_string(instance) &&
			      epoch_id_parse(json_string_value(instance), h->instance))) &&
	       (!via || (json_is_array(via) && take_via(via, &h->via))) && (!tail || take_tail(tail, &h->tail));
}

static bool
take(const json_t *object, struct hello *h)
{
	const char *program, *cluster, *name, *role, *store_id, *trouble = "";
	json_int_t id, segment, begin, end;
	json_t *epochs;
	int version;

	if (json_unpack((json_t *)object, "{s:i, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:o, s?s}",
			"v", &version, "program", &program, "cluster", &cluster, "brokerName", &name,
			"brokerId", &id, "role", &role, "storeId", &store_id, "segment", &segment,
			"begin", &begin, "end", &end, "epochs", &epochs, "trouble", &trouble) != 0 ||
	    version != HELLO_VERSION || id < 0 || segment <= 0 || begin < 0 || end < begin)
		return false;
	h->broker_id = id;
	h->segment_bytes = segment;
	h->begin = MQ_POS(begin);
	h->end = MQ_POS(end);
	return take_text(program, h->program, sizeof(h->program)) &&
	       take_text(cluster, h->cluster, sizeof(h->cluster)) &&
	       take_text(name, h->broker_name, sizeof(h->broker_name)) &&
	       take_text(role, h->role, sizeof(h->role)) &&
	       take_text(trouble, h->trouble, sizeof(h->trouble)) &&
	       take_more(object, h) && epoch_id_parse(store_id, h->store_id) && json_is_array(epochs) &&
	       take_epochs(epochs, &h->epochs);
}

int
hello_decode(const void *values, size_t len, struct hello *ret_hello)
{
	struct hello h = { .epochs = { NULL, 0 } };
	json_auto_t *object = NULL;
	int rc = values_take(values, len, HELLO_ROOM, &object);

	if (rc != MQ_OK)
		return rc;
	if (!take(object, &h)) {
		hello_free(&h);
		return err_note(MQ_ECORRUPT, "a hello that cannot be");
	}
	*ret_hello = h;
	return MQ_OK;
}

void
hello_free(struct hello *h)
{
	free(h->epochs.list);
	h->epochs = (struct epochs){ NULL, 0 };
}

/* --- about them ------------------------------------------------------------------------ */

bool
hello_is_slave(const struct hello *h)
{
	return strcmp(h->role, HELLO_SLAVE) == 0;
}

bool
hello_is(const struct hello *h, const unsigned char instance[HELLO_ID_BYTES])
{
	return memcmp(h->instance, instance, HELLO_ID_BYTES) == 0;
}

bool
hello_follows(const struct hello *h, const unsigned char instance[HELLO_ID_BYTES])
{
	for (size_t i = 0; i < h->via.n; i++)
		if (memcmp(h->via.ids[i], instance, HELLO_ID_BYTES) == 0)
			return true;
	return false;
}

void
hello_via(const struct hello *h, struct hello_via *ret)
{
	struct hello_via via = { .n = 1 };

	memcpy(via.ids[0], h->instance, HELLO_ID_BYTES);
	for (size_t i = 0; i < h->via.n && via.n < HELLO_VIA_MAX; i++)
		memcpy(via.ids[via.n++], h->via.ids[i], HELLO_ID_BYTES);
	*ret = via;
}

bool
hello_tails_differ(const struct hello *a, const struct hello *b)
{
	return a->tail.from.byte < a->tail.to.byte && a->tail.from.byte == b->tail.from.byte &&
	       a->tail.to.byte == b->tail.to.byte && a->tail.crc != b->tail.crc;
}
