#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/flags.h"
#include "conf/scope.h"
#include "fs/args.h"

/* -o words that are not settings. */
enum word_use {
	WORD_KERNEL,		/* libfuse passes it on */
	WORD_LABEL,		/* =VALUE, which libfuse passes on where the kernel has SELinux */
	WORD_REMOUNT,
	WORD_MOUNTED,		/* the kernel shows it of what is mounted, and mount(8) gives it to a remount */
	WORD_TOLERATED,		/* says something to mount(8) or systemd only */
	WORD_READ_ONLY,
	WORD_READ_WRITE,
	WORD_CONF,		/* =FILE */
};

#define WORDS_MAX 40

/* In a name, "*" stands for any end. */
static const struct words {
	enum word_use use;
	const char *names[WORDS_MAX];
} words[] = {
	{ WORD_READ_ONLY, { "ro" } },
	{ WORD_READ_WRITE, { "rw" } },
	{ WORD_REMOUNT, { "remount" } },
	{ WORD_CONF, { "conf" } },
	{ WORD_KERNEL, { "exec", "noexec", "suid", "nosuid", "dev", "nodev", "atime", "noatime", "sync", "dirsync" } },
	{ WORD_LABEL, { "context", "fscontext", "defcontext", "rootcontext" } },
	{ WORD_MOUNTED, { "user_id", "group_id", "max_read" } },
	{ WORD_TOLERATED, {
		"default_permissions",		/* always */
		"symfollow", "nosymfollow",	/* there are no links to follow */
		"async", "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime",
		"lazytime", "nolazytime", "silent", "loud", "defaults", "auto", "noauto", "user", "nouser", "users",
		"nousers", "owner", "noowner", "group", "nogroup", "fail", "nofail", "_netdev", "comment", "x-*", "X-*",
	} },
};

/* What the options said that is not a setting. */
struct words_seen {
	char *conf;
	char *kernel;		/* ",noexec,nosuid" */
	const char *mounted;	/* the first WORD_MOUNTED */
	bool read_only;
	bool remount;
	bool no_memory;
};

/* The name in the table that key matches; NULL: none. */
static const char *
word_find(const char *key, enum word_use *ret_use)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (const char *const *name = words[i].names; *name; name++)
			if (fnmatch(*name, key, 0) == 0) {
				*ret_use = words[i].use;
				return *name;
			}
	return NULL;
}

static void
seen_kernel(struct words_seen *seen, const char *key)
{
	char *all;

	if (asprintf(&all, "%s,%s", seen->kernel ? seen->kernel : "", key) < 0) {
		seen->no_memory = true;
		return;
	}
	free(seen->kernel);
	seen->kernel = all;
}

/* A path as an option's value. */
static char *
escape_commas(const char *path)
{
	char *out = malloc(2 * strlen(path) + 1), *to = out;

	if (!out)
		return NULL;
	for (; *path; *to++ = *path++)
		if (*path == ',' || *path == '\\')
			*to++ = '\\';
	*to = '\0';
	return out;
}

static void
seen_label(struct words_seen *seen, const char *key, const char *value)
{
	AUTO_FREE char *escaped = escape_commas(value);
	AUTO_FREE char *word = NULL;

	if (!escaped || asprintf(&word, "%s=%s", key, escaped) < 0) {
		word = NULL;
		seen->no_memory = true;
		return;
	}
	if (access("/sys/fs/selinux/enforce", F_OK) == 0)	/* a kernel without SELinux refuses labels */
		seen_kernel(seen, word);
}

