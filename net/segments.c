#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/daemon.h"
#include "net/segments.h"

static void
shut(struct segment_fd *s)
{
	if (s->until_ms)
		close(s->fd);
	s->until_ms = 0;
}

/* Its file has been removed. */
static bool
is_nameless(const struct segment_fd *s)
{
	struct stat st;

	return fstat(s->fd, &st) != 0 || st.st_nlink == 0;
}

/* The one of that segment, else the one that is open for longest, or not open. */
static struct segment_fd *
place_of(struct segments *list, int64_t base)
{
	struct segment_fd *place = &list->list[0];

	for (size_t i = 0; i < SEGMENTS_KEPT; i++) {
		struct segment_fd *s = &list->list[i];

		if (s->until_ms && s->base == base)
			return s;
		if (s->until_ms < place->until_ms)
			place = s;
	}
	return place;
}

int
segments_find(struct daemon *d, int64_t base, int *ret_fd)
{
	struct segment_fd *s = place_of(&d->segments, base);
	char name[32];

	if (s->until_ms && (s->base != base || d->now_ms >= s->until_ms || is_nameless(s)))
		shut(s);
	if (!s->until_ms) {
		snprintf(name, sizeof(name), "%020" PRId64, base);
		s->fd = openat(d->commitlog_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (s->fd < 0)
			return err_note(-errno, "commitlog/%s: %m", name);
		s->base = base;
		s->until_ms = d->now_ms + SEGMENTS_KEPT_MS;
	}
	*ret_fd = s->fd;
	return MQ_OK;
}

int64_t
segments_tick(struct daemon *d)
{
	int64_t next = 0;

	for (size_t i = 0; i < SEGMENTS_KEPT; i++) {
		struct segment_fd *s = &d->segments.list[i];

		if (d->now_ms >= s->until_ms)
			shut(s);
		next = earlier(next, s->until_ms);
	}
	return next;
}
