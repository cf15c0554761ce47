#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"

/* --- err --- */

static void
a_note_is_the_text_of_its_code(void **state)
{
	(void)state;
	assert_int_equal(err_note(MQ_ECORRUPT, "record at %d", 7), MQ_ECORRUPT);
	assert_string_equal(err_text(MQ_ECORRUPT), "record at 7");
	assert_string_equal(err_text(MQ_EGONE), "no longer retained");
	assert_string_equal(err_text(-ENOSPC), strerror(ENOSPC));
	err_clear();
	assert_string_equal(err_text(MQ_ECORRUPT), "corrupt data");
}

static void
a_note_can_quote_the_note_before(void **state)
{
	(void)state;
	err_note(-EIO, "segment 0: read");
	err_note(-EIO, "recover: %s", err_text(-EIO));
	err_note(-EIO, "mount: %s", err_text(-EIO));
	assert_string_equal(err_text(-EIO), "mount: recover: segment 0: read");
}

static void
percent_m_is_the_code_and_errno_stays(void **state)
{
	char want[128];

	(void)state;
	errno = ENOTTY;
	err_note(-ENOSPC, "create: %m");
	assert_int_equal(errno, ENOTTY);
	snprintf(want, sizeof(want), "create: %s", strerror(ENOSPC));
	assert_string_equal(err_text(-ENOSPC), want);
	errno = 0;
	err_note(MQ_EGONE, "read: %m");
	snprintf(want, sizeof(want), "read: %s", strerror(ESTALE));
	assert_string_equal(err_text(MQ_EGONE), want);
}

static void
a_long_note_is_cut(void **state)
{
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_note(-EIO, "%s", text);
	assert_int_equal(strlen(err_text(-EIO)), 511);
}

static void *
other_thread_main(void *arg)
{
	(void)arg;
	if (strcmp(err_text(MQ_EEND), "nothing more") != 0)
		return NULL;
	err_note(MQ_EEND, "theirs");
	return (void *)1;
}

static void
a_note_is_of_one_thread(void **state)
{
	pthread_t thread;
	void *clean;

	(void)state;
	err_note(MQ_EEND, "ours");
	assert_int_equal(pthread_create(&thread, NULL, other_thread_main, NULL), 0);
	assert_int_equal(pthread_join(thread, &clean), 0);
	assert_non_null(clean);
	assert_string_equal(err_text(MQ_EEND), "ours");
}

