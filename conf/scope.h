/* scope.h - what ends with its block. */
#ifndef MQFS_CONF_SCOPE_H
#define MQFS_CONF_SCOPE_H

#include <stdlib.h>
#include <unistd.h>

static inline void
scope_free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void
scope_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* `AUTO_FREE char *text = NULL;`  freed at the end of the block */
#define AUTO_FREE __attribute__((cleanup(scope_free_ptr)))

/* `AUTO_CLOSE int fd = -1;`  closed at the end of the block */
#define AUTO_CLOSE __attribute__((cleanup(scope_close_fd)))

/* Give away what a scoped variable holds. */
static inline int
take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(p)                        \
	({                                 \
		__typeof__(p) taken = (p); \
		(p) = NULL;                \
		taken;                     \
	})

#endif
