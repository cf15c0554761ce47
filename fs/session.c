#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/uio.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "fs/handle.h"
#include "fs/mountpoint.h"
#include "fs/ops.h"
#include "fs/session.h"
#include "fs/supervise.h"
#include "fs/workers.h"

struct session {
	struct session_conf conf;
	int ended_fd;			/* eventfd: a worker has seen the end */
	_Atomic bool ready;		/* INIT was answered */
	uint64_t init_unique;
	bool offers_passthrough;
	bool offers_resend;
	bool inherited;			/* the connection of a broker that died */

	struct lock backings_lock;
	LIST_HEAD(, backing) backings;	/* what the kernel reads by itself */
};

/* --- the request being served --------------------------------------------------- */

static _Thread_local struct {
	uint64_t unique;
	uint64_t poll;
	pid_t pid;
} current;

static void
current_set(const unsigned char *buf, size_t len)
{
	struct kernel_in_header head;
	struct kernel_poll_in in;

	if (len < sizeof(head))
		return;
	memcpy(&head, buf, sizeof(head));
	current.unique = head.unique;
	current.pid = (pid_t)head.pid;
	if (head.opcode != KERNEL_OP_POLL || len < sizeof(head) + sizeof(in))
		return;
	memcpy(&in, buf + sizeof(head), sizeof(in));
	current.poll = in.poll;
}

uint64_t
session_request(void)
{
	return current.unique & ~KERNEL_RESENT;
}

bool
session_is_resent(void)
{
	return (current.unique & KERNEL_RESENT) != 0;
}

pid_t
session_caller(void)
{
	return current.pid;
}

uint64_t
session_poll_name(void)
{
	return current.poll;
}

/* --- INIT ---------------------------------------------------------------------
 *
 * libfuse 3.14 does not know passthrough nor HANDLE_KILLPRIV_V2, so the answer to
 * INIT is completed on its way out.  Nothing else is sent before it is answered,
 * so these run alone.
 */

static bool
init_look(struct session *s, const unsigned char *buf, size_t len)
{
	struct kernel_in_header head;
	struct kernel_init_in in;

	if (len < sizeof(head) + sizeof(in))
		return false;
	memcpy(&head, buf, sizeof(head));
	memcpy(&in, buf + sizeof(head), sizeof(in));
	if (head.opcode != KERNEL_OP_INIT)
		return false;
	s->init_unique = head.unique;
	s->offers_passthrough = (in.flags & KERNEL_INIT_EXT) && (in.flags2 & KERNEL_INIT2_PASSTHROUGH);
	s->offers_resend = (in.flags & KERNEL_INIT_EXT) && (in.flags2 & KERNEL_INIT2_HAS_RESEND);
	return true;
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

	if (n <= 0)
		return n;
	current_set(buf, (size_t)n);
	err_clear();
	if (!atomic_load_explicit(&m->serving->ready, memory_order_relaxed) &&
	    init_look(m->serving, buf, (size_t)n) && m->estate && (size_t)n <= sizeof(m->estate->init)) {
		memcpy(m->estate->init, buf, (size_t)n);	/* the kernel does not send it to the next broker */
		m->estate->init_len = (size_t)n;
	}
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
	if (s->inherited) {		/* the broker before this one has sent the answer */
		atomic_store(&s->ready, true);
		return (ssize_t)(iov[0].iov_len + iov[1].iov_len);
	}
	n = writev(fd, iov, count);
	if (n > 0) {
		atomic_store(&s->ready, true);
		s->conf.ready(s->conf.ready_arg);
	}
	return n;
}

/* --- passthrough ------------------------------------------------------------------------ */

/* A file that the kernel reads by itself while it is open. */
struct backing {
	LIST_ENTRY(backing) entry;
	fuse_ino_t ino;
	int32_t id;
	int64_t opens;
};

