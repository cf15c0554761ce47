/* lying_mqremoted.c - an mqremoted that has been taken over.
 *
 *      lying_mqremoted RUNS STORED HONEST
 *
 * The mount starts it as $MQREMOTED.  RUNS is a file that grows by a byte with each run, of however
 * many mounts: run number N tells lie number N, and runs that are left without a lie become HONEST,
 * which is mqremoted.  Before its lie a run sends a message as an honest mqremoted would, and writes
 * the body into STORED once the mount has answered that it is stored.  After its lie it stays, and
 * hears nothing any more: the mount has to end it.
 *
 * Without arguments: what the mount is to log, a line for each lie.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/link.h"
#include "net/shared.h"
#include "remoting/ring_client.h"

#define TOPIC "t"
#define QUEUE_HONEST 1
#define QUEUE_LIES 2			/* nothing is ever to be there */
#define QUEUE_CHANGED 3			/* of messages that change while they are read */
#define CHANGED 300
#define CHANGED_BYTES 4096

static struct ring_client ring;
static struct ring_fds fds;

/* --- what an honest mqremoted does --------------------------------------------------------------- */

static void
tell(struct link_message msg)
{
	msg.version = LINK_VERSION;
	MUST(link_send(LINK_SOCKET_FD, &msg) == MQ_OK);
}

/* Descriptors of the rings are kept beside the client's. */
static void
take_rings(void)
{
	struct ring_fds copy;
	struct link_message msg;

	MUST(link_receive(LINK_SOCKET_FD, 0, &msg, NULL) == MQ_OK && msg.kind == LINK_CONFIG);
	MUST(shared_receive(LINK_SOCKET_FD, fds.fd, RING_FDS) == MQ_OK);
	for (int i = 0; i < RING_FDS; i++)
		copy.fd[i] = dup(fds.fd[i]);
	MUST(ring_client_open(&ring, &copy) == MQ_OK);
}

/* A message that can be, placed and not submitted. */
static struct ring_submission
message(int32_t queue_id, const void *body, size_t len)
{
	struct ring_submission s = {
		.kind = RING_SEND, .topic_len = sizeof(TOPIC) - 1, .body_len = (uint32_t)len,
		.queue_id = queue_id, .max_reconsume_times = -1, .born_port = 5100,
	};
	unsigned char *at;

	at = ring_client_place(&ring, s.topic_len + len, &s);
	MUST(at);
	memcpy(at, TOPIC, s.topic_len);
	memcpy(at + s.topic_len, body, len);
	return s;
}

static struct ring_completion
answer(void)
{
	struct pollfd p = { .fd = ring.wake_us, .events = POLLIN };
	struct ring_completion c;

	ring_client_wake(&ring);
	while (ring_client_reap(&ring, &c) != MQ_OK) {
		if (ring_client_sleep(&ring))
			MUST(poll(&p, 1, 60000) == 1);
		ring_client_awake(&ring);
		shared_reset(ring.wake_us);
		(void)ring_client_ends_moved(&ring);
	}
	return c;
}

/* The topic is made by the test, a moment after the mount has begun. */
static void
send_until_stored(const char *body)
{
	struct ring_submission s;
	struct ring_completion c;

	for (;;) {
		s = message(QUEUE_HONEST, body, strlen(body));
		ring_client_submit(&ring, &s);
		c = answer();
		if (c.code == 0)
			return;
		usleep(10000);
	}
}

/* --- lies ------------------------------------------------------------------------------------------ */

#define MESSAGE() message(QUEUE_LIES, "a lie", 5)

static void
submit(const struct ring_submission *s)
{
	ring_client_submit(&ring, s);
	ring_client_wake(&ring);
}

static void
wake(uint64_t times)
{
	MUST(write(ring.wake_mount, &times, sizeof(times)) > 0 || errno == EAGAIN);	/* the mount is awake */
}

static void
unknown_kind(void)
{
	struct ring_submission s = MESSAGE();

	s.kind = RING_KINDS_END;
	submit(&s);
}

static void
far_slot(void)
{
	struct ring_submission s = MESSAGE();

	s.slot = UINT32_MAX;
	submit(&s);
}

static void
long_name(void)
{
	struct ring_submission s = MESSAGE();

	s.topic_len = 0x7fffffff;
	submit(&s);
}

static void
long_body(void)
{
	struct ring_submission s = MESSAGE();

	s.body_len = UINT32_MAX;
	submit(&s);
}

static void
body_beyond_the_ring(void)
{
	struct ring_submission s = MESSAGE();

	s.data_at = RING_DATA_BYTES - 3;
	submit(&s);
}

static void
bytes_twice(void)
{
	struct ring_submission s = MESSAGE();

	s.data_at = 0;			/* those of the honest message */
	submit(&s);
}

static void
count_backwards(void)
{
	atomic_fetch_sub(&ring.in->submitted, 1);
	wake(1);
}

static void
count_far_ahead(void)
{
	atomic_store(&ring.in->submitted, UINT64_MAX / 2);
	wake(UINT64_MAX - 2);
}

/* Says two items; the bytes are of one, which is as it should be. */
static void
batch_of_others(void)
{
	const struct ring_item item = { .body_len = 24 };
	unsigned char body[sizeof(item) + 24] = { 0 };
	struct ring_submission s;

	memcpy(body, &item, sizeof(item));
	s = message(QUEUE_LIES, body, sizeof(body));
	s.kind = RING_BATCH;
	s.items = 2;
	submit(&s);
}

