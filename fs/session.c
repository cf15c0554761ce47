#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <time.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "fs/kernel.h"
#include "fs/ops.h"
#include "fs/session.h"

#define KICK_MS 20

struct backing;

struct session {
	struct session_conf conf;
	pthread_t *workers;
	size_t n_workers;
	int ended_fd;			/* eventfd: a worker has seen the end */
	_Atomic bool ready;		/* INIT was answered */
	uint64_t init_unique;
	bool offers_passthrough;

	struct lock backings_lock;
	struct backing *backings;	/* what the kernel reads by itself */
};

/* --- INIT ---------------------------------------------------------------------
 *
 * libfuse 3.14 does not know passthrough nor HANDLE_KILLPRIV_V2, so the answer to
 * INIT is completed on its way out.  Nothing else is sent before it is answered,
 * so these run alone.
 */

static void
init_look(struct session *s, const unsigned char *buf, size_t len)
{
	struct kernel_in_header head;
	struct kernel_init_in in;

	if (len < KERNEL_INIT_IN_AT + sizeof(in))
		return;
	memcpy(&head, buf, sizeof(head));
	memcpy(&in, buf + KERNEL_INIT_IN_AT, sizeof(in));
	if (head.opcode != KERNEL_OP_INIT)
		return;
	s->init_unique = head.unique;
	s->offers_passthrough = (in.flags & KERNEL_INIT_EXT) && (in.flags2 & KERNEL_INIT2_PASSTHROUGH);
}

static bool
init_is_answer(const struct session *s, const struct iovec *iov, int count)
{
	const struct kernel_out_header *head = iov[0].iov_base;

	return count == 2 && head->unique == s->init_unique && head->error == 0 &&
	       iov[1].iov_len == sizeof(struct kernel_init_out);
}

static void
init_complete(struct mount *m, struct iovec *body)
{
	struct kernel_init_out *out = body->iov_base;

	out->flags |= KERNEL_HANDLE_KILLPRIV_V2;
	m->passthrough = m->serving->offers_passthrough && geteuid() == 0;
	if (!m->passthrough)
		return;
	out->flags |= KERNEL_INIT_EXT;
	out->flags2 |= KERNEL_INIT2_PASSTHROUGH;
	out->max_stack_depth = 1;
}

static ssize_t
session_read(int fd, void *buf, size_t size, void *arg)
{
	struct mount *m = arg;
	ssize_t n = read(fd, buf, size);

	if (n > 0 && !atomic_load_explicit(&m->serving->ready, memory_order_relaxed))
		init_look(m->serving, buf, (size_t)n);
	return n;
}

static ssize_t
session_writev(int fd, struct iovec *iov, int count, void *arg)
{
	struct mount *m = arg;
	struct session *s = m->serving;
	ssize_t n;

	if (atomic_load_explicit(&s->ready, memory_order_relaxed) || !init_is_answer(s, iov, count))
		return writev(fd, iov, count);
	init_complete(m, &iov[1]);
	n = writev(fd, iov, count);
	if (n > 0) {
		atomic_store(&s->ready, true);
		s->conf.ready(s->conf.ready_arg);
	}
	return n;
}

/* --- mounting ------------------------------------------------------------------- */

/* What libfuse has to say: while mounting, the reason of a failure. */
static _Thread_local bool mounting;

static void
session_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (mounting)
		err_note(-EIO, "%s", text);
	else
		log_line((int)level, "%s", text);
}

static int
session_new(struct mount *m, const struct session_conf *conf)
{
	char *argv[] = {
		(char *)"mqfs", (char *)"-o", (char *)conf->mount_options, (char *)(conf->debug ? "-d" : NULL),
	};
	struct fuse_args args = FUSE_ARGS_INIT(conf->debug ? 4 : 3, argv);

	m->session = fuse_session_new(&args, &mqfs_ops, sizeof(mqfs_ops), m);
	fuse_opt_free_args(&args);
	return m->session ? MQ_OK : -EIO;
}

static int
session_mount(struct mount *m)
{
	static const struct fuse_custom_io io = { .writev = session_writev, .read = session_read };

	if (fuse_session_mount(m->session, m->mountpoint) != 0)
		return -EIO;
	return fuse_session_custom_io(m->session, &io, fuse_session_fd(m->session));
}

int
session_open(struct mount *m, const struct session_conf *conf)
{
	struct session *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	lock_init(&s->backings_lock, RANK_TABLE);
	s->ended_fd = eventfd(0, EFD_CLOEXEC);
	m->serving = s;
	fuse_set_log_func(session_log);
	mounting = true;
	err_clear();
	rc = session_new(m, conf);
	if (rc == MQ_OK)
		rc = session_mount(m);
	mounting = false;
	return rc;
}

void
session_unmount(struct mount *m)
{
	if (m->session)
		fuse_session_unmount(m->session);
}

void
session_close(struct mount *m)
{
	struct session *s = m->serving;

	if (m->session)
		fuse_session_destroy(m->session);
	m->session = NULL;
	if (!s)
		return;
	if (s->ended_fd >= 0)
		close(s->ended_fd);
	free(s->workers);
	lock_destroy(&s->backings_lock);
	free(s);
	m->serving = NULL;
}