static bool
seen_word(void *arg, const char *key, const char *value)
{
	struct words_seen *seen = arg;
	enum word_use use;
	const char *name = word_find(key, &use);

	if (!name)
		return false;
	switch (use) {
	case WORD_KERNEL:
		seen_kernel(seen, key);
		break;
	case WORD_LABEL:
		if (value)
			seen_label(seen, key, value);
		return value != NULL;
	case WORD_REMOUNT:
		seen->remount = true;
		break;
	case WORD_MOUNTED:
		seen->mounted = name;
		break;
	case WORD_READ_ONLY:
	case WORD_READ_WRITE:
		seen->read_only = use == WORD_READ_ONLY;
		break;
	case WORD_CONF:
		free(seen->conf);
		seen->conf = value ? strdup(value) : NULL;
		return value != NULL;
	case WORD_TOLERATED:
		break;
	}
	return true;
}

static void
words_seen_free(struct words_seen *seen)
{
	free(seen->conf);
	free(seen->kernel);
	*seen = (struct words_seen){ 0 };
}

/* All -o together, applied to settings (NULL: to none). */
static int
apply_options(const char *options, struct settings *settings, struct words_seen *seen)
{
	int rc;

	words_seen_free(seen);
	rc = settings_set_options(settings, options, "-o", seen_word, seen);
	if (rc == MQ_OK && seen->mounted && !seen->remount)
		return err_note(MQ_EBADCONF, "-o: %s goes with remount only", seen->mounted);
	return rc == MQ_OK && seen->no_memory ? -ENOMEM : rc;
}

/* defaults < conf file < -o: what -o says is read twice, the first time only
 * to learn which file.  A remount compares what is said with what is mounted, so nothing that
 * was not said is chosen for it. */
static int
apply_all(const char *options, struct settings *settings, struct words_seen *seen)
{
	int rc = apply_options(options, NULL, seen);

	if (rc == MQ_OK && seen->conf)
		rc = settings_load(settings, seen->conf);
	if (rc == MQ_OK)
		rc = apply_options(options, settings, seen);
	if (rc != MQ_OK || seen->remount)
		return rc;
	rc = settings_resolve(settings);
	return rc == MQ_OK ? settings_check(settings) : rc;
}

/* --- paths ------------------------------------------------------------------ */

static int
absolute(const char *path, char **ret)
{
	AUTO_FREE char *cwd = NULL;

	if (!*path)
		return err_note(-EINVAL, "an empty path");
	if (*path == '/')
		return (*ret = strdup(path)) ? MQ_OK : -ENOMEM;
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_note(-errno, "%s: the working directory is not known: %m", path);
	return asprintf(ret, "%s/%s", cwd, path) < 0 ? -ENOMEM : MQ_OK;
}

static int
default_store(char **ret, bool *ret_users)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int len;

	*ret_users = geteuid() != 0;
	if (!*ret_users)
		len = asprintf(ret, "/var/lib/mqfs");
	else if (state && *state == '/')
		len = asprintf(ret, "%s/mqfs", state);
	else if (home && *home == '/')
		len = asprintf(ret, "%s/.local/state/mqfs", home);
	else
		return err_note(-EINVAL, "STORE must be given: neither XDG_STATE_HOME nor HOME is set");
	return len < 0 ? -ENOMEM : MQ_OK;
}

/* An fstab has `none` as the source if the store is not given there. */
static int
choose_store(const char *operand, const struct settings *settings, struct args *args)
{
	if (operand && strcmp(operand, "none") != 0)
		return absolute(operand, &args->store);
	if (*settings->storePathRootDir)
		return absolute(settings->storePathRootDir, &args->store);
	return default_store(&args->store, &args->in_state_home);
}

/* Make the path absolute, because the daemon changes its directory to /. */
static int
choose_commitlog(struct settings *settings)
{
	AUTO_FREE char *path = NULL;
	int rc;

	if (!*settings->storePathCommitLog)
		return MQ_OK;
	rc = absolute(settings->storePathCommitLog, &path);
	return rc == MQ_OK ? settings_set(settings, "storePathCommitLog", path, "-o") : rc;
}

