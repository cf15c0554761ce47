#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "fs/args.h"

/* -o words that are not settings. */
enum word_use {
	WORD_KERNEL,		/* libfuse passes it on */
	WORD_TOLERATED,		/* says something to mount(8) or systemd only */
	WORD_READ_ONLY,
	WORD_CONF,
	WORD_STORE,
};

static const struct word {
	const char *name;	/* with a final '=': takes a value; with '*': a prefix */
	enum word_use use;
} words[] = {
	{ "ro", WORD_READ_ONLY },
	{ "rw", WORD_TOLERATED },
	{ "conf=", WORD_CONF },
	{ "store=", WORD_STORE },
	{ "storePathRootDir=", WORD_STORE },
	{ "exec", WORD_KERNEL },
	{ "noexec", WORD_KERNEL },
	{ "suid", WORD_KERNEL },
	{ "nosuid", WORD_KERNEL },
	{ "dev", WORD_KERNEL },
	{ "nodev", WORD_KERNEL },
	{ "atime", WORD_KERNEL },
	{ "noatime", WORD_KERNEL },
	{ "sync", WORD_KERNEL },
	{ "dirsync", WORD_KERNEL },
	{ "allow_other", WORD_KERNEL },
	{ "default_permissions", WORD_TOLERATED },	/* always */
	{ "async", WORD_TOLERATED },
	{ "relatime", WORD_TOLERATED },
	{ "norelatime", WORD_TOLERATED },
	{ "strictatime", WORD_TOLERATED },
	{ "nostrictatime", WORD_TOLERATED },
	{ "diratime", WORD_TOLERATED },
	{ "nodiratime", WORD_TOLERATED },
	{ "lazytime", WORD_TOLERATED },
	{ "nolazytime", WORD_TOLERATED },
	{ "silent", WORD_TOLERATED },
	{ "loud", WORD_TOLERATED },
	{ "defaults", WORD_TOLERATED },
	{ "auto", WORD_TOLERATED },
	{ "noauto", WORD_TOLERATED },
	{ "user", WORD_TOLERATED },
	{ "user=", WORD_TOLERATED },
	{ "nouser", WORD_TOLERATED },
	{ "users", WORD_TOLERATED },
	{ "nousers", WORD_TOLERATED },
	{ "owner", WORD_TOLERATED },
	{ "noowner", WORD_TOLERATED },
	{ "group", WORD_TOLERATED },
	{ "nogroup", WORD_TOLERATED },
	{ "fail", WORD_TOLERATED },
	{ "nofail", WORD_TOLERATED },
	{ "_netdev", WORD_TOLERATED },
	{ "comment=", WORD_TOLERATED },
	{ "x-*", WORD_TOLERATED },
	{ "X-*", WORD_TOLERATED },
};

/* While parsing: what the options said so far. */
struct words_seen {
	char **settings;	/* "key=value", owned */
	size_t n_settings;
	char *conf;
	char *store;
	char *kernel;		/* ",noexec,nosuid" */
	bool allow_other;
	bool read_only;
};

static bool
word_matches(const char *name, const char *text)
{
	size_t len = strlen(name);

	if (name[len - 1] == '*')
		return strncmp(name, text, len - 1) == 0;
	if (name[len - 1] == '=')
		return strncmp(name, text, len) == 0;
	return strcmp(name, text) == 0;
}

static const struct word *
word_find(const char *text)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (word_matches(words[i].name, text))
			return &words[i];
	return NULL;
}

static int
replace_text(char **at, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return MQ_OK;
}

