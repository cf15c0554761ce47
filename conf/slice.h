/* slice.h - how long the kernel lets a thread run before another one has its turn.
 *
 * Of two threads that want a CPU the kernel runs the one with the shorter slice sooner, and
 * gives it no more time in all.  Kernels before 6.12 ignore it.  The layout is the kernel's
 * (sched_setattr(2), its first version), because headers of the system and of the kernel
 * cannot be included together.
 */
#ifndef MQFS_CONF_SLICE_H
#define MQFS_CONF_SLICE_H

#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define SLICE_LEAST_NS 100000

struct slice_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;		/* above 0: of a real-time class, which has no slices */
	uint64_t runtime_ns, deadline_ns, period_ns;
};

/* In nanoseconds; 0: the kernel does not tell, or the thread has none. */
static inline uint64_t
slice_of(pid_t thread)
{
	struct slice_attr attr = { .size = sizeof(attr) };
	int rc = (int)syscall(SYS_sched_getattr, thread, &attr, sizeof(attr), 0);

	return rc < 0 || attr.priority > 0 ? 0 : attr.runtime_ns;
}

/* Of the calling thread, and those that it starts. */
static inline void
slice_set(uint64_t ns)
{
	struct slice_attr attr = { .size = sizeof(attr) };

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 || attr.priority > 0)
		return;
	attr.runtime_ns = ns;
	(void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

#endif
