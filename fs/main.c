/* mount.mqfs: the broker.
 *
 *     arguments ──> mount point ──> fork ──> store ──> offsets ──> mount ──> serve
 *        1             32             2                  32                     │
 *                                                        the same, backwards <──┘
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "fs/ahead.h"
#include "fs/args.h"
#include "fs/closing.h"
#include "fs/handle.h"
#include "fs/keeper.h"
#include "fs/lanes.h"
#include "fs/locks.h"
#include "fs/mountpoint.h"
#include "fs/notices.h"
#include "fs/names.h"
#include "fs/open_queue.h"
#include "fs/pending.h"
#include "fs/remount.h"
#include "fs/role.h"
#include "fs/scrubbing.h"
#include "fs/searcher.h"
#include "fs/session.h"
#include "fs/supervise.h"
#include "remoting/service.h"
#include "repl/replication.h"
#include "store/file.h"
#include "store/mapped.h"
#include "store/snapshot.h"

/* As mount(8). */
enum exit_code {
	EXIT_USAGE = 1,
	EXIT_SYSTEM = 2,
	EXIT_MOUNT = 32,
};

#define LARGE_BYTES (256 << 10)	/* memory that is not kept when it is freed */
#define STORE_BUSY_WAIT_MS 5000
#define NETWORK_WAIT_MS 2000	/* for the daemons to say whether they listen */

static int
exit_code_of(int rc)
{
	if (rc == MQ_EBADCONF)
		return EXIT_USAGE;
	return rc == -ENOMEM || rc == -EMFILE ? EXIT_SYSTEM : EXIT_MOUNT;
}

static int
print_error(int rc, int code)
{
	fprintf(stderr, "mount.mqfs: %s\n", err_text(rc));
	return code;
}

/* --- help ---------------------------------------------------------------------- */

static const char usage[] =
	"usage: mount.mqfs [STORE] MOUNTPOINT [-o OPT[,OPT]...] [-fdhV]\n";

static void
print_help(void)
{
	fputs(usage, stdout);
	fputs("\n"
	      "  -f          stay in the foreground, log to stderr\n"
	      "  -d          trace every request (implies -f)\n"
	      "  -h, -V      this help; the version (also --help, --version)\n"
	      "  -o ro       read-only\n"
	      "  -o remount,ro, remount,rw  of what is mounted already\n"
	      "  -o conf=FILE, store=DIR, role=ROLE, master=HOST:PORT\n"
	      "\n"
	      "Settings, for -o or the file:\n", stdout);
	settings_print_help(stdout);
}

/* --- the process that started the daemon -------------------------------------------- */

/* The parent waits at the other end of a pipe, until one byte says that the mount is usable. */
struct starter {
	int fd;			/* -1: in the foreground */
	struct settings *settings;
	const struct args *args;
	const struct mount *mount;	/* in the broker */
};

static void
starter_close_stdio(const struct starter *starter)
{
	if (starter->fd < 0)
		return;
	if (freopen("/dev/null", "r", stdin) && freopen("/dev/null", "w", stdout))
		(void)!freopen("/dev/null", "w", stderr);
}

static void
starter_ready(void *arg)
{
	struct starter *starter = arg;

#ifdef HAVE_SYSTEMD
	sd_notify(0, "READY=1");
#endif
	if (starter->fd < 0)
		return;
	starter_close_stdio(starter);
	(void)!write(starter->fd, "!", 1);
	close(starter->fd);
	starter->fd = -1;
}

/* In the parent: wait for the byte, or for the exit code of a child that failed. */
static _Noreturn void
starter_wait(int fd, pid_t child)
{
	char byte;
	ssize_t n;
	int status;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	fprintf(stderr, "mount.mqfs: the daemon ended before it was mounted\n");
	_exit(EXIT_SYSTEM);
}

/* Close files that the caller had open: the daemon would hold their locks and pipes for as long as it serves. */
static void
inherited_files_close(int but_fd)
{
	if (but_fd > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)but_fd - 1, 0);
	close_range((unsigned)but_fd + 1, ~0u, 0);
}

