#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/args.h"
#include "fs/command.h"
#include "fs/handle.h"
#include "fs/names.h"
#include "fs/node.h"
#include "fs/text.h"
#include "offsets/acl.h"

/* --- inode numbers ------------------------------------------------------------- */

static void
a_number_says_what_it_stands_for(void **state)
{
	struct mount m = { 0 };
	struct node n;

	(void)state;
	assert_int_equal(node_get(&m, node_ino(NODE_STATUS_FILE, 7, 0, 0), &n), MQ_OK);
	assert_int_equal(n.kind, NODE_STATUS_FILE);
	assert_int_equal(n.id, 7);
	assert_ptr_equal(n.class, &node_status_file);
	assert_int_equal(node_get(&m, node_ino_wide(NODE_SEGMENT, UINT64_C(1) << 40), &n), MQ_OK);
	assert_true(n.wide == UINT64_C(1) << 40);
}

static void
the_root_is_number_one(void **state)
{
	struct mount m = { 0 };
	struct node n;

	(void)state;
	assert_int_equal(node_ino(NODE_ROOT, 0, 0, 0), FUSE_ROOT_ID);
	assert_int_equal(node_get(&m, FUSE_ROOT_ID, &n), MQ_OK);
	assert_true(node_is_dir(&n));
}

static void
a_number_of_no_kind_is_stale(void **state)
{
	struct mount m = { 0 };
	struct node n;

	(void)state;
	assert_int_equal(node_get(&m, node_ino_wide(NODE_KINDS, 1), &n), -ESTALE);
	assert_int_equal(node_get(&m, UINT64_MAX, &n), -ESTALE);
}

static void
the_widest_ids_do_not_touch_each_other(void **state)
{
	fuse_ino_t id = node_ino(NODE_QUEUE, 0xffffff, 0, 0);
	fuse_ino_t queue = node_ino(NODE_QUEUE, 0, QUEUES_MAX - 1, 0);
	fuse_ino_t part = node_ino(NODE_QUEUE, 0, 0, NODE_PART_MASK);
	fuse_ino_t kind = node_ino(NODE_QUEUE, 0, 0, 0);

	(void)state;
	assert_true(((id ^ kind) & (queue ^ kind)) == 0);
	assert_true(((queue ^ kind) & (part ^ kind)) == 0);
	assert_true(((id ^ kind) & (part ^ kind)) == 0);
}

/* --- interned names ---------------------------------------------------------------- */

static void
a_name_has_the_same_number_after_a_remount(void **state)
{
	uint64_t first, second, other;
	struct names *ns;

	(void)state;
	assert_int_equal(names_open(NULL, &ns), MQ_OK);
	assert_int_equal(names_intern(ns, NODE_NAMED, 1, "q0@5", &first), MQ_OK);
	assert_int_equal(names_intern(ns, NODE_NAMED, 2, "q0@5", &other), MQ_OK);
	assert_true(first != other);
	names_close(ns);
	assert_int_equal(names_open(NULL, &ns), MQ_OK);
	assert_int_equal(names_intern(ns, NODE_NAMED, 1, "q0@5", &second), MQ_OK);
	assert_true(first == second);
	names_close(ns);
}

static void
a_name_is_forgotten_with_its_last_hold(void **state)
{
	struct names *ns;
	const char *text;
	uint64_t number;
	uint32_t id;

	(void)state;
	assert_int_equal(names_open(NULL, &ns), MQ_OK);
	assert_int_equal(names_intern(ns, NODE_NAMED, 9, "all:follow", &number), MQ_OK);
	names_hold(ns, number);
	names_drop(ns, number, 1);
	assert_int_equal(names_find(ns, number, &text, &id), MQ_OK);
	assert_string_equal(text, "all:follow");
	assert_int_equal(id, 9);
	names_drop(ns, number, 1);
	assert_int_equal(names_find(ns, number, &text, &id), -ESTALE);
	names_close(ns);
}

/* The kernel may forget a name, held since an earlier look-up, while another look-up of
 * it is about to be answered. */
static void
a_name_that_was_looked_up_outlives_what_the_kernel_forgets_meanwhile(void **state)
{
	uint64_t known, number;
	struct names *ns;
	const char *text;
	uint32_t id;

	(void)state;
	assert_int_equal(names_open(NULL, &ns), MQ_OK);
	assert_int_equal(names_intern(ns, NODE_NAMED, 9, "q0:follow", &known), MQ_OK);
	assert_int_equal(names_intern(ns, NODE_NAMED, 9, "q0:follow", &number), MQ_OK);
	assert_true(number == known);
	assert_int_equal(names_find(ns, number, &text, &id), MQ_OK);
	names_drop(ns, known, 1);		/* forgotten */
	assert_string_equal(text, "q0:follow");
	names_hold(ns, number);			/* the answer */
	names_drop(ns, number, 1);
	assert_int_equal(names_find(ns, number, &text, &id), MQ_OK);
	names_drop(ns, number, 1);
	assert_int_equal(names_find(ns, number, &text, &id), -ESTALE);
	names_close(ns);
}

/* --- texts ---------------------------------------------------------------------------- */

static void
a_text_grows_with_what_is_added(void **state)
{
	struct text t = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		text_printf(&t, "%d,", i);
	text_add(&t, "", 0);
	assert_int_equal(t.err, MQ_OK);
	assert_int_equal(t.len, strlen(t.buf));
	assert_int_equal(strncmp(t.buf, "0,1,2,", 6), 0);
	assert_string_equal(t.buf + t.len - 4, "999,");
	text_free(&t);
}

