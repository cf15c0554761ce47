#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
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
#define MAX_FDS 512

int
confine_fds(int last)
{
	if (close_range((unsigned)last + 1, ~0u, 0) != 0)
		return err_note(-errno, "close_range: %m");
	return MQ_OK;
}

/* --- who we are --------------------------------------------------------------------- */

/* The log's group, if others may not read what it may. */
static bool
needs_group(int commitlog_fd, gid_t *ret_gid)
{
	struct stat st;

	if (commitlog_fd < 0 || fstat(commitlog_fd, &st) != 0 || (st.st_mode & S_IROTH))
		return false;
	*ret_gid = st.st_gid;
	return true;
}

int
confine_user(const char *user, int commitlog_fd)
{
	const struct passwd *pw;
	gid_t group;
	size_t n;

	if (geteuid() != 0)
		return MQ_OK;
	if (!*user)
		user = "nobody";
	pw = getpwnam(user);
	if (!pw)
		return err_note(-ENOENT, "there is no user %s", user);
	n = needs_group(commitlog_fd, &group) ? 1 : 0;
	if (setgroups(n, &group) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return err_note(-errno, "cannot become %s: %m", user);
	return MQ_OK;
}

int
confine_limits(void)
{
	static const struct {
		int resource;
		rlim_t max;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_FSIZE, LINK_BLOB_MAX },	/* of memory, in blobs; Landlock is for files */
		{ RLIMIT_NPROC, 0 },
		{ RLIMIT_NOFILE, MAX_FDS },
		{ RLIMIT_MEMLOCK, 0 },
		{ RLIMIT_MSGQUEUE, 0 },
	};

#ifndef MQFS_UNCONFINED
	for (size_t i = 0; i < LENGTH(limits); i++) {
		const struct rlimit lim = { .rlim_cur = limits[i].max, .rlim_max = limits[i].max };

		if (setrlimit((__rlimit_resource_t)limits[i].resource, &lim) != 0)
			return err_note(-errno, "setrlimit: %m");
	}
#else
	(void)limits;
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_note(-errno, "no_new_privs: %m");
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
	const struct landlock_ruleset_attr attr = { .handled_access_fs = rights };
	const struct landlock_path_beneath_attr log = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = commitlog_fd,
	};
	AUTO_CLOSE int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (rules < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &log, 0) != 0 ||
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

#define CALL(name) { .call = SCMP_SYS(name) }
#define CALL_IF(name, ...) { .call = SCMP_SYS(name), .arg = { __VA_ARGS__ } }

/* A call, and what its arguments must be for it to be allowed. */
static const struct allowed {
	int call;
	struct {
		unsigned at;
		uint64_t mask, value;	/* mask 0: this argument does not matter */
	} arg[2];
} allowed[] = {
	/* the loop */
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_ctl),
	CALL(clock_gettime),
	CALL(gettimeofday),

	/* sockets */
	CALL(accept4),
	CALL_IF(socket, { 0, 0xffffffff, AF_INET }, { 1, 0xff, SOCK_STREAM }),
	CALL_IF(socket, { 0, 0xffffffff, AF_INET6 }, { 1, 0xff, SOCK_STREAM }),
	CALL(bind),
	CALL(listen),
	CALL(connect),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(read),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(sendmsg),
	CALL(readv),
	CALL(sendfile),
	CALL(shutdown),

	/* segments */
	CALL_IF(openat, { 2, O_ACCMODE | O_CREAT, O_RDONLY }),
	CALL(pread64),
	CALL(close),
	CALL(fstat),
	CALL(newfstatat),
	CALL(fcntl),

	/* memory, without code */
	CALL(brk),
	CALL_IF(mmap, { 2, PROT_EXEC, 0 }, { 3, MAP_ANONYMOUS, MAP_ANONYMOUS }),
	CALL_IF(mprotect, { 2, PROT_EXEC, 0 }),
	CALL(mremap),
	CALL(munmap),
	CALL(madvise),
	CALL(memfd_create),
	CALL(futex),
	CALL(getrandom),

	/* the end, and its last words */
	CALL(write),
	CALL(writev),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(restart_syscall),
	CALL(getpid),
	CALL(gettid),
	CALL(tgkill),
	CALL(exit),
	CALL(exit_group),
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

int
confine_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = filter ? 0 : -ENOMEM;

	for (size_t i = 0; i < LENGTH(allowed) && rc == 0; i++)
		rc = allow(filter, &allowed[i]);
	if (rc == 0)
		rc = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return rc == 0 ? MQ_OK : err_note(rc, "seccomp: %m");
}

#else

int
confine_calls(void)
{
	return err_note(-ENOSYS, "this build does not use seccomp");
}

#endif