/* Become a daemon; only the child returns. */
static int
daemonise(struct starter *starter)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_note(-errno, "pipe: %m");
	child = fork();
	if (child < 0)
		return err_note(-errno, "fork: %m");
	if (child > 0) {
		close(fds[1]);
		starter_wait(fds[0], child);
	}
	inherited_files_close(fds[1]);
	setsid();
	if (chdir("/") < 0)
		return err_note(-errno, "/: %m");
	starter->fd = fds[1];
	return MQ_OK;
}

/* --- serving --------------------------------------------------------------------------- */

/* A user's first program that keeps its state may have to make the directories for that (XDG base directories).
 * If this fails, opening the store says why. */
static void
make_state_home(const char *store)
{
	AUTO_FREE char *path = strdup(store);

	for (char *slash = path ? strchr(path + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
}

static int
broker_open(struct mount *m, const struct args *args)
{
	struct store_checkpoint cp = { 0 };
	int rc;

	if (args->in_state_home && !args->read_only)
		make_state_home(args->store);
	rc = storedir_open(args->store, m->settings->storePathCommitLog, args->read_only, STORE_BUSY_WAIT_MS,
			      &m->dir);
	if (rc != MQ_OK)
		return rc;
	m->has_dir = true;
	if (!m->read_only) {
		rc = storedir_begin(&m->dir);
		if (rc != MQ_OK)
			return rc;
	}
	rc = offsets_open(m->settings, &m->dir, &m->offsets, &cp);
	if (rc != MQ_OK)
		return rc;
	rc = store_open(m->settings, &m->dir, &cp, &m->store);
	store_checkpoint_free(&cp);
	if (rc != MQ_OK)
		return rc;
	rc = offsets_start(m->offsets, m->store);
	if (rc == MQ_OK)
		rc = snapshots_open(&m->dir, &m->snapshots);
	return rc;
}

static int
tree_open(struct mount *m)
{
	int rc;

	rc = handles_open(m, &m->handles);
	if (rc == MQ_OK)
		rc = names_open(m->estate, &m->names);
	if (rc == MQ_OK)
		rc = closing_open(m, &m->closing);
	if (rc == MQ_OK)
		rc = ahead_open(m, open_queue_fill, &m->ahead);
	if (rc == MQ_OK)
		rc = locks_open(m, &m->locks);
	if (rc == MQ_OK)
		rc = lanes_open(&m->lanes);
	if (rc == MQ_OK)
		rc = searcher_open(m, open_queue_read_on, &m->searcher);
	if (rc == MQ_OK)
		rc = pending_open(m, &m->pending);
	if (rc == MQ_OK)
		rc = keeper_open(m, &m->keeper);
	return rc;
}

/* The end of the tree: waiting requests are answered, processes with open files get
 * errors, and their unfinished messages are stored. */
static void
tree_close(struct mount *m)
{
	notices_close(m->notices);
	keeper_close(m->keeper);
	if (m->searcher)		/* before pending_close(), which may still hand reads over to it */
		searcher_end(m->searcher);
	if (m->pending)
		pending_close(m->pending);
	m->pending = NULL;
	searcher_close(m->searcher);
	locks_end(m->locks);
	session_unmount(m);
	scrubbing_end(m);
	ahead_close(m->ahead);
	m->ahead = NULL;
	handles_close(m);
	locks_close(m->locks);
	lanes_close(m->lanes);
	names_close(m->names);
	m->names = NULL;
	closing_close(m->closing);
}

/* `abort` goes away only if the broker was open, so that a crash before it has been recovered from, and everything
 * has reached the disk. */
static int
broker_close(struct mount *m, bool was_open)
{
	int rc = MQ_OK;

	if (m->store && !m->read_only)
		rc = store_flush(m->store, mark_at(store_written(m->store)));
	if (m->offsets) {
		int closed = offsets_close(m->offsets);

		rc = rc == MQ_OK ? closed : rc;
	}
	store_close(m->store);
	snapshots_close(m->snapshots);
	if (was_open && !m->read_only && rc == MQ_OK)
		rc = storedir_end(&m->dir);
	if (m->has_dir)
		storedir_close(&m->dir);
	return rc;
}

static void
serve_ready(void *arg)
{
	struct starter *starter = arg;
	const struct mount *m = starter->mount;

	log_notice("%s is mounted on %s", starter->args->store, m->mountpoint);
	if (m->line->fd < 0) {
		starter_ready(starter);
		return;
	}
	starter_close_stdio(starter);
	lifeline_ready(m->line, session_heritable_fd(m));
}

static void
print_warnings(char *lines)
{
	char *line;

	while ((line = strsep(&lines, "\n")))
		if (*line)
			fprintf(stderr, "mount.mqfs: warning: %s\n", line);
}

/* A person who mounts in the background does not read the log: print what is already known to be
 * wrong with the network (a port in use) or with the store. */
static void
print_troubles(const struct mount *m, const struct starter *starter)
{
	struct replication_stats stats = { .trouble = "" };
	struct service_stats service = { .trouble = "" };

	if (starter->fd < 0)
		return;
	if (atomic_load(&m->wheel_waiting) > 0)
		fprintf(stderr, "mount.mqfs: warning: messages in RocketMQ's timer wheel are not delivered "
			"(mqfs(5), ROCKETMQ ON THE SAME STORE)\n");
	if (m->replication) {
		replication_wait_ready(m->replication, NETWORK_WAIT_MS);
		replication_stats(m->replication, &stats);
	}
	if (m->service) {
		service_wait_ready(m->service, NETWORK_WAIT_MS);
		service_stats(m->service, &service);
	}
	print_warnings(stats.trouble);
	print_warnings(service.trouble);
}

/* Start what appends beside open files: the network, and the delivery of messages that are due.  Before that, a
 * broker that inherits open files has found by the ends of their queues how much of a begun write is stored
 * (estate.h). */
static int
appends_begin(struct mount *m, const struct starter *starter)
{
	int rc = role_begin(m);

	if (rc == MQ_OK)
		rc = role_serve_network(m);
	if (rc == MQ_OK)
		rc = offsets_deliver(m->offsets);
	if (rc == MQ_OK)
		print_troubles(m, starter);
	return rc;
}

static int
serve_mounted(struct mount *m, struct starter *starter)
{
	struct session_conf conf = {
		.mount_options = starter->args->mount_options,
		.debug = starter->args->debug,
		.ready = serve_ready,
		.ready_arg = starter,
	};
	int rc = MQ_OK, sig = 0;

	/* The broker before this one may have left a dead mount.  A mount that is inherited is checked nowhere: its
	 * requests wait for this broker. */
	if (m->line->session_fd < 0)
		rc = mountpoint_check(m->mountpoint);
	if (rc == MQ_OK)
		rc = session_open(m, &conf);
	if (rc == MQ_OK)
		rc = appends_begin(m, starter);
	if (rc == MQ_OK)
		rc = scrubbing_begin(m);
	if (rc == MQ_OK)
		rc = notices_open(m, &m->notices);
	if (rc == MQ_OK)
		rc = session_run(m, &sig);
	if (rc == MQ_OK && sig)
		log_notice("%s: unmounting (%s)", m->mountpoint, strsignal(sig));
	else if (rc == MQ_OK)
		log_notice("%s was unmounted", m->mountpoint);
	return rc;
}

static int
serve_until_end(struct mount *m, struct starter *starter)
{
	int rc = broker_open(m, starter->args), closed;
	bool was_open = rc == MQ_OK;

	if (rc == MQ_OK)
		rc = tree_open(m);
	if (rc == MQ_OK)
		rc = serve_mounted(m, starter);
	if (rc != MQ_OK)
		print_error(rc, 0);
	tree_close(m);
	service_close(m->service);
	replication_close(m->replication);
	closed = broker_close(m, was_open);
	session_close(m);
	if (rc != MQ_OK)
		return exit_code_of(rc);
	if (closed != MQ_OK) {
		log_err("the last messages or changes did not reach the disk: %s", err_text(closed));
		return EXIT_SYSTEM;
	}
	return 0;
}

static int
serve(void *arg, struct lifeline *line)
{
	struct starter *starter = arg;
	struct settings *settings = starter->settings;
	struct mount m = {
		.settings = settings,
		.host = { .port = (int32_t)settings->listenPort },
		.mountpoint = starter->args->mountpoint,
		.read_only = starter->args->read_only,
		.started_ms = clock_wall_ms(),
		.line = line,
		.estate = line->estate,
		.uid = getuid(),
		.gid = getgid(),
	};
	int code;

	starter->mount = &m;
	m.master_given = *settings->master;
	inet_pton(AF_INET, settings->brokerIP1, m.host.addr);
	code = serve_until_end(&m, starter);
	lifeline_ended(line);
	return code;
}

/* --- main ----------------------------------------------------------------------------------- */

/* Threads inherit this: signals come to session_run() alone. */
static void
signals_prepare(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
}

/* Signals that must not end a broker: a closed connection is EPIPE, a write beyond RLIMIT_FSIZE is EFBIG, and
 * people send SIGUSR2 because it is a command for many daemons. */
static void
signals_ignore(void)
{
	static const int numbers[] = { SIGPIPE, SIGXFSZ, SIGUSR2 };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], SIG_IGN);
}

