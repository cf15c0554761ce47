#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "conf/err.h"
#include "fs/scratch.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void
scratch_free(void *arg)
{
	struct scratch *s = arg;

	free(s->run);
	free(s->body);
	free(s->out);
	free(s->held);
	free(s->waiting);
	free(s->ends);
	batch_free(&s->batch);
	free(s);
}

static void
make_key(void)
{
	MUST(pthread_key_create(&key, scratch_free) == 0);
}

struct scratch *
scratch_get(void)
{
	struct scratch *s;

	pthread_once(&once, make_key);
	s = pthread_getspecific(key);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (s && pthread_setspecific(key, s) != 0) {
		free(s);
		return NULL;
	}
	return s;
}

void
scratch_drop(void)
{
	struct scratch *s;

	pthread_once(&once, make_key);
	s = pthread_getspecific(key);
	if (!s)
		return;
	MUST(pthread_setspecific(key, NULL) == 0);
	scratch_free(s);
}

int
scratch_grow(unsigned char **buf, size_t *size, size_t want)
{
	unsigned char *grown;

	if (*size >= want)
		return MQ_OK;
	grown = malloc(want);
	if (!grown)
		return -ENOMEM;
	free(*buf);
	*buf = grown;
	*size = want;
	return MQ_OK;
}