/* --- workers ---------------------------------------------------------------------- */

static void *
worker_main(void *arg)
{
	struct mount *m = arg;
	struct fuse_buf buf = { 0 };
	uint64_t one = 1;

	while (!fuse_session_exited(m->session)) {
		int n = fuse_session_receive_buf(m->session, &buf);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		fuse_session_process_buf(m->session, &buf);
	}
	free(buf.mem);
	fuse_session_exit(m->session);
	if (write(m->serving->ended_fd, &one, sizeof(one)) < 0)
		log_err("session: %s", strerror(errno));
	return NULL;
}

static int
worker_start(struct mount *m, size_t cpu)
{
	struct session *s = m->serving;
	pthread_attr_t attr;
	cpu_set_t one;
	int err;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
	err = pthread_create(&s->workers[s->n_workers], &attr, worker_main, m);
	pthread_attr_destroy(&attr);
	if (err)
		return err_note(-err, "worker thread: %m");
	s->n_workers++;
	return MQ_OK;
}

static int
workers_start(struct mount *m)
{
	struct session *s = m->serving;
	cpu_set_t cpus;
	int rc = MQ_OK;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return err_note(-errno, "sched_getaffinity: %m");
	s->workers = calloc((size_t)CPU_COUNT(&cpus), sizeof(*s->workers));
	if (!s->workers)
		return -ENOMEM;
	for (size_t cpu = 0; cpu < CPU_SETSIZE && rc == MQ_OK; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			rc = worker_start(m, cpu);
	return rc;
}

static void
kicked(int sig)
{
	(void)sig;
}

/* Out of read(2), and again: the signal may come just before it goes in. */
static void
worker_end(pthread_t worker)
{
	struct timespec until;

	do {
		pthread_kill(worker, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += KICK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
	} while (pthread_timedjoin_np(worker, NULL, &until) == ETIMEDOUT);
}

static void
workers_end(struct mount *m)
{
	struct session *s = m->serving;

	fuse_session_exit(m->session);
	for (size_t i = 0; i < s->n_workers; i++)
		worker_end(s->workers[i]);
	s->n_workers = 0;
}

/* --- until it ends ------------------------------------------------------------------- */

static int
wait_for_end(const struct session *s, int signal_fd, int *ret_signal)
{
	struct pollfd fds[] = {
		{ .fd = s->ended_fd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return err_note(-errno, "poll: %m");
	*ret_signal = 0;
	if ((fds[1].revents & POLLIN) && read(signal_fd, &info, sizeof(info)) == sizeof(info))
		*ret_signal = (int)info.ssi_signo;
	return MQ_OK;
}

int
session_run(struct mount *m, int *ret_signal)
{
	struct sigaction kick = { .sa_handler = kicked };
	AUTO_CLOSE int signal_fd = -1;
	sigset_t ends;
	int rc;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigaction(SIGUSR1, &kick, NULL);
	signal_fd = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signal_fd < 0)
		return err_note(-errno, "signalfd: %m");
	rc = workers_start(m);
	if (rc == MQ_OK)
		rc = wait_for_end(m->serving, signal_fd, ret_signal);
	workers_end(m);
	return rc;
}

/* --- passthrough ------------------------------------------------------------------------ */

/* A file that the kernel reads by itself, as long as it is open. */
struct backing {
	struct backing *next;
	fuse_ino_t ino;
	int32_t id;
	int64_t opens;
};

/* Called with the lock. */
static struct backing *
backing_make(struct mount *m, fuse_ino_t ino, int fd)
{
	struct kernel_backing_map map = { .fd = fd };
	struct backing *b = calloc(1, sizeof(*b));
	int id;

	if (!b)
		return NULL;
	id = ioctl(fuse_session_fd(m->session), KERNEL_BACKING_OPEN, &map);
	if (id <= 0) {
		free(b);
		return NULL;
	}
	*b = (struct backing){ .next = m->serving->backings, .ino = ino, .id = id };
	m->serving->backings = b;
	return b;
}

int
passthrough_open(struct mount *m, fuse_ino_t ino, int fd, int32_t *ret_backing_id)
{
	struct backing *b;

	if (!m->passthrough)
		return -EOPNOTSUPP;
	LOCKED(&m->serving->backings_lock);
	for (b = m->serving->backings; b && b->ino != ino; b = b->next)
		;
	if (!b)
		b = backing_make(m, ino, fd);
	if (!b)
		return -EOPNOTSUPP;
	b->opens++;
	*ret_backing_id = b->id;
	return MQ_OK;
}

void
passthrough_close(struct mount *m, int32_t backing_id)
{
	struct backing **at, *b;
	uint32_t id = (uint32_t)backing_id;

	if (backing_id <= 0)
		return;
	LOCKED(&m->serving->backings_lock);
	for (at = &m->serving->backings; *at && (*at)->id != backing_id; at = &(*at)->next)
		;
	b = *at;
	if (!b || --b->opens > 0)
		return;
	*at = b->next;
	free(b);
	ioctl(fuse_session_fd(m->session), KERNEL_BACKING_CLOSE, &id);
}
