#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/link.h"
#include "net/shared.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int
shared_make(const char *name, size_t size, enum shared_writers writers, int *ret_fd, void **ret_at)
{
	AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int prot = writers == SHARED_THEIRS ? PROT_READ : PROT_READ | PROT_WRITE;
	int seals = writers == SHARED_OURS ? SIZE_SEALS | F_SEAL_FUTURE_WRITE : SIZE_SEALS;
	void *at;

	if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
		return err_note(-errno, "%s: %m", name);
	at = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return err_note(-errno, "%s: mmap: %m", name);
	if (fcntl(fd, F_ADD_SEALS, seals) != 0) {
		int rc = err_note(-errno, "%s: seal: %m", name);

		munmap(at, size);
		return rc;
	}
	*ret_fd = take_fd(&fd);
	*ret_at = at;
	return MQ_OK;
}

int
shared_map(const char *name, int fd, size_t size, bool writable, void **ret_at)
{
	AUTO_CLOSE int owned = fd;
	struct stat st;
	void *at;

	if (fstat(owned, &st) != 0 || st.st_size != (off_t)size)
		return err_note(MQ_ECORRUPT, "the mount gives no %s", name);
	at = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, owned, 0);
	if (at == MAP_FAILED)
		return err_note(-errno, "%s: mmap: %m", name);
	*ret_at = at;
	return MQ_OK;
}

int
shared_make_wake(int *ret_ours, int *ret_theirs)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return err_note(-errno, "eventfd: %m");
	*ret_ours = fd;
	*ret_theirs = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return *ret_theirs < 0 ? err_note(-errno, "eventfd: %m") : MQ_OK;
}

void
shared_wake(int fd)
{
	const uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n;	/* EAGAIN: it was woken many times over */
}

void
shared_reset(int fd)
{
	uint64_t times;
	ssize_t n = read(fd, &times, sizeof(times));

	(void)n;	/* EAGAIN: it was not woken */
}

int
shared_pass(int link_fd, const int *fds, int n)
{
	int rc = MQ_OK;

	for (int i = 0; i < n && rc == MQ_OK; i++) {
		const struct link_message msg = { .version = LINK_VERSION, .kind = LINK_RING, .code = i };

		rc = link_send_blob(link_fd, 0, &msg, fds[i]);
	}
	return rc;
}

int
shared_receive(int link_fd, int *fds, int n)
{
	int rc = MQ_OK;

	for (int i = 0; i < n; i++) {
		struct link_message msg;

		fds[i] = -1;
		if (rc == MQ_OK)
			rc = link_receive(link_fd, 0, &msg, &fds[i]);
		if (rc == MQ_OK && (msg.kind != LINK_RING || msg.code != i))
			rc = err_note(MQ_ECORRUPT, "the mount does not share its memory");
	}
	return rc;
}
