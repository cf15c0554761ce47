#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "conf/err.h"
#include "conf/scope.h"
#include "net/confine.h"
#include "net/link.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

int
confine_fds(int last)
{
	if (close_range((unsigned)last + 1, ~0u, 0) != 0)
		return err_note(-errno, "close_range: %m");
	return MQ_OK;
}

/* --- user and groups ---------------------------------------------------------------- */

/* The group that may read the log: see store/storedir.h. */
static bool
log_group(int commitlog_fd, gid_t *ret_gid)
{
	struct stat st;

	if (commitlog_fd < 0 || fstat(commitlog_fd, &st) != 0)
		return false;
	*ret_gid = st.st_gid;
	return true;
}

static int
become(const struct passwd *pw, int commitlog_fd)
{
	gid_t group;
	size_t n = log_group(commitlog_fd, &group) ? 1 : 0;

	if (setgroups(n, &group) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return err_note(-errno, "cannot become %s: %m", pw->pw_name);
	return MQ_OK;
}

/* Also those that a user has from systemd, or from the capabilities of a file. */
static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
	    syscall(SYS_capset, &head, none) != 0)
		return err_note(-errno, "cannot give up capabilities: %m");
	return MQ_OK;
}

int
confine_user(const char *user, int commitlog_fd)
{
	const struct passwd *pw;
	int rc;

	if (getuid() == 0 || geteuid() == 0) {
		if (!*user)
			user = DAEMON_USER;
		pw = getpwnam(user);
		if (!pw)
			return err_note(-ENOENT, "there is no user %s", user);
		if (pw->pw_uid == 0)
			return err_note(-EPERM, "user %s is root", user);
		rc = become(pw, commitlog_fd);
		if (rc != MQ_OK)
			return rc;
	}
	return drop_capabilities();
}

int
confine_limits(unsigned fds)
{
	const struct {
		int resource;
		rlim_t max;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_FSIZE, LINK_BLOB_MAX },	/* of memory, in blobs; Landlock is for files */
		{ RLIMIT_NPROC, 0 },
		{ RLIMIT_NOFILE, fds },
		{ RLIMIT_MEMLOCK, 0 },
		{ RLIMIT_MSGQUEUE, 0 },
	};

#ifndef MQFS_UNCONFINED
	for (size_t i = 0; i < LENGTH(limits); i++) {
		struct rlimit lim;

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &lim) != 0)
			return err_note(-errno, "getrlimit: %m");
		if (limits[i].max < lim.rlim_max)
			lim.rlim_max = limits[i].max;
		lim.rlim_cur = lim.rlim_max;
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &lim) != 0)
			return err_note(-errno, "setrlimit: %m");
	}
#else
	(void)limits;
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_note(-errno, "no_new_privs: %m");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return err_note(-errno, "end with the parent: %m");
	return MQ_OK;
}

/* --- Landlock --------------------------------------------------------------------------- */

/* All that version 1 knows; what later ones can forbid besides. */
#define LANDLOCK_V1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define LANDLOCK_V2 (1ull << 13)	/* link or rename elsewhere */
#define LANDLOCK_V3 (1ull << 14)	/* truncate */

static uint64_t
landlock_rights(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (version < 1)
		return 0;
	return LANDLOCK_V1 | (version >= 2 ? LANDLOCK_V2 : 0) | (version >= 3 ? LANDLOCK_V3 : 0);
}

static int
landlock_apply(uint64_t rights, int commitlog_fd)
{
	const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	const struct landlock_ruleset_attr attr = { .handled_access_fs = commitlog_fd < 0 ? rights & ~reading : rights };
	const struct landlock_path_beneath_attr log = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = commitlog_fd,
	};
	AUTO_CLOSE int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (rules < 0 ||
	    (commitlog_fd >= 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &log, 0) != 0) ||
	    syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		return err_note(-errno, "Landlock: %m");
	return MQ_OK;
}

int
confine_files(int commitlog_fd)
{
#ifndef MQFS_UNCONFINED
	uint64_t rights = landlock_rights();

	if (!rights)
		return err_note(-ENOSYS, "this kernel has no Landlock");
	return landlock_apply(rights, commitlog_fd);
#else
	(void)landlock_apply;
	(void)landlock_rights;
	return err_note(-ENOSYS, "this build does not use Landlock, file %d", commitlog_fd);
#endif
}