static int
seen_setting(struct words_seen *seen, const char *text)
{
	char **more = realloc(seen->settings, (seen->n_settings + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	seen->settings = more;
	more[seen->n_settings] = strdup(text);
	return more[seen->n_settings++] ? MQ_OK : -ENOMEM;
}

static int
seen_kernel(struct words_seen *seen, const char *text)
{
	char *all;

	if (strcmp(text, "allow_other") == 0) {
		seen->allow_other = true;
		return MQ_OK;
	}
	if (asprintf(&all, "%s,%s", seen->kernel ? seen->kernel : "", text) < 0)
		return -ENOMEM;
	free(seen->kernel);
	seen->kernel = all;
	return MQ_OK;
}

static int
seen_word(struct words_seen *seen, const char *text)
{
	const struct word *word = word_find(text);
	const char *value = strchr(text, '=');

	if (!word)
		return seen_setting(seen, text);
	switch (word->use) {
	case WORD_KERNEL:
		return seen_kernel(seen, text);
	case WORD_TOLERATED:
		if (strcmp(text, "rw") == 0)
			seen->read_only = false;
		return MQ_OK;
	case WORD_READ_ONLY:
		seen->read_only = true;
		return MQ_OK;
	case WORD_CONF:
		return replace_text(&seen->conf, value + 1);
	case WORD_STORE:
		return replace_text(&seen->store, value + 1);
	}
	return MQ_OK;
}

/* The next word of an -o list, in place: "\," stands for a comma in it. */
static char *
next_word(char **rest)
{
	char *word = *rest, *to = word, *from = word;

	if (!word)
		return NULL;
	for (; *from && *from != ','; from++) {
		if (from[0] == '\\' && (from[1] == ',' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return word;
}

static int
seen_list(struct words_seen *seen, const char *list)
{
	AUTO_FREE char *copy = strdup(list);
	char *rest = copy, *word;
	int rc = copy ? MQ_OK : -ENOMEM;

	while (rc == MQ_OK && (word = next_word(&rest)) != NULL)
		if (*word)
			rc = seen_word(seen, word);
	return rc;
}

static void
words_seen_free(struct words_seen *seen)
{
	for (size_t i = 0; i < seen->n_settings; i++)
		free(seen->settings[i]);
	free(seen->settings);
	free(seen->conf);
	free(seen->store);
	free(seen->kernel);
}

/* defaults < conf file < -o */
static int
apply_settings(const struct words_seen *seen, struct settings *settings)
{
	int rc = MQ_OK;

	if (seen->conf)
		rc = settings_load(settings, seen->conf);
	for (size_t i = 0; i < seen->n_settings && rc == MQ_OK; i++) {
		char *value = strchr(seen->settings[i], '=');

		if (value)
			*value++ = '\0';
		rc = settings_set(settings, seen->settings[i], value ? value : "true", "-o");
	}
	return rc == MQ_OK ? settings_check(settings) : rc;
}

/* --- places ------------------------------------------------------------------ */

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
		return err_note(-errno, "%s: where are we? %m", path);
	return asprintf(ret, "%s/%s", cwd, path) < 0 ? -ENOMEM : MQ_OK;
}

static int
default_store(char **ret)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int len;

	if (geteuid() == 0)
		len = asprintf(ret, "/var/lib/mqfs");
	else if (state && *state == '/')
		len = asprintf(ret, "%s/mqfs", state);
	else if (home && *home == '/')
		len = asprintf(ret, "%s/.local/state/mqfs", home);
	else
		return err_note(-EINVAL, "STORE must be given: neither XDG_STATE_HOME nor HOME says where it is");
	return len < 0 ? -ENOMEM : MQ_OK;
}

/* `none` is what an fstab says that leaves the source to us. */
static int
choose_store(const char *operand, const char *option, char **ret)
{
	if (operand && strcmp(operand, "none") != 0)
		return absolute(operand, ret);
	if (option)
		return absolute(option, ret);
	return default_store(ret);
}

static int
choose_places(int n, char **operands, const struct words_seen *seen, struct args *args)
{
	int rc;

	if (n < 1)
		return err_note(-EINVAL, "MOUNTPOINT is missing");
	if (n > 2)
		return err_note(-EINVAL, "%s: one argument too many", operands[2]);
	rc = choose_store(n == 2 ? operands[0] : NULL, seen->store, &args->store);
	if (rc != MQ_OK)
		return rc;
	return absolute(operands[n - 1], &args->mountpoint);
}

/* --- what libfuse is told ----------------------------------------------------- */

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

static int
choose_mount_options(const struct words_seen *seen, struct args *args)
{
	AUTO_FREE char *name = escape_commas(args->store);
	bool others = seen->allow_other || geteuid() == 0;

	if (!name)
		return -ENOMEM;
	args->read_only = seen->read_only;
	return asprintf(&args->mount_options, "fsname=%s,subtype=mqfs,default_permissions%s%s%s", name,
			others ? ",allow_other" : "", seen->read_only ? ",ro" : "",
			seen->kernel ? seen->kernel : "") < 0 ?
		       -ENOMEM :
		       MQ_OK;
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
			return flag && (strncmp(argv[i + 1], "rw", 2) == 0 || strncmp(argv[i + 1], "ro", 2) == 0);
	}
	return false;
}

static int
parse_flags(int argc, char **argv, struct words_seen *seen, struct args *args)
{
	int c, rc = MQ_OK;

	args->fake = is_fake(argc, argv);
	optind = 0;
	while (rc == MQ_OK && (c = getopt(argc, argv, ":fdhVo:nvsN:t:")) != -1) {
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
			rc = seen_list(seen, optarg);
			break;
		case ':':
			return err_note(-EINVAL, "-%c needs a value", optopt);
		case '?':
			return err_note(-EINVAL, "-%c: no such option", optopt);
		default:	/* mount(8)'s own: -n -v -s -N -t */
			break;
		}
	}
	return rc;
}

int
args_parse(int argc, char **argv, struct settings *settings, struct args *ret_args)
{
	struct words_seen seen = { 0 };
	struct args args = { 0 };
	int rc;

	rc = parse_flags(argc, argv, &seen, &args);
	if (rc == MQ_OK && !args.help && !args.version) {
		rc = choose_places(argc - optind, argv + optind, &seen, &args);
		if (rc == MQ_OK)
			rc = apply_settings(&seen, settings);
		if (rc == MQ_OK)
			rc = choose_mount_options(&seen, &args);
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
	*args = (struct args){ 0 };
}
