/* What a confined process can still do: each attempt is made in a child that has given
 * up its rights as a daemon of that role does. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "net/confine.h"
#include "net/link.h"
#include "tests/tree.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define SEGMENT "00000000000000000000"
#define ABLE 200			/* exit status of a child: it could do it; else an errno */
#define NOT_HAD 201			/* this build or kernel does not confine like that */
#define NOT_CONFINED 202		/* it failed */

static char dir[128];
static pid_t test_pid;

/* --- attempts: 0, or -1 with errno ------------------------------------------------------- */

static const struct sockaddr_in nobody_there = { .sin_family = AF_INET, .sin_port = 0x0100 };

/* The numbers that the filter knows; whether a call is allowed does not need one that is open. */
static int read_segment(void) { return openat(LINK_COMMITLOG_FD, SEGMENT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW); }
static int cut_segment(void) { return openat(LINK_COMMITLOG_FD, SEGMENT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_TRUNC); }
static int make_segment(void) { return openat(LINK_COMMITLOG_FD, "new", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_CREAT, 0600); }
static int write_segment(void) { return openat(LINK_COMMITLOG_FD, SEGMENT, O_RDWR | O_CLOEXEC | O_NOFOLLOW); }
static int leave_the_log(void) { return openat(LINK_COMMITLOG_FD, "../outside", O_RDONLY | O_CLOEXEC | O_NOFOLLOW); }
static int read_elsewhere(void) { return openat(AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC | O_NOFOLLOW); }
static int write_elsewhere(void) { return openat(AT_FDCWD, "/tmp/mqfs-test-confine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600); }
static int tcp_socket(void) { return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }
static int mptcp_socket(void) { return socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP); }
static int udp_socket(void) { return socket(AF_INET, SOCK_DGRAM, 0); }
static int raw_packets(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static int unix_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int strange_socket(void) { return socket(AF_VSOCK, SOCK_STREAM, 0); }
static int signal_others(void) { return (int)syscall(SYS_tgkill, test_pid, test_pid, 0); }
static int kill_others(void) { return kill(test_pid, 0); }
static int own_signals(void) { return fcntl(LINK_SOCKET_FD, F_SETOWN, test_pid); }
static int fork_on(void) { return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static int run_a_program(void) { return execl("/bin/true", "true", (char *)NULL); }
static int trace(void) { return (int)ptrace(PTRACE_SEIZE, test_pid, 0, 0); }
static int code(void) { return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0; }
static int memory(void) { return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0; }
static int send_on(void) { return send(LINK_SOCKET_FD, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -1; }

static int
connect_out(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), rc = connect(fd, (const struct sockaddr *)&nobody_there, sizeof(nobody_there));

	return rc != 0 && errno == ECONNREFUSED ? 0 : rc;
}

static int
connect_by_sending(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n = sendto(fd, "x", 1, MSG_FASTOPEN, (const struct sockaddr *)&nobody_there, sizeof(nobody_there));

	return n < 0 && errno == ECONNREFUSED ? 0 : (int)n;
}

static int
send_a_descriptor(void)
{
	struct iovec iov = { (char[]){ "x" }, 1 };

	return (int)sendmsg(LINK_SOCKET_FD + 1, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 }, 0);
}

static int
listen_in(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return listen(fd, 1);
}

static int
filter_packets(void)
{
	struct sock_filter accept_all = { .code = BPF_RET | BPF_K, .k = 0xffff };
	const struct sock_fprog program = { 1, &accept_all };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int
no_delay(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int
look_up(void)
{
	struct addrinfo *found = NULL;

	errno = ENOENT;
	if (getaddrinfo("localhost", "1", NULL, &found) != 0)
		return -1;
	freeaddrinfo(found);
	return 0;
}

static int
regain_rights(void)
{
	errno = EPERM;
	return setuid(0) == 0 && geteuid() == 0 ? 0 : -1;
}

/* --- a confined child ---------------------------------------------------------------------- */

static int
confine(unsigned roles)
{
	int log_fd = roles & CONFINE_SERVES ? LINK_COMMITLOG_FD : -1;
	int rc = confine_user("", log_fd);

	if (rc == MQ_OK)
		rc = confine_limits(CONFINE_FDS);
	if (rc == MQ_OK)
		rc = confine_files(log_fd);
	if (rc == MQ_OK)
		rc = confine_calls(roles);
	return rc;
}

_Noreturn static void
child_main(unsigned roles, int (*attempt)(void))
{
	int pair[2], log_fd = open(dir, O_RDONLY | O_DIRECTORY), rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 || log_fd < 0)
		_exit(NOT_CONFINED);
	dup2(log_fd, 20);
	dup2(pair[0], 21);
	dup2(pair[1], 22);
	dup2(20, LINK_COMMITLOG_FD);
	dup2(21, LINK_SOCKET_FD);
	close(20);
	close(21);
	rc = confine(roles);
	if (rc != MQ_OK)
		_exit(rc == -ENOSYS ? NOT_HAD : NOT_CONFINED);
	_exit(attempt() >= 0 ? ABLE : errno);
}

static int
outcome(unsigned roles, int (*attempt)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		child_main(roles, attempt);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NOT_HAD)
		skip();
	return WEXITSTATUS(status);
}

struct attempt {
	const char *what;
	int (*make)(void);
	int wanted;			/* ABLE, or an errno */
};

static void
all_end_as_wanted(unsigned roles, const struct attempt *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int got = outcome(roles, list[i].make);

		if (got != list[i].wanted)
			fail_msg("%s: %d (%s), not %d", list[i].what, got, strerror(got), list[i].wanted);
	}
}

#define ATTEMPT(name, wanted) { #name, name, wanted }
#define ALL_OF(list) list, sizeof(list) / sizeof((list)[0])

/* --- tests ------------------------------------------------------------------------------------ */

/* Of every daemon's roles. */
static const struct attempt of_all[] = {
	ATTEMPT(signal_others, EPERM), ATTEMPT(kill_others, EPERM), ATTEMPT(own_signals, EPERM),
	ATTEMPT(fork_on, EPERM), ATTEMPT(run_a_program, EPERM), ATTEMPT(trace, EPERM),
	ATTEMPT(raw_packets, EPERM), ATTEMPT(strange_socket, EPERM), ATTEMPT(regain_rights, EPERM),
	ATTEMPT(memory, ABLE), ATTEMPT(send_on, ABLE),
};

static const struct attempt of_daemons[] = {
	ATTEMPT(read_segment, ABLE), ATTEMPT(cut_segment, EPERM), ATTEMPT(make_segment, EPERM),
	ATTEMPT(write_segment, EPERM), ATTEMPT(leave_the_log, EACCES), ATTEMPT(read_elsewhere, EPERM),
	ATTEMPT(write_elsewhere, EPERM), ATTEMPT(tcp_socket, ABLE), ATTEMPT(mptcp_socket, EPERM),
	ATTEMPT(udp_socket, EPERM), ATTEMPT(unix_socket, EPERM), ATTEMPT(no_delay, ABLE),
	ATTEMPT(filter_packets, EPERM), ATTEMPT(connect_by_sending, EPERM), ATTEMPT(send_a_descriptor, EPERM),
	ATTEMPT(code, EPERM),
};

static void
who_serves_a_master_connects_to_nobody(void **state)
{
	static const struct attempt own[] = { ATTEMPT(listen_in, ABLE), ATTEMPT(connect_out, EPERM) };
	const unsigned roles = CONFINE_SERVES | CONFINE_LISTENS;

	(void)state;
	all_end_as_wanted(roles, ALL_OF(of_all));
	all_end_as_wanted(roles, ALL_OF(of_daemons));
	all_end_as_wanted(roles, ALL_OF(own));
}

static void
who_follows_a_master_lets_nobody_in(void **state)
{
	static const struct attempt own[] = { ATTEMPT(listen_in, EPERM), ATTEMPT(connect_out, ABLE) };
	const unsigned roles = CONFINE_SERVES | CONFINE_DIALS;

	(void)state;
	all_end_as_wanted(roles, ALL_OF(of_all));
	all_end_as_wanted(roles, ALL_OF(of_daemons));
	all_end_as_wanted(roles, ALL_OF(own));
}

static void
who_looks_names_up_writes_no_file_and_starts_no_program(void **state)
{
	static const struct attempt own[] = {
		ATTEMPT(look_up, ABLE), ATTEMPT(read_elsewhere, ABLE), ATTEMPT(write_elsewhere, EPERM),
		ATTEMPT(cut_segment, EPERM), ATTEMPT(make_segment, EPERM), ATTEMPT(udp_socket, ABLE),
	};

	(void)state;
	all_end_as_wanted(CONFINE_RESOLVES, ALL_OF(of_all));
	all_end_as_wanted(CONFINE_RESOLVES, ALL_OF(own));
}

static void
nobody_stays_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(confine_user("root", -1), -EPERM);
	assert_string_equal(err_text(-EPERM), "user root is root");
	assert_int_equal(confine_user("nobody-of-that-name", -1), -ENOENT);
	assert_int_equal(geteuid(), 0);
}

static int
setup(void **state)
{
	(void)state;
	test_pid = getpid();
	tree_make(dir, sizeof(dir), NULL, "confine");
	sh("mkdir -m 755 '%s/commitlog' && echo x > '%s/commitlog/" SEGMENT "' && echo y > '%s/outside' && "
	   "chmod 755 '%s' && chmod 644 '%s'/outside '%s'/commitlog/*", dir, dir, dir, dir, dir, dir);
	strcat(dir, "/commitlog");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	*strrchr(dir, '/') = '\0';
	return tree_remove(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_serves_a_master_connects_to_nobody),
		cmocka_unit_test(who_follows_a_master_lets_nobody_in),
		cmocka_unit_test(who_looks_names_up_writes_no_file_and_starts_no_program),
		cmocka_unit_test(nobody_stays_root),
	};

	return cmocka_run_group_tests_name("confine", tests, setup, teardown);
}
