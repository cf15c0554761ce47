#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/log.h"

static _Thread_local struct {
	int rc;
	char text[512];
} note;

static const struct {
	int rc;
	int as_errno;
	const char *text;
} codes[] = {
	{ MQ_ECLOSED, EIO, "closing" },
	{ MQ_ECORRUPT, EIO, "corrupt data" },
	{ MQ_EEND, EIO, "nothing more" },
	{ MQ_EBLANK, EIO, "end of segment" },
	{ MQ_EGONE, ESTALE, "no longer retained" },
	{ MQ_EBADCONF, EINVAL, "bad setting" },
	{ MQ_ENOSLAVE, EHOSTDOWN, "no slave is in sync" },
	{ MQ_EROLE, EROFS, "not a master" },
	{ MQ_ENOREAD, EREMOTE, "reads are not served here" },
	{ MQ_ELATER, EAGAIN, "it takes longer" },
};

int
err_note(int rc, const char *fmt, ...)
{
	char text[sizeof(note.text)];	/* the last note may be among the arguments */
	va_list ap;
	int saved = errno;

	if (rc < 0)
		errno = err_to_errno(rc);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(note.text, text, sizeof(text));
	note.rc = rc;
	errno = saved;
	return rc;
}

bool
err_is_noted(int rc)
{
	return note.rc == rc && note.text[0];
}

const char *
err_text(int rc)
{
	if (err_is_noted(rc))
		return note.text;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].rc == rc)
			return codes[i].text;
	return strerror(rc < 0 ? -rc : rc);
}

void
err_clear(void)
{
	note.rc = MQ_OK;
	note.text[0] = '\0';
}

int
err_to_errno(int rc)
{
	if (rc >= 0)
		return 0;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].rc == rc)
			return codes[i].as_errno;
	return rc > MQ_ECLOSED ? -rc : EIO;
}

void
err_panic(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(LOG_CRIT, "%s", text);
	abort();
}
