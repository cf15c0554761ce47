#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "net/link.h"
#include "net/shared.h"
#include "net/start.h"

#define FIRST_FREE_FD (LINK_RING_FD + 1)
#define ENV_MAX 6			/* variables that a daemon may be given */

/* --- which program ------------------------------------------------------------ */

/* Of a build tree: DIR/fs/mount.mqfs has DIR/repl/mqrepld; nothing installed looks like that. */
static bool
beside_us(const struct start_what *what, char *path, size_t size)
{
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	for (int cut = 0; cut < 2 && len > 0; cut++) {
		self[len] = '\0';
		char *slash = strrchr(self, '/');

		if (!slash)
			return false;
		*slash = '\0';
		len = slash - self;
	}
	if (len <= 0 || (size_t)snprintf(path, size, "%s/%s", self, what->beside) >= size)
		return false;
	return access(path, X_OK) == 0;
}

static const char *
find_program(const struct start_what *what, char *path, size_t size)
{
	const char *named = secure_getenv(what->env);

	if (named && *named)
		return named;
	return beside_us(what, path, size) ? path : what->installed;
}

/* --- what it gets ---------------------------------------------------------------- */

/* A copy of fd above the numbers that descriptors have in the child. */
static int
out_of_the_way(int fd, int *ret_fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);

	if (copy < 0)
		return err_note(-errno, "dup: %m");
	*ret_fd = copy;
	return MQ_OK;
}

/* The standard files of whoever mounted are not mqrepld's: a caller that reads our output
 * to its end would wait for mqrepld's end.  Only the terminal of a mount in the
 * foreground gets what a crash prints.  fds: the link, the commit log's directory, the ring. */
static int
plan_files(posix_spawn_file_actions_t *files, const int fds[3])
{
	int rc;

	rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (rc == 0 && !log_is_on_stderr())
		rc = posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = posix_spawn_file_actions_adddup2(files, fds[i], LINK_SOCKET_FD + i);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(files, FIRST_FREE_FD);
	return -rc;
}

/* No signal is blocked or ignored, and a ^C on the mount's terminal is not for it. */
static int
plan_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setsigmask(attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(attr, &all);
	if (rc == 0)
		rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						    POSIX_SPAWN_SETSID);
	return -rc;
}

/* No variables of the mount: they would control libraries in a process that talks to the
 * network.  A build with sanitizers or gcov passes on theirs. */
static void
plan_environment(char **env)
{
#ifdef MQFS_UNCONFINED
	static const char *const kept[] = { "ASAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS=",
					    "UBSAN_OPTIONS=", "GCOV_PREFIX=", "GCOV_PREFIX_STRIP=" };

	for (size_t i = 0; i < ENV_MAX; i++)
		for (char **e = environ; e && *e; e++)
			if (text_begins(*e, kept[i])) {
				*env++ = *e;
				break;
			}
#endif
	*env = NULL;
}

static int
spawn(const struct start_what *what, const char *program, const int fds[3], pid_t *ret_pid)
{
	char *const argv[] = { (char *)(uintptr_t)what->name, NULL };
	char *env[ENV_MAX + 1];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	rc = plan_files(&files, fds);
	if (rc == MQ_OK)
		rc = plan_signals(&attr);
	plan_environment(env);
	if (rc == MQ_OK)
		rc = -posix_spawn(ret_pid, program, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return rc == MQ_OK ? MQ_OK : err_note(rc, "%s: %m", program);
}

/* The child gets the descriptors in `theirs` as LINK_SOCKET_FD and the numbers behind it. */
static int
spawn_with(const struct start_what *what, const char *program, const int theirs[3], pid_t *ret_pid)
{
	int fds[3] = { -1, -1, -1 };
	int rc = MQ_OK;

	for (int i = 0; i < 3 && rc == MQ_OK; i++)
		rc = out_of_the_way(theirs[i], &fds[i]);
	if (rc == MQ_OK)
		rc = spawn(what, program, fds, ret_pid);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return rc;
}

int
start_daemon(const struct start_what *what, const char *program, int commitlog_fd, pid_t *ret_pid,
	     int *ret_link_fd, void **ret_ring)
{
	AUTO_CLOSE int ours = -1;
	AUTO_CLOSE int theirs = -1;
	AUTO_CLOSE int ring_fd = -1;
	char path[4200];
	int pair[2], rc;
	void *ring = NULL;

	if (!program)
		program = find_program(what, path, sizeof(path));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return err_note(-errno, "link: %m");
	ours = pair[0];
	theirs = pair[1];
	rc = shared_make("mqfs-ring", LINK_RING_BYTES, SHARED_THEIRS, &ring_fd, &ring);
	if (rc != MQ_OK)
		return rc;
	rc = spawn_with(what, program, (const int[]){ theirs, commitlog_fd, ring_fd }, ret_pid);
	if (rc != MQ_OK) {
		munmap(ring, LINK_RING_BYTES);
		return rc;
	}
	*ret_link_fd = take_fd(&ours);
	*ret_ring = ring;
	return MQ_OK;
}
