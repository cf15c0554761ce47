/* Reading the log where it lies in memory: bytes are those that are stored, and a page that cannot be read is EIO. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "fs/view.h"
#include "store/mapped.h"
#include "store/queues.h"
#include "store/store.h"
#include "tests/broker_kit.h"
#include "tests/packed.h"
#include "tests/tree.h"

#define PAGES 8

/* --- pages ------------------------------------------------------------------------------ */

static size_t
page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int
file_of_pages(void)
{
	int fd = memfd_create("pages", MFD_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)(PAGES * page_bytes())) == 0);
	return fd;
}

static volatile unsigned char touched;

static void
touch(void *arg)
{
	touched = *(const unsigned char *)arg;
}

static int
touch_page(const unsigned char *map, size_t page)
{
	return mapped_try(touch, (void *)(uintptr_t)(map + page * page_bytes()));
}

static void
a_page_that_is_gone_is_an_error_each_time(void **state)
{
	AUTO_CLOSE int fd = file_of_pages();
	const unsigned char *map = mapped_open(fd, PAGES * page_bytes());

	(void)state;
	mapped_begin();			/* cmocka takes SIGBUS for each test */
	assert_non_null(map);
	assert_int_equal(touch_page(map, 3), MQ_OK);
	assert_int_equal(ftruncate(fd, (off_t)page_bytes()), 0);
	assert_int_equal(touch_page(map, 3), -EIO);
	assert_int_equal(touch_page(map, 3), -EIO);
	assert_int_equal(touch_page(map, 0), MQ_OK);
	assert_int_equal(touch_page(map, 7), -EIO);
	mapped_close(map, PAGES * page_bytes());
}

static void
elsewhere_it_ends_the_process(void **state)
{
	AUTO_CLOSE int fd = file_of_pages();
	const unsigned char *map = mapped_open(fd, PAGES * page_bytes());
	int status;
	pid_t pid;

	(void)state;
	mapped_begin();			/* cmocka takes SIGBUS for each test */
	assert_int_equal(touch_page(map, 3), MQ_OK);
	assert_int_equal(ftruncate(fd, 0), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		touch((void *)(uintptr_t)map);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);	/* sanitizers exit by themselves */
	mapped_close(map, PAGES * page_bytes());
}

/* --- views ------------------------------------------------------------------------------- */

static bool cached_always;
static int mapped_runs;
static void (*meanwhile)(void);	/* while the next run is read from memory */

bool __real_mapped_is_cached(const unsigned char *at, size_t len);
bool __wrap_mapped_is_cached(const unsigned char *at, size_t len);
void __real_store_unmap_raw(struct store *s, const struct raw_map *map);
void __wrap_store_unmap_raw(struct store *s, const struct raw_map *map);

bool
__wrap_mapped_is_cached(const unsigned char *at, size_t len)
{
	return cached_always || __real_mapped_is_cached(at, len);
}

void
__wrap_store_unmap_raw(struct store *s, const struct raw_map *map)
{
	void (*now)(void) = meanwhile;

	meanwhile = NULL;
	if (now)
		now();
	mapped_runs++;
	__real_store_unmap_raw(s, map);
}

static struct {
	struct broker b;
	struct mount m;
	struct topic *topic;
	struct queue *q;
	char want[1 << 20];
	size_t want_len;
} r;

static int
setup(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	cached_always = false;
	mapped_runs = 0;
	meanwhile = NULL;
	broker_begin(&r.b, NULL);
	broker_open(&r.b);
	r.m = (struct mount){ .settings = &r.b.settings, .dir = r.b.sd, .store = r.b.store, .offsets = r.b.offsets };
	r.topic = broker_topic(&r.b, "t", 1);
	assert_int_equal(topic_queue(r.b.offsets, r.topic, 0, &r.q), MQ_OK);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	broker_close(&r.b);
	broker_end(&r.b);
	return 0;
}

static void
want(const char *bytes, size_t len)
{
	memcpy(r.want + r.want_len, bytes, len);
	r.want_len += len;
}

/* Message i, of 0 to 799 bytes; packed if asked. */
static void
append(int i, bool pack)
{
	char body[800], buf[1000];
	struct message m = { .topic = "t", .topic_len = 1, .body = body, .body_len = (size_t)i * 37 % 800 };
	struct batch b;
	struct appended done;

	memset(body, 'a' + i % 26, sizeof(body));
	want(body, m.body_len);
	want("\n", 1);
	if (pack) {
		m.body_len = packed(body, m.body_len, buf, sizeof(buf));
		m.body = buf;
		m.sysflag = SYSFLAG_COMPRESSED;
	}
	batch_init(&b);
	assert_int_equal(batch_add(&b, &m), MQ_OK);
	assert_int_equal(store_append(r.b.store, r.q, &b, &done), MQ_OK);
	batch_free(&b);
}