static void
every_code_has_an_errno(void **state)
{
	static const int pairs[][2] = {
		{ MQ_OK, 0 }, { 5, 0 }, { -ENOSPC, ENOSPC }, { -ETIMEDOUT, ETIMEDOUT },
		{ MQ_ECLOSED, EIO }, { MQ_ECORRUPT, EIO }, { MQ_EEND, EIO }, { MQ_EBLANK, EIO },
		{ MQ_EGONE, ESTALE }, { MQ_EBADCONF, EINVAL }, { MQ_ENOSLAVE, EHOSTDOWN },
		{ MQ_EROLE, EROFS }, { MQ_ENOREAD, EREMOTE }, { -20000, EIO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_int_equal(err_to_errno(pairs[i][0]), pairs[i][1]);
}

/* --- what stops the program --- */

/* Runs body in a child: true if it was aborted, and said so with `why`. */
static bool
dies(void (*body)(void), const char *why)
{
	char said[2048] = "";
	size_t len = 0;
	ssize_t n;
	int status, ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		alarm(20);
		body();
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, why);
}

static void
break_must(void)
{
	MUST(1 + 1 == 3);
}

static void
a_broken_invariant_says_so_and_stops(void **state)
{
	(void)state;
	MUST(1 + 1 == 2);
	assert_true(dies(break_must, "must hold: 1 + 1 == 3"));
}

/* --- log --- */

static char *
newest_line(char *log)
{
	char *nl;

	log[strlen(log) - 1] = '\0';
	nl = strrchr(log, '\n');
	return nl ? nl + 1 : log;
}

static void
a_line_is_kept_with_its_time(void **state)
{
	size_t len;
	char *log, *line;
	int year, ms, end = 0;

	(void)state;
	log_warn("queue %d", 3);
	log = log_recent(&len);
	assert_int_equal(strlen(log), len);
	line = newest_line(log);
	assert_int_equal(sscanf(line, "%d-%*d-%*dT%*d:%*d:%*d.%3dZ queue 3%n", &year, &ms, &end), 2);
	assert_int_equal(end, strlen(line));
	assert_true(year >= 2024);
	free(log);
}

static void
a_line_cannot_be_forged_and_errno_stays(void **state)
{
	size_t len;
	char *log, *line;

	(void)state;
	errno = ENOTTY;
	log_info("name 'a\nfake: line\033[0m'");
	assert_int_equal(errno, ENOTTY);
	log = log_recent(&len);
	line = newest_line(log);
	assert_non_null(strstr(line, "name 'a fake: line [0m'"));
	free(log);
}

static void
what_is_for_developers_is_not_kept(void **state)
{
	size_t len;
	char *log;

	(void)state;
	log_debug("only for developers");
	log = log_recent(&len);
	assert_null(strstr(log, "only for developers"));
	free(log);
}

static void
old_lines_go_whole_and_newest_stay(void **state)
{
	char pad[900], *log, *line, *next;
	size_t len;
	int n = 0, last = -1;

	(void)state;
	memset(pad, '.', sizeof(pad) - 1);
	pad[sizeof(pad) - 1] = '\0';
	for (int i = 0; i < 400; i++)
		log_info("line %d %.*s|", i, i * 7 % 899, pad);
	log = log_recent(&len);
	assert_in_range(len, 64 * 1024 - 1024, 64 * 1024);
	assert_int_equal(log[len - 1], '\n');
	for (line = log; *line; line = next + 1, n++) {
		int i;

		next = strchr(line, '\n');
		assert_int_equal(sscanf(line, "%*d-%*d-%*dT%*d:%*d:%*d.%*3dZ line %d ", &i), 1);
		assert_int_equal(next[-1], '|');
		assert_true(last == -1 || i == last + 1);
		last = i;
	}
	assert_int_equal(last, 399);
	assert_true(n > 64);
	free(log);
}

static void
an_overlong_line_is_cut(void **state)
{
	char text[3000], *log;
	size_t len;

	(void)state;
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	log = log_recent(&len);
	assert_int_equal(strlen(newest_line(log)), 1023 + strlen("2026-11-21T10:00:00.000Z "));
	free(log);
}

#define LOGGERS 4
#define LINES 200

static void *
logger_main(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("thread %d says %d", *(int *)arg, i);
	return NULL;
}

static void
lines_of_many_threads_do_not_mix(void **state)
{
	pthread_t threads[LOGGERS];
	int ids[LOGGERS];
	size_t len;
	char *log, *line;

	(void)state;
	for (int i = 0; i < LOGGERS; i++) {
		ids[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, logger_main, &ids[i]), 0);
	}
	for (int i = 0; i < LOGGERS; i++)
		pthread_join(threads[i], NULL);
	log = log_recent(&len);
	line = log;
	for (char *next; (next = strchr(line, '\n')); line = next + 1) {
		int id, n, end = 0;

		*next = '\0';
		if (sscanf(line, "%*s thread %d says %d%n", &id, &n, &end) == 2)
			assert_int_equal(end, strlen(line));
	}
	free(log);
}

/* --- lock --- */

static int
counted(struct lock *l, int *count)
{
	LOCKED(l);
	return ++*count;
}

static void
a_scope_holds_its_lock_to_its_end(void **state)
{
	struct lock l;
	int count = 0;

	(void)state;
	lock_init(&l, RANK_LOG);
	assert_int_equal(counted(&l, &count), 1);
	{
		LOCKED(&l);
		assert_int_equal(pthread_mutex_trylock(&l.mutex), EBUSY);
	}
	assert_int_equal(pthread_mutex_trylock(&l.mutex), 0);
	pthread_mutex_unlock(&l.mutex);
	lock_destroy(&l);
}

static void
scopes_nest_in_the_order_of_ranks(void **state)
{
	struct lock outer, inner;

	(void)state;
	lock_init(&outer, RANK_HANDLE);
	lock_init(&inner, RANK_MARK);
	for (int i = 0; i < 2; i++) {
		LOCKED(&outer);
		LOCKED(&inner);
		assert_int_equal(pthread_mutex_trylock(&inner.mutex), EBUSY);
	}
	lock_take(&outer);
	lock_take(&inner);
	lock_drop(&outer);		/* any order will do for letting go */
	lock_drop(&inner);
	lock_destroy(&outer);
	lock_destroy(&inner);
}

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
a_wait_ends_when_its_time_is_up(void **state)
{
	static const int timeouts[] = { 0, 1, 30, 999 };
	struct lock l;
	pthread_cond_t cond;

	(void)state;
	lock_init(&l, RANK_MARK);
	cond_init(&cond);
	for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
		int64_t start = now_ms();
		int rc;
		LOCKED(&l);

		do
			rc = lock_wait(&l, &cond, timeouts[i]);
		while (rc == 0);
		assert_int_equal(rc, ETIMEDOUT);
		assert_true(now_ms() - start >= timeouts[i] - 1);
	}
	pthread_cond_destroy(&cond);
	lock_destroy(&l);
}

