#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "remoting/senders.h"

#define BUCKETS 4096

/* A topic to which a connection has sent. */
struct sent {
	struct sent *next;		/* that it has sent to before */
	size_t topic_len, group_len;
	const char *group;		/* in texts, behind the topic */
	char texts[];
};

struct sender {
	struct sender *next;		/* same bucket */
	struct server_peer *peer;
	struct sent *sent;		/* the last one first */
};

struct senders {
	struct sender *buckets[BUCKETS];
};

int
senders_open(struct senders **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? MQ_OK : -ENOMEM;
}

static void
sender_free(struct sender *x)
{
	struct sent *e;

	while ((e = x->sent)) {
		x->sent = e->next;
		free(e);
	}
	free(x);
}

void
senders_close(struct senders *s)
{
	struct sender *x;

	if (!s)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while ((x = s->buckets[i])) {
			s->buckets[i] = x->next;
			sender_free(x);
		}
	free(s);
}

/* Where the sender of that connection is, or would be. */
static struct sender **
find(struct senders *s, const struct server_peer *p)
{
	struct sender **at = &s->buckets[(uintptr_t)p / sizeof(*p) % BUCKETS];

	while (*at && (*at)->peer != p)
		at = &(*at)->next;
	return at;
}

static bool
is_that(const struct sent *e, const char *topic, size_t topic_len, const char *group, size_t group_len)
{
	return e->topic_len == topic_len && e->group_len == group_len && memcmp(e->texts, topic, topic_len) == 0 &&
	       memcmp(e->group, group, group_len) == 0;
}

static struct sent *
sent_make(const char *topic, size_t topic_len, const char *group, size_t group_len)
{
	struct sent *e = calloc(1, sizeof(*e) + topic_len + group_len + 2);

	if (!e)
		return NULL;
	memcpy(e->texts, topic, topic_len);
	memcpy(e->texts + topic_len + 1, group, group_len);
	e->group = e->texts + topic_len + 1;
	e->topic_len = topic_len;
	e->group_len = group_len;
	return e;
}

/* Remove the topic from the list, and return it.  NULL: it is not there; the last of SENDERS_TOPICS is freed. */
static struct sent *
take_out(struct sender *x, const char *topic, size_t topic_len, const char *group, size_t group_len)
{
	struct sent **at = &x->sent, *e;

	for (int n = 1; *at && !is_that(*at, topic, topic_len, group, group_len); n++) {
		if (n == SENDERS_TOPICS) {
			free(*at);
			*at = NULL;
			return NULL;
		}
		at = &(*at)->next;
	}
	e = *at;
	if (e)
		*at = e->next;
	return e;
}

void
senders_note(struct senders *s, struct server_peer *p, const char *topic, size_t topic_len, const char *group,
	     size_t group_len)
{
	struct sender **at = find(s, p), *x = *at;
	struct sent *e;

	if (!x) {
		x = calloc(1, sizeof(*x));
		if (!x)
			return;
		x->peer = p;
		*at = x;
	}
	if (x->sent && is_that(x->sent, topic, topic_len, group, group_len))
		return;
	e = take_out(x, topic, topic_len, group, group_len);
	if (!e)
		e = sent_make(topic, topic_len, group, group_len);
	if (!e)
		return;
	e->next = x->sent;
	x->sent = e;
}

void
senders_gone(struct senders *s, const struct server_peer *p)
{
	struct sender **at = find(s, p), *x = *at;

	if (!x)
		return;
	*at = x->next;
	sender_free(x);
}

void
senders_each(const struct senders *s, const char *topic,
	     void (*each)(void *arg, struct server_peer *p, const char *group), void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct sender *x = s->buckets[i]; x; x = x->next)
			for (const struct sent *e = x->sent; e; e = e->next)
				if (strcmp(e->texts, topic) == 0)
					each(arg, x->peer, e->group);
}
