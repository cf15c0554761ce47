/* mqtop: topics, groups, lag, clients and replication of a mounted broker, from the files of its mount. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <math.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/flags.h"
#include "conf/scope.h"
#include "contrib/mqtop/screen.h"

enum exit_code {
	EXIT_AWAY = 1,		/* the broker does not answer */
	EXIT_TROUBLE = 2,	/* usage; no mount */
};

static const char usage[] =
	"usage: mqtop [-b] [-n TIMES] [-d SECONDS] [-v VIEW] [-s COLUMN] [-f TEXT] [MOUNTPOINT]\n";

static void
print_help(void)
{
	fputs(usage, stdout);
	puts("\n"
	     "  -b          print, for scripts, and end; else a full screen, where h shows the keys\n"
	     "  -n TIMES    with -b: print so many times (default 1; 0: for ever)\n"
	     "  -d SECONDS  the pause between two looks at the broker (default 2)\n"
	     "  -v VIEW     topics, groups, clients, replication or log; -b without it prints all of them\n"
	     "  -s COLUMN   sort by this column, named by its heading\n"
	     "  -f TEXT     only rows with this text in one of their words\n"
	     "  -h, -V      this help; the version (also --help, --version)\n"
	     "\n"
	     "MOUNTPOINT may be left out where only one broker is mounted.\n"
	     "Exit status: 0, 1 if the broker does not answer, 2 trouble.");
}

/* --- which mount --------------------------------------------------------------------------------- */

/* The only one of type fuse.mqfs. */
static int
find_mount(char **ret)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	int n = 0;

	while (mounts && (m = getmntent(mounts))) {
		if (strcmp(m->mnt_type, "fuse.mqfs") != 0)
			continue;
		n++;
		free(*ret);
		*ret = strdup(m->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	if (n != 1)
		return err_note(-ENOENT, n ? "%d brokers are mounted: say which" : "no broker is mounted", n);
	return *ret ? MQ_OK : -ENOMEM;
}

/* --- the command line -------------------------------------------------------------------------------- */

static int
parse_number(int letter, const char *text, double least, double most, double *ret)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || !(n >= least && n <= most))
		return err_note(-EINVAL, "-%c %s: a number from %g to %g is wanted", letter, text, least, most);
	*ret = n;
	return MQ_OK;
}

static int
parse_flag(struct options *o, int letter)
{
	double n = 0;
	int rc = MQ_OK;

	switch (letter) {
	case 'b': o->batch = true; break;
	case 'n':
		rc = parse_number(letter, optarg, 0, 1e9, &n);
		o->count = (long)n;
		break;
	case 'd':
		rc = parse_number(letter, optarg, 0.1, 86400, &n);
		o->interval_ms = (int)(n * 1000);
		break;
	case 'v':
		o->view = view_find(optarg);
		if (o->view < 0)
			rc = err_note(-EINVAL, "-v %s: topics, groups, clients, replication or log is wanted", optarg);
		break;
	case 's': o->sort = optarg; break;
	case 'f': o->filter = optarg; break;
	case 'h': o->help = true; break;
	case 'V': o->version = true; break;
	default: rc = -EINVAL;
	}
	return rc;
}

static int
parse(struct options *o, int argc, char **argv)
{
	int letter, rc = MQ_OK;

	while (rc == MQ_OK && (letter = flags_next(argc, argv, "bn:d:v:s:f:hV")) != -1)
		rc = parse_flag(o, letter);
	if (rc == MQ_OK && argc - optind > 1)
		rc = err_note(-EINVAL, "%s: one mount point is wanted", argv[optind + 1]);
	if (rc == MQ_OK && o->sort && view_find_column(&views[o->view < 0 ? VIEW_TOPICS : o->view], o->sort) < 0)
		rc = err_note(-EINVAL, "-s %s: the view has no such column", o->sort);
	if (rc == MQ_OK && argc > optind)
		o->mount = argv[optind];
	return rc;
}

/* --- -b ---------------------------------------------------------------------------------------------------- */

