#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "conf/err.h"
#include "net/request.h"
#include "remoting/refusal.h"

bool
refuse(struct refusal *r, int code, const char *fmt, ...)
{
	va_list args;

	r->code = code;
	va_start(args, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, args);
	va_end(args);
	return false;
}

/* A Java producer goes to another broker with 1, 14, 16 and 17, and not with 13. */
static int
code_of(int rc)
{
	switch (rc) {
	case -EMSGSIZE:
	case -EINVAL:
		return ANSWER_MESSAGE_ILLEGAL;
	case -ENOSPC:
	case -EIO:
	case -EROFS:
	case MQ_EROLE:
	case MQ_ENOSLAVE:
	case MQ_ECLOSED:
		return ANSWER_SERVICE_NOT_AVAILABLE;
	case -ESTALE:
	case -ENOENT:
		return ANSWER_TOPIC_NOT_EXIST;
	case -EPERM:
	case -EACCES:
		return ANSWER_NO_PERMISSION;
	default:
		return ANSWER_SYSTEM_ERROR;
	}
}

bool
refuse_rc(struct refusal *r, int rc)
{
	return refuse(r, code_of(rc), "%s", err_text(rc));
}

void
refusal_put(const struct refusal *r, struct ring_completion *c)
{
	c->code = r->code;
	snprintf(c->remark, sizeof(c->remark), "%s", r->why);
}