static struct backing *
backing_of(const struct session *s, fuse_ino_t ino)
{
	struct backing *b;

	MUST_HOLD(&s->backings_lock);
	LIST_FOREACH(b, &s->backings, entry)
		if (b->ino == ino)
			return b;
	return NULL;
}

static struct backing *
backing_add(struct session *s, fuse_ino_t ino, int32_t id)
{
	struct backing *b = malloc(sizeof(*b));

	MUST_HOLD(&s->backings_lock);
	if (!b)
		return NULL;
	*b = (struct backing){ .ino = ino, .id = id };
	LIST_INSERT_HEAD(&s->backings, b, entry);
	return b;
}

static struct backing *
backing_make(struct mount *m, fuse_ino_t ino, int fd)
{
	struct kernel_backing_map map = { .fd = fd };
	int id = ioctl(fuse_session_fd(m->session), KERNEL_BACKING_OPEN, &map);
	struct backing *b = id > 0 ? backing_add(m->serving, ino, id) : NULL;

	MUST_HOLD(&m->serving->backings_lock);
	if (id > 0 && !b)
		ioctl(fuse_session_fd(m->session), KERNEL_BACKING_CLOSE, &id);
	return b;
}

int
passthrough_open(struct mount *m, fuse_ino_t ino, int fd, int32_t *ret_backing_id)
{
	struct backing *b;

	if (!m->passthrough)
		return -EOPNOTSUPP;
	LOCKED(&m->serving->backings_lock);
	b = backing_of(m->serving, ino);
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
	struct backing *b;
	uint32_t id = (uint32_t)backing_id;

	if (backing_id <= 0)
		return;
	LOCKED(&m->serving->backings_lock);
	LIST_FOREACH(b, &m->serving->backings, entry)
		if (b->id == backing_id)
			break;
	if (!b || --b->opens > 0)
		return;
	LIST_REMOVE(b, entry);
	free(b);
	ioctl(fuse_session_fd(m->session), KERNEL_BACKING_CLOSE, &id);
}

/* The kernel still reads these files for open files of the dead broker. */
static int
backings_inherit(struct mount *m)
{
	LOCKED(&m->serving->backings_lock);
	for (uint32_t i = 0; i < atomic_load(&m->estate->n_files); i++) {
		const struct estate_file *f = &m->estate->files[i];

		if (f->used && f->backing_id > 0 && !backing_of(m->serving, f->ino) &&
		    !backing_add(m->serving, f->ino, f->backing_id))
			return -ENOMEM;
	}
	return MQ_OK;
}

/* --- mounting ------------------------------------------------------------------- */

/* libfuse's log lines; while this thread mounts, they are the reason of a failure. */
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

/* `where` is the mount point, or /dev/fd/N for a connection that is inherited. */
static int
session_connect(struct mount *m, const char *where)
{
	static const struct fuse_custom_io io = { .writev = session_writev, .read = session_read };

	int rc;

	if (fuse_session_mount(m->session, where) != 0)		/* noted, unless it was fusermount3 that failed */
		return err_is_noted(-EIO) ? -EIO : err_note(-EIO, "%s: not mounted: fusermount3 has said why, or is "
							    "not installed", where);
	rc = fuse_session_custom_io(m->session, &io, fuse_session_fd(m->session));
	return rc == MQ_OK ? MQ_OK : err_note(rc, "libfuse %s: fuse_session_custom_io: %m (3.18 and later have it "
					      "only if built with -Denable-custom-io=true)", fuse_pkgversion());
}

/* Process the INIT request that a dead broker has answered. */
static int
init_again(struct mount *m)
{
	struct fuse_buf buf = { .mem = m->estate->init, .size = m->estate->init_len };

	init_look(m->serving, m->estate->init, m->estate->init_len);
	fuse_session_process_buf(m->session, &buf);
	return m->serving->ready ? MQ_OK : err_note(-EIO, "the connection cannot be inherited");
}