static bool
print_view(const struct options *o, int view, const struct sample *now, const struct sample *before)
{
	struct look look = { .view = &views[view], .sort = views[view].sort, .filter = o->filter ? o->filter : "" };
	struct arranged a;
	bool done;

	if (view == VIEW_LOG) {
		fputs(now->log, stdout);
		return true;
	}
	if (o->sort && (o->view == view || (o->view < 0 && view == VIEW_TOPICS)))
		look.sort = view_find_column(look.view, o->sort);
	done = arrange(&look, now, before, 0, &a);
	for (size_t i = 0; done && i <= a.n; i++) {
		char *line = i ? arranged_line(&a, i - 1) : arranged_heading(&a);

		if (line)
			puts(line);
		free(line);
	}
	arranged_free(&a);
	return done;
}

/* All views but for the log, and those that have no rows. */
static bool
print_all(const struct options *o, const struct sample *now, const struct sample *before)
{
	char text[1024];
	bool done = true;

	summary_who(now, o->mount, text, sizeof(text));
	puts(text);
	summary_what(now, before, text, sizeof(text));
	puts(text);
	summary_trouble(now, text, sizeof(text));
	if (*text)
		puts(text);
	for (int view = 0; view < VIEW_LOG && done; view++) {
		if (rows_count(&now->rows[views[view].source]) == 0)
			continue;
		putchar('\n');
		done = print_view(o, view, now, before);
	}
	return done;
}

static int
batch(const struct options *o)
{
	bool with_clients = o->view < 0 || o->view == VIEW_CLIENTS;
	struct sample *now = NULL, *before = NULL;
	int rc = MQ_OK;

	for (long i = 0; (o->count == 0 || i < o->count) && rc == MQ_OK && !ferror(stdout); i++) {
		if (i) {
			putchar('\n');
			nanosleep(&(struct timespec){ o->interval_ms / 1000, o->interval_ms % 1000 * 1000000L }, NULL);
		}
		sample_free(before);
		before = now;
		now = NULL;
		rc = sample_take(o->mount, with_clients, &now);
		if (rc == MQ_OK && !(o->view < 0 ? print_all(o, now, before) : print_view(o, o->view, now, before)))
			rc = -ENOMEM;
		fflush(stdout);
	}
	sample_free(now);
	sample_free(before);
	if (rc != MQ_OK)
		fprintf(stderr, "mqtop: %s: %s\n", o->mount, err_text(rc));
	return rc == MQ_OK ? 0 : EXIT_AWAY;
}

/* --- the full screen -------------------------------------------------------------------------------------------- */

static int
watch(const struct options *o)
{
	struct sampler *sr;
	int rc;

	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
		fprintf(stderr, "mqtop: this is no terminal; mqtop -b only prints\n");
		return EXIT_TROUBLE;
	}
	rc = sampler_start(o->mount, o->interval_ms, &sr);
	if (rc != MQ_OK) {
		fprintf(stderr, "mqtop: %s\n", err_text(rc));
		return EXIT_TROUBLE;
	}
	rc = screen_run(o, sr);
	sampler_stop(sr);
	return rc;
}

int
main(int argc, char **argv)
{
	struct options o = { .interval_ms = 2000, .count = 1, .view = -1 };
	AUTO_FREE char *mount = NULL;
	int rc;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	rc = parse(&o, argc, argv);
	if (rc != MQ_OK) {
		fprintf(stderr, "mqtop: %s\n%s", err_text(rc), usage);
		return EXIT_TROUBLE;
	}
	if (o.help || o.version) {
		o.help ? print_help() : (void)puts("mqtop (mqfs) " PACKAGE_VERSION);
		return 0;
	}
	rc = o.mount ? MQ_OK : find_mount(&mount);
	if (rc != MQ_OK) {
		fprintf(stderr, "mqtop: %s\n", err_text(rc));
		return EXIT_TROUBLE;
	}
	if (!o.mount)
		o.mount = mount;
	return o.batch ? batch(&o) : watch(&o);
}