static void
words_are_split_at_blanks(void **state)
{
	char line[] = "  trim\tq0  17 ";
	char *words[COMMAND_WORDS_MAX];

	(void)state;
	assert_int_equal(words_split(line, words), 3);
	assert_string_equal(words[0], "trim");
	assert_string_equal(words[2], "17");
}

/* --- access lists ------------------------------------------------------------------------ */

/* user::rw- user:65534:r-- group::r-- mask::rw- other::--- */
static const unsigned char list[] = {
	2, 0, 0, 0,
	0x01, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
	0x02, 0, 4, 0, 0xfe, 0xff, 0, 0,
	0x04, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
	0x10, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
	0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
};

static void
the_mask_of_an_access_list_is_the_modes_group(void **state)
{
	unsigned char copy[sizeof(list)];
	mode_t mode;

	(void)state;
	assert_int_equal(acl_mode(list, sizeof(list), &mode), MQ_OK);
	assert_int_equal(mode, 0660);
	memcpy(copy, list, sizeof(list));
	acl_set_mode(copy, sizeof(copy), 0744);
	assert_int_equal(acl_mode(copy, sizeof(copy), &mode), MQ_OK);
	assert_int_equal(mode, 0744);
	assert_memory_equal(copy + 12, list + 12, 16);	/* users and the group stay */
}

static void
bytes_that_are_no_access_list_are_refused(void **state)
{
	static const unsigned char version_3[4] = { 3 };
	mode_t mode;

	(void)state;
	assert_int_equal(acl_mode(list, 3, &mode), -EINVAL);
	assert_int_equal(acl_mode(list, sizeof(list) - 1, &mode), -EINVAL);
	assert_int_equal(acl_mode(version_3, sizeof(version_3), &mode), -EINVAL);
}

/* --- the command line ----------------------------------------------------------------------- */

static int
parse(const char *line, struct args *ret_args)
{
	char *copy = strdup(line), *argv[32], *state = NULL;
	struct settings settings;
	int argc = 0, rc;

	for (char *w = strtok_r(copy, " ", &state); w; w = strtok_r(NULL, " ", &state))
		argv[argc++] = w;
	argv[argc] = NULL;
	assert_int_equal(settings_init(&settings), MQ_OK);
	rc = args_parse(argc, argv, &settings, ret_args);
	settings_free(&settings);
	free(copy);
	return rc;
}

static void
one_argument_is_the_mount_point(void **state)
{
	struct args args;

	(void)state;
	assert_int_equal(parse("mount.mqfs /mnt -o store=/srv/mq", &args), MQ_OK);
	assert_string_equal(args.mountpoint, "/mnt");
	assert_string_equal(args.store, "/srv/mq");
	args_free(&args);
}

static void
what_mount_8_passes_on_is_understood(void **state)
{
	struct args args;

	(void)state;
	assert_int_equal(parse("mount.mqfs /s /m -n -v -o rw,noexec,nosuid,nodev,nofail,_netdev,user,x-a.b=c -t mqfs",
			       &args), MQ_OK);
	assert_false(args.foreground || args.fake || args.read_only);
	assert_non_null(strstr(args.mount_options, ",noexec,nosuid,nodev"));
	assert_null(strstr(args.mount_options, "_netdev"));
	args_free(&args);
}

static void
the_fake_flag_of_mount_8_is_told_from_ours(void **state)
{
	struct args args;

	(void)state;
	assert_int_equal(parse("mount.mqfs /s /m -f -o rw", &args), MQ_OK);
	assert_true(args.fake && !args.foreground);
	args_free(&args);
	assert_int_equal(parse("mount.mqfs -f /s /m -o rw", &args), MQ_OK);
	assert_true(args.foreground && !args.fake);
	args_free(&args);
	assert_int_equal(parse("mount.mqfs /s /m -f", &args), MQ_OK);
	assert_true(args.foreground && !args.fake);
	args_free(&args);
}

static void
a_comma_in_a_stores_path_stays_in_it(void **state)
{
	struct args args;

	(void)state;
	assert_int_equal(parse("mount.mqfs /a,b /m -o ro", &args), MQ_OK);
	assert_non_null(strstr(args.mount_options, "fsname=/a\\,b,subtype=mqfs"));
	assert_true(args.read_only);
	args_free(&args);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_says_what_it_stands_for),
		cmocka_unit_test(the_root_is_number_one),
		cmocka_unit_test(a_number_of_no_kind_is_stale),
		cmocka_unit_test(the_widest_ids_do_not_touch_each_other),
		cmocka_unit_test(a_name_has_the_same_number_after_a_remount),
		cmocka_unit_test(a_name_is_forgotten_with_its_last_hold),
		cmocka_unit_test(a_name_that_was_looked_up_outlives_what_the_kernel_forgets_meanwhile),
		cmocka_unit_test(a_text_grows_with_what_is_added),
		cmocka_unit_test(words_are_split_at_blanks),
		cmocka_unit_test(the_mask_of_an_access_list_is_the_modes_group),
		cmocka_unit_test(bytes_that_are_no_access_list_are_refused),
		cmocka_unit_test(one_argument_is_the_mount_point),
		cmocka_unit_test(what_mount_8_passes_on_is_understood),
		cmocka_unit_test(the_fake_flag_of_mount_8_is_told_from_ours),
		cmocka_unit_test(a_comma_in_a_stores_path_stays_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
