/* mqrepld at the end of a link whose other end has gone mad: it goes on, or it
 * ends by its own decision.  (The mount's end: t_hostile_mqrepld.sh.)
 *
 * MQFS_SEED=N repeats a run. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "tests/repl_kit.h"

#define ROUNDS 60
#define MESSAGES 200

static unsigned seed;

static int64_t
any_number(void)
{
	static const int64_t edges[] = {
		0, 1, -1, 7, 4096, LINK_RING_BYTES, LINK_BLOB_MAX, INT32_MAX, INT64_MAX,
	};
	int which = rand() % 12;

	return which < 9 ? edges[which] : rand() % 10000;
}

/* Mostly what could be, so that it gets further than the first check. */
static struct link_message
any_message(const struct kit *k)
{
	struct link_message msg = {
		.version = LINK_VERSION, .kind = (uint32_t)(rand() % (LINK_KINDS_END + 1)),
		.config = k->config,
	};

	if (rand() % 3 == 0)
		msg.pos = any_number();
	if (rand() % 3 == 0)
		msg.ring_at = (uint64_t)any_number();
	if (rand() % 3 == 0)
		msg.id = (uint64_t)any_number();
	if (rand() % 3 == 0)
		msg.code = (int32_t)any_number();
	if (rand() % 3 == 0)
		msg.timeout_ms = (int32_t)any_number();
	if (rand() % 16 == 0)
		msg.ext_len = msg.len = (uint32_t)any_number();
	if (rand() % 16 == 0)
		msg.config.batch_bytes = any_number();
	if (rand() % 32 == 0)
		memset(msg.text, 'x', sizeof(msg.text));
	return msg;
}

/* False: it is gone. */
static bool
send_any(struct kit *k)
{
	struct link_message msg = any_message(k);
	char bytes[100] = "\0\5topic\0\0\0\1Tand a body";
	size_t ext_len = (size_t)rand() % 50, body_len = (size_t)rand() % 50;
	int blob_fd = -1, rc;

	if (rand() % 3 == 0 && (msg.kind == LINK_REQUEST || msg.kind == LINK_RESPONSE))
		assert_int_equal(link_blob_make(&msg, bytes, ext_len, bytes, body_len, &blob_fd), MQ_OK);
	rc = link_send_blob(k->link, MSG_DONTWAIT, &msg, blob_fd);
	if (blob_fd >= 0)
		close(blob_fd);
	return rc == MQ_OK || rc == -EAGAIN;
}

static void
show_any(struct kit *k)
{
	const struct kit as_it_is = *k;

	if (rand() % 2 == 0)
		k->begin = any_number();
	k->written = any_number();
	kit_marks(k);
	k->begin = as_it_is.begin;
	k->written = as_it_is.written;
}

static void
mad_round(struct kit *k)
{
	int status, fd = kit_connect(k->remoting_port);

	for (int i = 0; i < MESSAGES && send_any(k); i++)
		if (rand() % 8 == 0)
			show_any(k);
	shutdown(k->link, SHUT_RDWR);
	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		fail_msg("mqrepld ended with status %#x, MQFS_SEED=%u", (unsigned)status, seed);
	k->pid = 0;
	close(k->link);
	close(fd);
}

static void
a_mad_mount_does_not_crash_a_masters_mqrepld(void **state)
{
	struct kit *k = *state;

	kit_log(k, 0, 10000);
	for (int i = 0; i < ROUNDS; i++) {
		kit_start(k);
		mad_round(k);
	}
}

static void
a_mad_mount_does_not_crash_a_slaves_mqrepld(void **state)
{
	struct kit *k = *state;

	kit_be_master(k);
	memcpy(k->config.master_remoting, k->config.master, sizeof(k->config.master));
	for (int i = 0; i < ROUNDS; i++) {
		kit_start(k);
		mad_round(k);
	}
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		T(a_mad_mount_does_not_crash_a_masters_mqrepld),
		T(a_mad_mount_does_not_crash_a_slaves_mqrepld),
	};
	const char *wanted = getenv("MQFS_SEED");

	seed = wanted ? (unsigned)strtoul(wanted, NULL, 10) : (unsigned)time(NULL);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