/* --- seccomp ------------------------------------------------------------------------------ */

#if defined(HAVE_SECCOMP) && !defined(MQFS_UNCONFINED)

#define INT 0xffffffff			/* all bits that the kernel looks at, of an int */
#define POINTER UINT64_MAX
#define SOCKET_TYPE (INT & ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC))

#define LOOP (CONFINE_SERVES | CONFINE_LISTENS | CONFINE_DIALS)
#define SERVES CONFINE_SERVES
#define LISTENS CONFINE_LISTENS
#define DIALS CONFINE_DIALS
#define RESOLVES CONFINE_RESOLVES
#define ALL (LOOP | RESOLVES)

#define CALL(roles, name) { roles, .call = SCMP_SYS(name) }
#define CALL_IF(roles, name, ...) { roles, .call = SCMP_SYS(name), .arg = { __VA_ARGS__ } }

/* A call, who needs it, and what its arguments must be for it to be allowed. */
static const struct allowed {
	unsigned roles;
	int call;
	struct {
		unsigned at;
		uint64_t mask, value;	/* mask 0: this argument does not matter */
	} arg[3];
} allowed[] = {
	/* the loop */
	CALL(LOOP, epoll_wait),
	CALL(LOOP, epoll_pwait),
	CALL(LOOP, epoll_ctl),
	CALL(ALL, clock_gettime),
	CALL(ALL, gettimeofday),

	/* the link */
	CALL_IF(SERVES, recvmsg, { 0, INT, LINK_SOCKET_FD }),
	CALL_IF(SERVES, sendmsg, { 0, INT, LINK_SOCKET_FD }),
	CALL(SERVES, memfd_create),
	CALL_IF(SERVES, fcntl, { 1, INT, F_GET_SEALS }),
	CALL_IF(SERVES, fcntl, { 1, INT, F_ADD_SEALS }),

	/* connections: an address given to sendto would be another way to connect */
	CALL_IF(LISTENS | DIALS, socket, { 0, INT, AF_INET }, { 1, SOCKET_TYPE, SOCK_STREAM }, { 2, INT, 0 }),
	CALL_IF(LISTENS | DIALS, socket, { 0, INT, AF_INET6 }, { 1, SOCKET_TYPE, SOCK_STREAM }, { 2, INT, 0 }),
	CALL(LISTENS, bind),
	CALL(LISTENS, listen),
	CALL(LISTENS, accept4),
	CALL(LISTENS, getsockname),
	CALL_IF(LISTENS, setsockopt, { 1, INT, SOL_SOCKET }, { 2, INT, SO_REUSEADDR }),
	CALL_IF(LISTENS | DIALS, setsockopt, { 1, INT, IPPROTO_TCP }, { 2, INT, TCP_NODELAY }),
	CALL(DIALS, connect),
	CALL_IF(DIALS, getsockopt, { 1, INT, SOL_SOCKET }, { 2, INT, SO_ERROR }),
	CALL_IF(LOOP, sendto, { 4, POINTER, 0 }),
	CALL(ALL, recvfrom),
	CALL(LOOP, readv),
	CALL(LOOP, sendfile),
	CALL(LOOP, shutdown),

	/* segments */
	CALL_IF(SERVES, openat, { 0, INT, LINK_COMMITLOG_FD }, { 2, INT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW }),
	CALL(ALL, read),
	CALL(ALL, pread64),
	CALL(ALL, close),
	CALL(ALL, fstat),
	CALL_IF(LOOP, newfstatat, { 3, INT, AT_EMPTY_PATH }),

	/* memory, without code */
	CALL(ALL, brk),
	CALL_IF(LOOP, mmap, { 2, PROT_EXEC, 0 }, { 3, MAP_ANONYMOUS, MAP_ANONYMOUS }),
	CALL_IF(LOOP, mprotect, { 2, PROT_EXEC, 0 }),
	CALL(ALL, mremap),
	CALL(ALL, munmap),
	CALL(ALL, madvise),
	CALL(ALL, futex),
	CALL(ALL, getrandom),

	/* names: files of configuration, libraries that they name, servers of every kind */
	CALL_IF(RESOLVES, openat, { 2, O_ACCMODE | O_CREAT | O_TRUNC | __O_TMPFILE, O_RDONLY }),
	CALL(RESOLVES, newfstatat),
	CALL(RESOLVES, statx),
	CALL(RESOLVES, access),
	CALL(RESOLVES, faccessat),
	CALL(RESOLVES, readlink),
	CALL(RESOLVES, readlinkat),
	CALL(RESOLVES, lseek),
	CALL(RESOLVES, mmap),
	CALL(RESOLVES, mprotect),
	CALL_IF(RESOLVES, socket, { 0, INT, AF_INET }, { 1, SOCKET_TYPE, SOCK_DGRAM }),
	CALL_IF(RESOLVES, socket, { 0, INT, AF_INET }, { 1, SOCKET_TYPE, SOCK_STREAM }),
	CALL_IF(RESOLVES, socket, { 0, INT, AF_INET6 }, { 1, SOCKET_TYPE, SOCK_DGRAM }),
	CALL_IF(RESOLVES, socket, { 0, INT, AF_INET6 }, { 1, SOCKET_TYPE, SOCK_STREAM }),
	CALL_IF(RESOLVES, socket, { 0, INT, AF_UNIX }, { 1, SOCKET_TYPE, SOCK_STREAM }),
	CALL_IF(RESOLVES, socket, { 0, INT, AF_NETLINK }),
	CALL(RESOLVES, connect),
	CALL(RESOLVES, bind),
	CALL(RESOLVES, getsockname),
	CALL(RESOLVES, getpeername),
	CALL(RESOLVES, getsockopt),
	CALL(RESOLVES, setsockopt),
	CALL(RESOLVES, sendto),
	CALL(RESOLVES, sendmsg),
	CALL(RESOLVES, sendmmsg),
	CALL(RESOLVES, recvmsg),
	CALL(RESOLVES, poll),
	CALL(RESOLVES, ppoll),
	CALL_IF(RESOLVES, ioctl, { 1, INT, FIONREAD }),
	CALL(RESOLVES, uname),
	CALL(RESOLVES, getuid),
	CALL(RESOLVES, geteuid),
	CALL_IF(RESOLVES, fcntl, { 1, INT, F_GETFL }),
	CALL_IF(RESOLVES, fcntl, { 1, INT, F_SETFL }),
	CALL_IF(RESOLVES, fcntl, { 1, INT, F_SETFD }),

	/* the end, and its last words */
	CALL(ALL, write),
	CALL(ALL, writev),
	CALL(ALL, rt_sigaction),
	CALL(ALL, rt_sigprocmask),
	CALL(ALL, rt_sigreturn),
	CALL(ALL, restart_syscall),
	CALL(ALL, getpid),
	CALL(ALL, gettid),
	CALL(ALL, exit),
	CALL(ALL, exit_group),
};