static struct view *
view_of(enum topic_format format)
{
	struct view *v;

	assert_int_equal(view_open(&r.m, &(struct view_spec){ .topic = r.topic, .format = format }, &v), MQ_OK);
	return v;
}

/* Read all, `size` bytes a time, and compare. */
static void
verify(size_t size)
{
	struct view *v = view_of(FORMAT_LINES);
	char got[sizeof(r.want)];
	size_t at = 0, n;

	do {
		assert_int_equal(view_read(v, (int64_t)at, got + at, size, &n), MQ_OK);
		at += n;
	} while (n > 0);
	assert_int_equal(at, r.want_len);
	assert_memory_equal(got, r.want, at);
	view_close(v);
}

static void
what_is_in_memory_is_read_from_there_byte_for_byte(void **state)
{
	static const size_t sizes[] = { 1, 7, 800, 4096, 65536, sizeof(r.want) };

	(void)state;
	for (int i = 0; i < 600; i++)
		append(i, false);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		mapped_runs = 0;
		verify(sizes[i]);
		assert_true(mapped_runs > 3);
	}
}

static void
packed_bodies_are_read_among_others(void **state)
{
	(void)state;
	for (int i = 0; i < 600; i++)
		append(i, i % 200 == 100);
	verify(4096);
	verify(sizeof(r.want));
}

/* Where the body of message n ends in the first segment. */
static int64_t
end_of(int64_t n)
{
	struct queue_entry e;
	size_t got;

	assert_int_equal(queue_entries(r.q, MQ_QOFF(n), &e, 1, &got), MQ_OK);
	return e.pos.byte + e.total;
}

static int
open_segment(void)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/commitlog/00000000000000000000", r.b.path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void
a_segment_that_was_cut_short_is_EIO(void **state)
{
	struct view *v;
	char got[4096];
	size_t n = 0;

	(void)state;
	mapped_begin();			/* cmocka takes SIGBUS for each test */
	for (int i = 0; i < 600; i++)
		append(i, false);
	verify(sizeof(r.want));
	AUTO_CLOSE int fd = open_segment();
	assert_int_equal(ftruncate(fd, end_of(10)), 0);
	cached_always = true;
	mapped_runs = 0;
	v = view_of(FORMAT_LINES);
	assert_int_equal(view_read(v, 100000, got, sizeof(got), &n), -EIO);
	assert_true(mapped_runs > 0);
	assert_int_equal(view_read(v, 0, got, 1000, &n), MQ_OK);
	assert_memory_equal(got, r.want, n);
	view_close(v);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
}

/* As a slave's log is cut: the queue, then the bytes.  Of message 40 only the body is gone. */
static void
cut_at_40(void)
{
	const struct queue_last last = { .end = MQ_POS(end_of(39)) };
	AUTO_CLOSE int fd = open_segment();
	int64_t end = end_of(99);
	char zeros[100000] = { 0 };

	assert_int_equal(queue_cut(r.q, MQ_QOFF(40), &last), MQ_OK);
	assert_true(pwrite(fd, zeros, (size_t)(end - last.end.byte - 100), last.end.byte + 100) > 0);
}

static void
a_cut_while_bytes_are_read_shows_none_of_what_it_removes(void **state)
{
	struct view *v = view_of(FORMAT_LINES);
	char got[sizeof(r.want)];
	size_t at = 0, n, len = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		append(i, false);
		len = i == 39 ? r.want_len : len;
	}
	meanwhile = cut_at_40;
	do {
		assert_int_equal(view_read(v, (int64_t)at, got + at, sizeof(got) - at, &n), MQ_OK);
		at += n;
	} while (n > 0);
	assert_null(meanwhile);
	assert_int_equal(at, len);
	assert_memory_equal(got, r.want, at);
	view_close(v);
}

/* A few segments would take the addresses that all else needs. */
static void
nothing_is_mapped_where_the_address_space_has_a_limit(void **state)
{
	struct rlimit none, limit;
	const unsigned char *map;
	AUTO_CLOSE int fd = memfd_create("mapped", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &none), 0);
	if (none.rlim_cur != RLIM_INFINITY)
		skip();
	map = mapped_open(fd, 4096);
	assert_non_null(map);
	mapped_close(map, 4096);
	limit = none;
	limit.rlim_cur = RLIM_INFINITY - 1;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	map = mapped_open(fd, 4096);
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	assert_null(map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_that_is_gone_is_an_error_each_time),
		cmocka_unit_test(elsewhere_it_ends_the_process),
		cmocka_unit_test(nothing_is_mapped_where_the_address_space_has_a_limit),
		cmocka_unit_test_setup_teardown(what_is_in_memory_is_read_from_there_byte_for_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(packed_bodies_are_read_among_others, setup, teardown),
		cmocka_unit_test_setup_teardown(a_segment_that_was_cut_short_is_EIO, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cut_while_bytes_are_read_shows_none_of_what_it_removes, setup, teardown),
	};

	return cmocka_run_group_tests_name("mapped", tests, NULL, NULL);
}