static void
item_beyond_its_batch(void)
{
	const struct ring_item item = { .props_len = 8, .body_len = UINT32_MAX - 8 };
	struct ring_submission s = message(QUEUE_LIES, &item, sizeof(item));

	s.kind = RING_BATCH;
	s.items = 1;
	submit(&s);
}

static void
far_watch(void)
{
	struct ring_submission s = message(QUEUE_LIES, "", 0);

	s.kind = RING_WATCH;
	s.watch = 0x80000000;
	submit(&s);
}

static void
odd_name(void)
{
	struct ring_submission s = MESSAGE();

	ring.in->data[s.data_at % RING_DATA_BYTES] = '/';
	submit(&s);
}

/* What the mount tells, ends of queues among it, is out of reach; and so is the size of either memory. */
static void
write_on_the_board(void)
{
	const int prot = PROT_READ | PROT_WRITE;
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds.fd[RING_FD_OUT]);
	again = open(path, O_RDWR | O_CLOEXEC);
	MUST(mmap(NULL, sizeof(struct ring_out), prot, MAP_SHARED, fds.fd[RING_FD_OUT], 0) == MAP_FAILED);
	MUST(mprotect((void *)(uintptr_t)ring.out, sizeof(struct ring_out), prot) != 0);
	MUST(pwrite(fds.fd[RING_FD_OUT], "lie", 3, 0) < 0);
	if (again >= 0) {
		MUST(mmap(NULL, sizeof(struct ring_out), prot, MAP_SHARED, again, 0) == MAP_FAILED);
		MUST(pwrite(again, "lie", 3, 0) < 0);
		MUST(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0);
	}
	MUST(ftruncate(fds.fd[RING_FD_IN], 0) != 0 && ftruncate(fds.fd[RING_FD_OUT], 0) != 0);
	tell((struct link_message){ .kind = LINK_PEER, .peer = 1 });
}

static _Atomic(unsigned char *) read_now;	/* a body of CHANGED_BYTES */

static void *
scribble_main(void *arg)
{
	(void)arg;
	for (unsigned char n = 0;; n++)
		memset(atomic_load(&read_now), n, CHANGED_BYTES);
	return NULL;
}

/* Whatever the mount stores of such messages is whole. */
static void
change_while_read(void)
{
	static const unsigned char body[CHANGED_BYTES];
	pthread_t thread;

	for (int i = 0; i < CHANGED; i++) {
		struct ring_submission s = message(QUEUE_CHANGED, body, sizeof(body));

		atomic_store(&read_now, ring.in->data + s.data_at % RING_DATA_BYTES + s.topic_len);
		if (i == 0)
			MUST(pthread_create(&thread, NULL, scribble_main, NULL) == 0);
		ring_client_submit(&ring, &s);
		MUST(answer().code == 0);
	}
	tell((struct link_message){ .kind = LINK_APPEND, .len = 100 });
}

static void
wrong_message(void)
{
	tell((struct link_message){ .kind = LINK_FOLLOW, .pos = 1 << 20, .len = 100 });
}

static void
unknown_message(void)
{
	tell((struct link_message){ .kind = 99 });
}

static const struct lie {
	void (*tell)(void);
	const char *logged;
} lies[] = {
	{ unknown_kind, "submits a request of an unknown kind" },
	{ far_slot, "submits a slot that does not exist" },
	{ long_name, "submits a name that is too long" },
	{ long_body, "submits a text or a body that is longer than a message allows" },
	{ body_beyond_the_ring, "submits bytes beyond the ring's end" },
	{ bytes_twice, "submits bytes that are not next in the ring" },
	{ count_backwards, "submits more requests than there are places" },
	{ count_far_ahead, "submits more requests than there are places" },
	{ batch_of_others, "submits a batch that has other items than it says" },
	{ item_beyond_its_batch, "submits a batch that has other items than it says" },
	{ far_watch, "submits an invalid watch" },
	{ odd_name, "submits a name that no topic or group can have" },
	{ write_on_the_board, "sends a message of kind 8" },
	{ change_while_read, "sends a message of kind 7" },
	{ wrong_message, "sends a message of kind 4" },
	{ unknown_message, "link: message of kind 99" },
};
#define LIES (sizeof(lies) / sizeof(lies[0]))

/* --- a run ------------------------------------------------------------------------------------------- */

/* How many runs there were before this one. */
static size_t
number_of_run(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	off_t end;

	MUST(fd >= 0 && write(fd, ".", 1) == 1);
	end = lseek(fd, 0, SEEK_CUR);
	MUST(end > 0);
	close(fd);
	return (size_t)end - 1;
}

static void
note_stored(const char *path, const char *body)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	MUST(fd >= 0 && dprintf(fd, "%s\n", body) > 0);
	close(fd);
}

static void
list_lies(void)
{
	for (size_t i = 0; i < LIES; i++)
		puts(lies[i].logged);
}

int
main(int argc, char **argv)
{
	char body[32];
	size_t n;

	if (argc == 1) {
		list_lies();
		return 0;
	}
	MUST(argc == 4);
	n = number_of_run(argv[1]);
	if (n >= LIES)
		MUST(execl(argv[3], argv[3], (char *)NULL) == 0);
	take_rings();
	tell((struct link_message){ .kind = LINK_READY, .remoting_port = -1, .vip_port = -1 });
	snprintf(body, sizeof(body), "before lie %zu", n);
	send_until_stored(body);
	note_stored(argv[2], body);
	lies[n].tell();
	for (;;)
		pause();
}