static int
allow(scmp_filter_ctx filter, const struct allowed *a)
{
	struct scmp_arg_cmp conditions[LENGTH(a->arg)];
	unsigned n = 0;

	for (size_t i = 0; i < LENGTH(a->arg); i++)
		if (a->arg[i].mask)
			conditions[n++] = (struct scmp_arg_cmp){
				.arg = a->arg[i].at, .op = SCMP_CMP_MASKED_EQ,
				.datum_a = a->arg[i].mask, .datum_b = a->arg[i].value,
			};
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, a->call, n, conditions);
}

/* abort(3) sends a signal to itself. */
static int
allow_abort(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp own[] = {
		{ .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid() },
		{ .arg = 2, .op = SCMP_CMP_EQ, .datum_a = SIGABRT },
	};

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), LENGTH(own), own);
}

int
confine_calls(unsigned roles)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = filter ? allow_abort(filter) : -ENOMEM;

	for (size_t i = 0; i < LENGTH(allowed) && rc == 0; i++)
		if (allowed[i].roles & roles)
			rc = allow(filter, &allowed[i]);
	if (rc == 0)
		rc = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return rc == 0 ? MQ_OK : err_note(rc, "seccomp: %m");
}

#else

int
confine_calls(unsigned roles)
{
	(void)roles;
	return err_note(-ENOSYS, "this build does not use seccomp");
}

#endif