static void
files_limit_raise(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void
starter_setting(void *arg, const char *key, const char *value)
{
	struct starter *starter = arg;
	int rc = settings_change(starter->settings, key, value, "config");

	if (rc != MQ_OK)
		log_err("%s", err_text(rc));
}

static int
serve_supervised(struct starter *starter)
{
	const struct supervise_conf conf = {
		.mountpoint = starter->args->mountpoint,
		.serve = serve,
		.watchdog_s = &starter->settings->watchdog,
		.ready = starter_ready,
		.setting = starter_setting,
		.arg = starter,
	};

	return supervise(&conf);
}

static int
run(struct settings *settings, const struct args *args)
{
	struct starter starter = { .fd = -1, .settings = settings, .args = args };
	struct lifeline alone = { .fd = -1, .session_fd = -1 };
	int rc;

	if (args->remount) {
		rc = args->fake ? MQ_OK : remount(args, settings);
		return rc == MQ_OK ? 0 : print_error(rc, EXIT_MOUNT);
	}
	rc = mountpoint_check(args->mountpoint);
	if (rc != MQ_OK)
		return print_error(rc, EXIT_MOUNT);
	if (args->fake)
		return 0;
	if (!args->foreground) {
		rc = daemonise(&starter);
		if (rc != MQ_OK)
			return print_error(rc, EXIT_SYSTEM);
	}
	log_open("mount.mqfs", args->foreground ? LOG_TO_STDERR : LOG_TO_SYSLOG,
		 args->debug ? LOG_DEBUG : LOG_INFO);
	if (settings->watchdog && !settings->supervise)
		log_warn("watchdog does nothing without supervise");
	signals_prepare();
	files_limit_raise();
	return settings->supervise ? serve_supervised(&starter) : serve(&starter, &alone);
}

int
main(int argc, char **argv)
{
	struct settings settings;
	struct args args = { 0 };
	int rc, code = 0;

	/* A snapshot's buffers and those of readers go back to the system when they are freed.  Without
	 * this, glibc keeps ever larger ones in the arenas of their threads. */
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	signals_ignore();
	mapped_begin();
	file_umask();
	rc = settings_init(&settings);
	if (rc != MQ_OK)
		return print_error(rc, EXIT_SYSTEM);
	rc = args_parse(argc, argv, &settings, &args);
	if (rc != MQ_OK) {
		code = print_error(rc, rc == -ENOMEM ? EXIT_SYSTEM : EXIT_USAGE);
		if (rc == -EINVAL)
			fputs(usage, stderr);
	} else if (args.help) {
		print_help();
	} else if (args.version) {
		puts("mqfs " PACKAGE_VERSION);
	} else {
		code = run(&settings, &args);
	}
	args_free(&args);
	settings_free(&settings);
	return code;
}