static int
choose_places(int n, char **operands, struct settings *settings, struct args *args)
{
	int rc;

	if (n < 1)
		return err_note(-EINVAL, "MOUNTPOINT is missing");
	if (n > 2)
		return err_note(-EINVAL, "%s: one argument too many", operands[2]);
	rc = choose_store(n == 2 ? operands[0] : NULL, settings, args);
	if (rc == MQ_OK)
		rc = choose_commitlog(settings);
	return rc == MQ_OK ? absolute(operands[n - 1], &args->mountpoint) : rc;
}

/* --- options for libfuse ----------------------------------------------------- */

static int
choose_mount_options(const struct words_seen *seen, const struct settings *settings, struct args *args)
{
	AUTO_FREE char *name = escape_commas(args->store);
	bool others = settings->allowOther == ALLOW_OTHER_TRUE;
	int len;

	if (!name)
		return -ENOMEM;
	args->read_only = seen->read_only;
	args->remount = seen->remount;
	args->kernel_words = strdup(seen->kernel ? seen->kernel : "");
	len = asprintf(&args->mount_options, "fsname=%s,subtype=mqfs,default_permissions%s%s%s", name,
		       others ? ",allow_other" : "", seen->read_only ? ",ro" : "",
		       seen->kernel ? seen->kernel : "");
	if (len < 0)
		args->mount_options = NULL;
	return args->mount_options && args->kernel_words ? MQ_OK : -ENOMEM;
}

/* --- the command line ------------------------------------------------------------ */

/* mount(8) has its own -f, "fake".  It calls helpers in one order only: both
 * operands, flags, then -o with rw or ro as its first word.  People put
 * flags first, or have no such list. */
static bool
is_fake(int argc, char **argv)
{
	bool flag = false;

	if (argc < 6 || argv[1][0] == '-' || argv[2][0] == '-')
		return false;
	for (int i = 3; i + 1 < argc; i++) {
		if (strcmp(argv[i], "-f") == 0)
			flag = true;
		if (strcmp(argv[i], "-o") == 0)
			return flag && (text_begins(argv[i + 1], "rw") || text_begins(argv[i + 1], "ro"));
	}
	return false;
}

/* -o may be given more than once. */
static int
options_join(char **options, const char *more)
{
	char *all;

	if (asprintf(&all, "%s,%s", *options ? *options : "", more) < 0)
		return -ENOMEM;
	free(*options);
	*options = all;
	return MQ_OK;
}

static int
parse_flags(int argc, char **argv, char **options, struct args *args)
{
	int c, rc = MQ_OK;

	args->fake = is_fake(argc, argv);
	optind = 0;
	while (rc == MQ_OK && (c = flags_next(argc, argv, "fdhVo:nvsN:t:")) != -1) {
		switch (c) {
		case 'f':
			args->foreground = !args->fake;
			break;
		case 'd':
			args->debug = args->foreground = true;
			break;
		case 'h':
			args->help = true;
			break;
		case 'V':
			args->version = true;
			break;
		case 'o':
			rc = options_join(options, optarg);
			break;
		case '?':
			return -EINVAL;
		default:	/* mount(8)'s own: -n -v -s -N -t */
			break;
		}
	}
	return rc;
}

int
args_parse(int argc, char **argv, struct settings *settings, struct args *ret_args)
{
	AUTO_FREE char *options = NULL;
	struct words_seen seen = { 0 };
	struct args args = { 0 };
	int rc;

	rc = parse_flags(argc, argv, &options, &args);
	if (rc == MQ_OK && !args.help && !args.version) {
		rc = apply_all(options ? options : "", settings, &seen);
		if (rc == MQ_OK)
			rc = choose_places(argc - optind, argv + optind, settings, &args);
		if (rc == MQ_OK)
			rc = choose_mount_options(&seen, settings, &args);
	}
	words_seen_free(&seen);
	if (rc == MQ_OK)
		*ret_args = args;
	else
		args_free(&args);
	return rc;
}

void
args_free(struct args *args)
{
	free(args->store);
	free(args->mountpoint);
	free(args->mount_options);
	free(args->kernel_words);
	*args = (struct args){ 0 };
}
