#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "net/fields.h"
#include "net/header.h"
#include "net/remoting.h"

#define FIRST_ROOM 4096
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *const languages[] = {
	"JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY",
	"OTHER", "HTTP", "GO", "PHP", "OMS", "RUST",
};

void
remoting_frame_clear(struct remoting_frame *f)
{
	free(f->remark);
	json_decref(f->ext);
	free(f->fields);
	free(f->memory);
	*f = (struct remoting_frame){ .code = 0 };
}

struct remoting_frame
remoting_response(const struct remoting_frame *to, int code)
{
	return (struct remoting_frame){
		.dialect = to->dialect, .code = code, .opaque = to->opaque, .flag = REMOTING_RESPONSE,
		.language = REMOTING_JAVA, .version = REMOTING_VERSION,
	};
}

struct remoting_frame
remoting_one_way(int code)
{
	return (struct remoting_frame){
		.code = code, .flag = REMOTING_ONE_WAY, .language = REMOTING_JAVA, .version = REMOTING_VERSION,
	};
}

const char *
remoting_language(int32_t language)
{
	bool known = language >= 0 && (size_t)language < LENGTH(languages);

	return languages[known ? language : REMOTING_OTHER];
}

/* --- the JSON header ------------------------------------------------------------------- */

/* Absent and null are 0. */
static int
get_int(const json_t *header, const char *name, int32_t *ret)
{
	const json_t *value = json_object_get(header, name);
	json_int_t number = json_integer_value(value);

	if (value && !json_is_null(value) && !json_is_integer(value))
		return err_note(MQ_ECORRUPT, "%s is no integer", name);
	if (number < INT32_MIN || number > INT32_MAX)
		return err_note(MQ_ECORRUPT, "%s is out of range", name);
	*ret = (int32_t)number;
	return MQ_OK;
}

/* NULL: none is said. */
static int32_t
language_of(const char *word)
{

	for (size_t i = 0; word && i < LENGTH(languages); i++)
		if (strcmp(word, languages[i]) == 0)
			return (int32_t)i;
	return REMOTING_OTHER;
}

static int
get_remark(const json_t *header, char **ret)
{
	const json_t *value = json_object_get(header, "remark");

	if (!value || json_is_null(value))
		return MQ_OK;
	if (!json_is_string(value))
		return err_note(MQ_ECORRUPT, "remark is no text");
	*ret = strdup(json_string_value(value));
	return *ret ? MQ_OK : -ENOMEM;
}

/* A text for a number or a switch. */
static int
add_field(json_t *ext, const char *name, json_t *value)
{
	AUTO_FREE char *text = NULL;

	if (json_is_null(value))
		return MQ_OK;
	if (json_is_string(value))
		return json_object_set(ext, name, value) == 0 ? MQ_OK : -ENOMEM;
	if (json_is_object(value) || json_is_array(value))
		return err_note(MQ_ECORRUPT, "extFields has a value that is no text");
	text = json_dumps(value, JSON_ENCODE_ANY);
	return text && json_object_set_new(ext, name, json_string(text)) == 0 ? MQ_OK : -ENOMEM;
}

static int
get_ext(const json_t *header, json_t **ret)
{
	json_t *fields = json_object_get(header, "extFields"), *value;
	const char *name;
	int rc = MQ_OK;

	if (!fields || json_is_null(fields))
		return MQ_OK;
	if (!json_is_object(fields))
		return err_note(MQ_ECORRUPT, "extFields is no object");
	*ret = json_object();
	if (!*ret)
		return -ENOMEM;
	json_object_foreach(fields, name, value)
		if (rc == MQ_OK)
			rc = add_field(*ret, name, value);
	return rc;
}

/* A simple header, without an object.  False: it is another one. */
static bool
json_cut(char *at, size_t len, bool (*cuts)(int code), struct remoting_frame *f)
{
	struct fields *fields = malloc(sizeof(*fields));
	struct header h;

	if (!fields || !header_cut(at, len, cuts, &h)) {
		free(fields);
		return false;
	}
	*fields = h.fields;
	f->fields = fields;
	f->code = h.code;
	f->opaque = h.opaque;
	f->flag = h.flag;
	f->version = h.version;
	f->language = language_of(*h.language ? h.language : NULL);
	return true;
}

