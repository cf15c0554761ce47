#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/confine.h"
#include "net/link.h"
#include "net/resolve.h"

bool
resolve_split(char *text, char **ret_host, char **ret_port)
{
	char *colon = strrchr(text, ':');
	size_t len;

	if (!colon || !colon[1])
		return false;
	*colon = '\0';
	len = strlen(text);
	if (text[0] == '[') {
		if (len < 3 || text[len - 1] != ']')
			return false;
		text[len - 1] = '\0';
		text++;
	}
	*ret_host = text;
	*ret_port = colon + 1;
	return *text != '\0';
}

void
resolve_host(const char *address, char *host, size_t size)
{
	char text[256], *part = text, *port;

	snprintf(text, sizeof(text), "%s", address);
	(void)resolve_split(text, &part, &port);
	snprintf(host, size, "%s", part);
}

void
resolve_now(const char *host, const char *port, bool numeric, bool passive, struct resolve_answer *ret)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : 0) | (passive ? AI_PASSIVE : 0),
	};
	struct addrinfo *found = NULL;
	int rc = getaddrinfo(host, port, &hints, &found);

	*ret = (struct resolve_answer){ .n = 0 };
	if (rc != 0) {
		snprintf(ret->why, sizeof(ret->why), "%s", gai_strerror(rc));
		return;
	}
	for (struct addrinfo *a = found; a && ret->n < RESOLVE_MAX; a = a->ai_next) {
		memcpy(&ret->list[ret->n].addr, a->ai_addr, a->ai_addrlen);
		ret->list[ret->n++].len = a->ai_addrlen;
	}
	freeaddrinfo(found);
}

static int
confine(const char *user)
{
	int rc = confine_user(user, -1);

	if (rc == MQ_OK)
		rc = confine_limits(CONFINE_FDS);
	if (rc == MQ_OK)
		rc = confine_files(-1);
	if (rc == MQ_OK || rc == -ENOSYS)	/* the daemon logs which protections are missing */
		rc = confine_calls(CONFINE_RESOLVES);
	return rc == -ENOSYS ? MQ_OK : rc;
}

/* The process: each byte that it receives asks it to look up again.  If it cannot give up its
 * rights, it only answers with that error. */
_Noreturn static void
answer_main(int fd, const char *host, const char *port, const char *user)
{
	struct resolve_answer answer = { .n = 0 };
	char ask;
	int rc;

	if (dup2(fd, LINK_SOCKET_FD) < 0 || confine_fds(LINK_SOCKET_FD) != MQ_OK)
		_exit(1);
	rc = confine(user);
	snprintf(answer.why, sizeof(answer.why), "%s", err_text(rc));
	while (recv(LINK_SOCKET_FD, &ask, 1, 0) == 1) {
		if (rc == MQ_OK)
			resolve_now(host, port, false, false, &answer);
		if (send(LINK_SOCKET_FD, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

int
resolve_start(const char *host, const char *port, const char *user, int *ret_fd)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return err_note(-errno, "socketpair: %m");
	pid = fork();
	if (pid == 0)
		answer_main(pair[1], host, port, user);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_note(-errno, "fork: %m");
	}
	*ret_fd = pair[0];
	return MQ_OK;
}

int
resolve_ask(int fd)
{
	return send(fd, "?", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? MQ_OK : -EPIPE;
}

/* The process talks to the network, so its answer is checked. */
int
resolve_receive(int fd, struct resolve_answer *ret)
{
	struct resolve_answer answer;
	ssize_t n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n != (ssize_t)sizeof(answer) || answer.n < 0 || answer.n > RESOLVE_MAX ||
	    !memchr(answer.why, '\0', sizeof(answer.why)))
		return -EPIPE;
	for (int i = 0; i < answer.n; i++)
		if (answer.list[i].len > sizeof(answer.list[i].addr))
			return -EPIPE;
	*ret = answer;
	return MQ_OK;
}
