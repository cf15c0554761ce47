#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/err.h"
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