static int
json_decode(char *at, size_t len, bool (*cuts)(int code), struct remoting_frame *f)
{
	json_auto_t *header = NULL;
	int rc;

	if (cuts && json_cut(at, len, cuts, f))
		return MQ_OK;
	header = json_loadb(at, len, 0, NULL);
	if (!json_is_object(header))
		return err_note(MQ_ECORRUPT, "a header that is no JSON object");
	rc = get_int(header, "code", &f->code);
	if (rc == MQ_OK)
		rc = get_int(header, "opaque", &f->opaque);
	if (rc == MQ_OK)
		rc = get_int(header, "flag", &f->flag);
	if (rc == MQ_OK)
		rc = get_int(header, "version", &f->version);
	if (rc == MQ_OK)
		rc = get_remark(header, &f->remark);
	if (rc == MQ_OK)
		rc = get_ext(header, &f->ext);
	f->language = language_of(json_string_value(json_object_get(header, "language")));
	return rc;
}

/* Texts of errors may come from anywhere; what is not UTF-8 is shown as `?`. */
static json_t *
remark_text(const char *remark)
{
	json_t *text = remark ? json_string(remark) : NULL;
	AUTO_FREE char *copy = remark && !text ? strdup(remark) : NULL;

	for (char *c = copy; c && *c; c++)
		if (*c & 0x80)
			*c = '?';
	return copy ? json_string(copy) : text;
}