struct bell {
	struct lock lock;
	pthread_cond_t cond;
	bool rung;
};

static void *
ringer_main(void *arg)
{
	struct bell *b = arg;
	LOCKED(&b->lock);

	b->rung = true;
	pthread_cond_broadcast(&b->cond);
	return NULL;
}

static void
a_wait_ends_when_it_is_woken(void **state)
{
	static const int timeouts[] = { -1, 60000 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bell b = { .rung = false };
		pthread_t thread;

		lock_init(&b.lock, RANK_MARK);
		cond_init(&b.cond);
		lock_take(&b.lock);
		assert_int_equal(pthread_create(&thread, NULL, ringer_main, &b), 0);
		while (!b.rung)
			assert_int_equal(lock_wait(&b.lock, &b.cond, timeouts[i]), 0);
		lock_drop(&b.lock);
		pthread_join(thread, NULL);
		pthread_cond_destroy(&b.cond);
		lock_destroy(&b.lock);
	}
}

static struct lock first = LOCK_STATIC(RANK_HANDLE);
static struct lock second = LOCK_STATIC(RANK_LOG);
static struct lock equal = LOCK_STATIC(RANK_LOG);
static pthread_cond_t nobody = PTHREAD_COND_INITIALIZER;

static void
take_upwards(void)
{
	lock_take(&second);
	lock_take(&first);
}

static void
take_two_of_a_rank(void)
{
	lock_take(&second);
	lock_take(&equal);
}

static void
take_twice(void)
{
	lock_take(&first);
	lock_take(&first);
}

static void
drop_what_is_not_held(void)
{
	lock_take(&first);
	lock_drop(&second);
}

static void
wait_with_the_outer(void)
{
	lock_take(&first);
	lock_take(&second);
	lock_wait(&first, &nobody, 0);
}

static void
call_without_the_lock(void)
{
	lock_take(&first);
	MUST_HOLD(&first);
	lock_take(&second);
	MUST_HOLD(&first);
	MUST_HOLD(&second);
	lock_drop(&second);
	MUST_HOLD(&second);
}

static void
call_with_another_of_its_rank(void)
{
	lock_take(&equal);
	MUST_HOLD(&second);
}

static bool
dies_taking(void (*misuse)(void), enum lock_rank taken, enum lock_rank held)
{
	char text[64];

	snprintf(text, sizeof(text), "rank %d taken while %d is held", (int)taken, (int)held);
	return dies(misuse, text);
}

static void
a_lock_out_of_order_stops_the_program(void **state)
{
	(void)state;
	assert_true(dies_taking(take_upwards, RANK_HANDLE, RANK_LOG));
	assert_true(dies_taking(take_two_of_a_rank, RANK_LOG, RANK_LOG));
	assert_true(dies_taking(take_twice, RANK_HANDLE, RANK_HANDLE));
	assert_true(dies(drop_what_is_not_held, "dropped but not held"));
	assert_true(dies(wait_with_the_outer, "not the innermost"));
}

static void
a_call_without_its_lock_stops_the_program(void **state)
{
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "rank %d must be held", (int)RANK_LOG);
	assert_true(dies(call_without_the_lock, text));
	assert_true(dies(call_with_another_of_its_rank, text));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_note_is_the_text_of_its_code),
		cmocka_unit_test(a_note_can_quote_the_note_before),
		cmocka_unit_test(percent_m_is_the_code_and_errno_stays),
		cmocka_unit_test(a_long_note_is_cut),
		cmocka_unit_test(a_note_is_of_one_thread),
		cmocka_unit_test(every_code_has_an_errno),
		cmocka_unit_test(a_broken_invariant_says_so_and_stops),
		cmocka_unit_test(a_line_is_kept_with_its_time),
		cmocka_unit_test(a_line_cannot_be_forged_and_errno_stays),
		cmocka_unit_test(what_is_for_developers_is_not_kept),
		cmocka_unit_test(old_lines_go_whole_and_newest_stay),
		cmocka_unit_test(an_overlong_line_is_cut),
		cmocka_unit_test(lines_of_many_threads_do_not_mix),
		cmocka_unit_test(a_scope_holds_its_lock_to_its_end),
		cmocka_unit_test(scopes_nest_in_the_order_of_ranks),
		cmocka_unit_test(a_wait_ends_when_its_time_is_up),
		cmocka_unit_test(a_wait_ends_when_it_is_woken),
		cmocka_unit_test(a_lock_out_of_order_stops_the_program),
		cmocka_unit_test(a_call_without_its_lock_stops_the_program),
	};

	log_open("test", LOG_TO_STDERR, LOG_CRIT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