static int
session_inherit(struct mount *m)
{
	char path[32];
	int rc;

	m->serving->inherited = true;
	snprintf(path, sizeof(path), "/dev/fd/%d", m->line->session_fd);
	rc = session_connect(m, path);
	if (rc == MQ_OK)
		rc = init_again(m);
	if (rc == MQ_OK)
		rc = backings_inherit(m);
	nodes_inherit(m);
	return rc == MQ_OK ? handles_inherit(m) : rc;
}

int
session_heritable_fd(const struct mount *m)
{
	return m->serving->offers_resend && m->estate && m->estate->init_len ? fuse_session_fd(m->session) : -1;
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
		rc = m->line->session_fd >= 0 ? session_inherit(m) : session_connect(m, m->mountpoint);
	mounting = false;
	return rc;
}

/* Unmount a connection that libfuse has not mounted itself: close it first, as libfuse does, because unmounting
 * may send requests that nobody would answer. */
static void
inherited_unmount(struct mount *m)
{
	struct pollfd connection = { .fd = fuse_session_fd(m->session) };
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool gone = poll(&connection, 1, 0) == 1 && (connection.revents & POLLERR);

	if (null >= 0)
		dup3(null, connection.fd, O_CLOEXEC);
	if (!gone && mountpoint_detach(m->mountpoint) != MQ_OK)
		log_err("%s", err_text(-EBUSY));
}

void
session_unmount(struct mount *m)
{
	if (!m->session)
		return;
	lifeline_let_go(m->line);
	if (m->serving->inherited)
		inherited_unmount(m);
	else
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
	lock_destroy(&s->backings_lock);
	free(s);
	m->serving = NULL;
}

/* --- requests that a dead broker has not answered ----------------------------------------------- */

/* ENODEV is no error here: it was unmounted meanwhile, and the workers will end. */
static int
notify_kernel(struct mount *m, const void *notice, size_t len)
{
	if (write(fuse_session_fd(m->session), notice, len) < 0 && errno != ENODEV)
		return err_note(-errno, "asking the kernel for unanswered requests: %m");
	return MQ_OK;
}

/* Ask the kernel to send unanswered requests again; it sends them before all others.  Processes that poll are
 * woken, so that they send their POLL again. */
static int
ask_again(struct mount *m)
{
	const struct kernel_out_header resend = { .len = sizeof(resend), .error = KERNEL_NOTIFY_RESEND };
	int rc = notify_kernel(m, &resend, sizeof(resend));

	for (uint32_t i = 0; i < atomic_load(&m->estate->n_files) && rc == MQ_OK; i++) {
		const struct estate_file *f = &m->estate->files[i];
		const struct kernel_notify_poll news = {
			.head = { .len = sizeof(news), .error = KERNEL_NOTIFY_POLL },
			.poll = f->poll,
		};

		if (f->used && f->poll)
			rc = notify_kernel(m, &news, sizeof(news));
	}
	return rc;
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

/* SIGUSR1 interrupts a worker's read(2), see workers.c. */
static void
on_sigusr1(int sig)
{
	(void)sig;
}

int
session_run(struct mount *m, int *ret_signal)
{
	struct sigaction interrupt = { .sa_handler = on_sigusr1 };
	AUTO_CLOSE int signal_fd = -1;
	sigset_t ends;
	int rc;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigaction(SIGUSR1, &interrupt, NULL);
	signal_fd = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signal_fd < 0)
		return err_note(-errno, "signalfd: %m");
	rc = m->serving->inherited ? ask_again(m) : MQ_OK;
	if (rc == MQ_OK)
		rc = workers_start(m, m->serving->ended_fd);
	if (rc == MQ_OK && m->serving->inherited)
		m->serving->conf.ready(m->serving->conf.ready_arg);
	if (rc == MQ_OK)
		rc = wait_for_end(m->serving, signal_fd, ret_signal);
	workers_end(m);
	return rc;
}