/* Has it no character that a JSON text has another way? */
static bool
is_verbatim(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static bool
is_all_verbatim(const struct remoting_frame *f)
{
	for (size_t i = 0; i < f->fields->n; i++)
		if (!is_verbatim(f->fields->list[i].name) || !is_verbatim(f->fields->list[i].value))
			return false;
	return !f->remark || is_verbatim(f->remark);
}

/* What json_dumps() makes of such a frame, at `at`; returns where it ends. */
static char *
json_verbatim(const struct remoting_frame *f, char *at)
{
	at += sprintf(at, "{\"code\":%d,\"extFields\":{", (int)f->code);
	for (size_t i = 0; i < f->fields->n; i++) {
		const struct field *field = &f->fields->list[i];

		at = stpcpy(stpcpy(at, i > 0 ? ",\"" : "\""), field->name);
		at = stpcpy(stpcpy(stpcpy(at, "\":\""), field->value), "\"");
	}
	at += sprintf(at, "},\"flag\":%d,\"language\":\"%s\",\"opaque\":%d", (int)f->flag, remoting_language(f->language),
		      (int)f->opaque);
	if (f->remark)
		at = stpcpy(stpcpy(stpcpy(at, ",\"remark\":\""), f->remark), "\"");
	return at + sprintf(at, ",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":%d}", (int)f->version);
}

/* Members in the order in which RocketMQ has them, that of the alphabet. */
static char *
json_text(const struct remoting_frame *f)
{
	json_t *ext = f->fields ? fields_object(f->fields) : json_incref(f->ext);
	json_auto_t *header = json_pack("{s:i, s:o*, s:i, s:s, s:i, s:o*, s:s, s:i}", "code", f->code, "extFields", ext,
				   "flag", f->flag, "language", remoting_language(f->language),
				   "opaque", f->opaque, "remark", remark_text(f->remark),
				   "serializeTypeCurrentRPC", "JSON", "version", f->version);

	return header ? json_dumps(header, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
}

/* An encoder puts the header behind the room for a frame's head, with `more` bytes of room behind it. */
static int
json_encode(const struct remoting_frame *f, size_t more, char **ret, size_t *ret_len)
{
	bool verbatim = f->fields && is_all_verbatim(f);
	AUTO_FREE char *text = verbatim ? NULL : json_text(f);
	size_t size;
	char *bytes;

	if (!verbatim && !text)
		return err_note(-EINVAL, "a header that is no JSON");
	size = verbatim ? 256 + fields_list_bytes(f->fields) + (f->remark ? strlen(f->remark) : 0) : strlen(text);
	bytes = malloc(REMOTING_HEAD_BYTES + size + more);
	if (!bytes)
		return -ENOMEM;
	if (verbatim)
		size = (size_t)(json_verbatim(f, bytes + REMOTING_HEAD_BYTES) - bytes - REMOTING_HEAD_BYTES);
	else
		memcpy(bytes + REMOTING_HEAD_BYTES, text, size);
	*ret = bytes;
	*ret_len = size;
	return MQ_OK;
}

/* --- the binary header --------------------------------------------------------------------- */

static void
take_remark(struct bytes *b, char **ret)
{
	size_t len = (size_t)bytes_get_i32(b);
	json_auto_t *text = len > 0 ? fields_take_text(b, len) : NULL;

	*ret = text ? strdup(json_string_value(text)) : NULL;
}

/* The fields as a list in the header itself.  False: not these. */
static bool
cut_fields(struct bytes *b, size_t len, struct remoting_frame *f)
{
	struct fields *fields = b->err == MQ_OK && len <= b->left ? malloc(sizeof(*fields)) : NULL;

	if (!fields || !fields_cut((char *)(uintptr_t)b->at, len, fields)) {
		free(fields);
		return false;
	}
	(void)bytes_take(b, len);
	f->fields = fields;
	return true;
}

static int
binary_decode(char *at, size_t len, bool (*cuts)(int code), struct remoting_frame *f)
{
	struct bytes b = bytes_over(at, len);
	size_t ext_len;

	f->code = bytes_get_i16(&b);
	f->language = bytes_get_i8(&b);
	f->version = bytes_get_i16(&b);
	f->opaque = bytes_get_i32(&b);
	f->flag = bytes_get_i32(&b);
	take_remark(&b, &f->remark);
	ext_len = (size_t)bytes_get_i32(&b);
	if (!cuts || !cuts(f->code) || !cut_fields(&b, ext_len, f))
		(void)fields_take(&b, ext_len, &f->ext);
	return b.err == MQ_OK ? MQ_OK : err_note(b.err, "a binary header that is none");
}

static int
binary_encode(const struct remoting_frame *f, size_t more, char **ret, size_t *ret_len)
{
	size_t remark_len = f->remark ? strlen(f->remark) : 0;
	size_t ext_len = f->fields ? fields_list_bytes(f->fields) : fields_bytes(f->ext);
	size_t len = 2 + 1 + 2 + 4 + 4 + 4 + remark_len + 4 + ext_len;
	char *bytes, *header, *at;

	if (ext_len >= REMOTING_FRAME_MAX || len >= REMOTING_FRAME_MAX || f->code != (int16_t)f->code)
		return err_note(-EMSGSIZE, "a header that no binary one can be");
	bytes = malloc(REMOTING_HEAD_BYTES + len + more);
	if (!bytes)
		return -ENOMEM;
	header = bytes + REMOTING_HEAD_BYTES;
	be16_put(header, (int16_t)f->code);
	header[2] = (char)f->language;
	be16_put(header + 3, (int16_t)f->version);
	be32_put(header + 5, f->opaque);
	be32_put(header + 9, f->flag);
	be32_put(header + 13, (int32_t)remark_len);
	at = bytes_put(header + 17, f->remark, remark_len);
	be32_put(at, (int32_t)ext_len);
	if (f->fields)
		fields_list_put(at + 4, f->fields);
	else
		fields_put(at + 4, f->ext);
	*ret = bytes;
	*ret_len = len;
	return MQ_OK;
}

/* --- frames ---------------------------------------------------------------------------------- */

static const struct {
	int (*decode)(char *at, size_t len, bool (*cuts)(int code), struct remoting_frame *f);
	int (*encode)(const struct remoting_frame *f, size_t more, char **ret, size_t *ret_len);
} dialects[] = {
	[REMOTING_JSON] = { json_decode, json_encode },
	[REMOTING_BINARY] = { binary_decode, binary_encode },
};

int
remoting_encode(const struct remoting_frame *f, char **ret, size_t *ret_len)
{
	AUTO_FREE char *bytes = NULL;
	size_t len = 0, body_len = f->body ? f->body_len : 0;
	int rc = dialects[f->dialect].encode(f, body_len, &bytes, &len);

	if (rc != MQ_OK)
		return rc;
	if (len > REMOTING_FRAME_MAX - REMOTING_HEAD_BYTES ||
	    f->body_len > REMOTING_FRAME_MAX - REMOTING_HEAD_BYTES - len)
		return err_note(-EMSGSIZE, "%zu bytes are more than a frame can hold", len + f->body_len);
	be32_put(bytes, (int32_t)(4 + len + f->body_len));
	be32_put(bytes + 4, (int32_t)((uint32_t)f->dialect << 24 | (uint32_t)len));
	(void)bytes_put(bytes + REMOTING_HEAD_BYTES + len, f->body, body_len);
	*ret = take_ptr(bytes);
	*ret_len = REMOTING_HEAD_BYTES + len + body_len;
	return MQ_OK;
}

/* --- receiving ----------------------------------------------------------------------------------- */

void
remoting_reader_clear(struct remoting_reader *r)
{
	free(r->memory);
	*r = (struct remoting_reader){ .cuts = r->cuts };
}

static enum remoting_dialect
dialect_of(const struct remoting_reader *r)
{
	return (enum remoting_dialect)r->head[4];
}

static size_t
header_len(const struct remoting_reader *r)
{
	return (uint32_t)be32_get(r->head + 4) & 0xffffff;
}

static int
check_head(struct remoting_reader *r)
{
	int32_t len = be32_get(r->head);

	if (len < 4 || len > REMOTING_FRAME_MAX - 4)
		return err_note(MQ_ECORRUPT, "a frame of %d bytes", (int)len);
	if (dialect_of(r) >= LENGTH(dialects))
		return err_note(MQ_ECORRUPT, "a header of dialect %d", (int)dialect_of(r));
	if (header_len(r) > REMOTING_HEADER_MAX || header_len(r) > (size_t)len - 4)
		return err_note(MQ_ECORRUPT, "a header of %zu bytes in a frame of %d", header_len(r),
				(int)len);
	r->size = (size_t)len - 4;
	return MQ_OK;
}

void *
remoting_reader_place(struct remoting_reader *r, size_t *ret_len)
{
	if (r->head_len < REMOTING_HEAD_BYTES) {
		*ret_len = REMOTING_HEAD_BYTES - r->head_len;
		return r->head + r->head_len;
	}
	if (r->len == r->room) {
		size_t room = r->room ? 2 * r->room : FIRST_ROOM;
		char *memory = realloc(r->memory, room < r->size ? room : r->size);

		if (!memory)
			return NULL;
		r->memory = memory;
		r->room = room < r->size ? room : r->size;
	}
	*ret_len = r->room - r->len;
	return r->memory + r->len;
}

static int
complete(struct remoting_reader *r, struct remoting_frame *ret)
{
	struct remoting_frame f = { .dialect = dialect_of(r) };
	char none[1] = "";
	int rc = dialects[f.dialect].decode(r->memory ? r->memory : none, header_len(r), r->cuts, &f);

	if (rc != MQ_OK) {
		remoting_frame_clear(&f);
		return rc;
	}
	f.header_len = header_len(r);
	f.body_len = r->size - header_len(r);
	f.body = f.body_len > 0 ? r->memory + header_len(r) : NULL;
	f.memory = take_ptr(r->memory);
	remoting_reader_clear(r);
	*ret = f;
	return MQ_OK;
}

int
remoting_reader_take(struct remoting_reader *r, size_t n, struct remoting_frame *ret)
{
	if (r->head_len < REMOTING_HEAD_BYTES) {
		r->head_len += n;
		if (r->head_len < REMOTING_HEAD_BYTES)
			return MQ_EEND;
		n = 0;
		if (check_head(r) != MQ_OK)
			return MQ_ECORRUPT;
	}
	r->len += n;
	return r->len == r->size ? complete(r, ret) : MQ_EEND;
}
