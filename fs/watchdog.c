#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/scope.h"
#include "fs/watchdog.h"

int
watchdog_pause_ms(int64_t limit_s)
{
	return limit_s > 0 ? (int)(limit_s * 1000 / WATCHDOG_LOOKS) : -1;
}

/* Do requests wait in the kernel's queue?  None do when the mount is gone. */
static bool
requests_wait(int session_fd)
{
	struct pollfd requests = { .fd = session_fd, .events = POLLIN };

	return poll(&requests, 1, 0) == 1 && (requests.revents & POLLIN);
}

/* proc(5): "PID (NAME) STATE ...", where NAME may be anything. */
static char
thread_state(int task_fd, const char *tid)
{
	char path[300], text[512];
	const char *name_end;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/stat", tid);
	AUTO_CLOSE int fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	name_end = strrchr(text, ')');
	return name_end && name_end[1] == ' ' ? name_end[2] : '\0';
}

/* What /proc says of its threads. */
enum threads {
	THREADS_RUN,
	THREADS_STOPPED,	/* all of them, by a signal */
	THREADS_HELD_UP,	/* one of them, by a disk or a debugger; or /proc cannot be read */
};

static enum threads
threads_look(pid_t broker)
{
	enum threads found = THREADS_STOPPED;
	struct dirent *e;
	char path[64];
	DIR *task;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)broker);
	task = opendir(path);
	if (!task)
		return THREADS_HELD_UP;
	while (found != THREADS_HELD_UP && (e = readdir(task)))
		if (e->d_name[0] != '.') {
			char state = thread_state(dirfd(task), e->d_name);

			if (state == 'D' || state == 't')
				found = THREADS_HELD_UP;
			else if (state != 'T')
				found = THREADS_RUN;
		}
	closedir(task);
	return found;
}

/* Compare each worker's beat with that of the last look.  *ret_longest: the number of looks that have found the
 * slowest request being served.  Returns whether any worker has begun or ended a request. */
static bool
beats_look(struct watchdog *w, const struct estate_beat *beats, int *ret_longest)
{
	bool moves = false;

	*ret_longest = 0;
	for (size_t i = 0; i < ESTATE_BEATS; i++) {
		uint64_t n = atomic_load(&beats[i].n);

		w->serving[i] = n % 2 == 1 && n == w->beats[i] ? w->serving[i] + 1 : 0;
		*ret_longest = w->serving[i] > *ret_longest ? w->serving[i] : *ret_longest;
		moves |= n != w->beats[i];
		w->beats[i] = n;
	}
	return moves;
}

int
watchdog_look(struct watchdog *w, pid_t broker, int session_fd, const struct estate_beat *beats)
{
	enum threads threads = threads_look(broker);
	bool moves;
	int looks;

	moves = beats_look(w, beats, &looks);
	if (threads == THREADS_HELD_UP) {
		memset(w->serving, 0, sizeof(w->serving));
		w->waiting = w->stopped = 0;
		return 0;
	}
	w->waiting = !moves && requests_wait(session_fd) ? w->waiting + 1 : 0;
	w->stopped = threads == THREADS_STOPPED ? w->stopped + 1 : 0;
	w->why = "it has not got on with a request";
	if (w->waiting > looks) {
		looks = w->waiting;
		w->why = "it has taken no request, though some wait";
	}
	if (w->stopped >= looks) {
		looks = w->stopped;
		w->why = "it was stopped";
	}
	return looks / WATCHDOG_LOOKS;
}
