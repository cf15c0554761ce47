#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/number.h"
#include "net/request.h"

int
answer_refuse(struct answer *a, int code, const char *fmt, ...)
{
	va_list ap;

	a->code = code;
	va_start(ap, fmt);
	vsnprintf(a->remark, sizeof(a->remark), fmt, ap);
	va_end(ap);
	return MQ_OK;
}

void
answer_clear(struct answer *a)
{
	json_decref(a->ext);
	free(a->body);
	*a = (struct answer){ .code = ANSWER_SUCCESS };
}

const char *
ext_get(const json_t *ext, const char *name)
{
	return json_string_value(json_object_get(ext, name));
}

const char *
ext_text(const json_t *ext, const char *name)
{
	const char *text = ext_get(ext, name);

	return text ? text : "";
}

bool
ext_is_true(const json_t *ext, const char *name, bool absent)
{
	const char *text = ext_get(ext, name);

	return text ? strcmp(text, "true") == 0 : absent;
}

bool
ext_number(const json_t *ext, const char *name, int64_t min, int64_t max, int64_t *ret)
{
	return text_number(ext_text(ext, name), min, max, ret);
}

int
ext_print(json_t *ext, const char *name, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return json_object_set_new(ext, name, json_string(text)) == 0 ? MQ_OK : -ENOMEM;
}

int
answer_number(struct answer *a, const char *name, int64_t number)
{
	a->ext = json_object();
	return ext_print(a->ext, name, "%" PRId64, number);
}
