/* fsck.mqfs: is all of a store as it should be?  And with -y: as far as it can be. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/array.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/flags.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/fsck.h"
#include "store/durable.h"
#include "store/file.h"

/* As fsck(8): a sum. */
enum exit_code {
	EXIT_CORRECTED = 1,
	EXIT_UNCORRECTED = 4,
	EXIT_OPERATION = 8,
	EXIT_USAGE = 16,
};

#define BUSY_WAIT_MS 5000
#define LINES_MAX 100		/* of one kind */
#define LOOK_PIECES 4096	/* between two looks at the clock */

struct args {
	const char *path;
	bool repair, look_only;
	bool progress;
	int progress_fd;	/* -1: people read it */
	bool help, version;
};

/* In this order: all need the rows of LMDB; the others ask check_log what the log has lost; and
 * check_index adds entries of lost records before the views get the next record. */
static const struct check *const checks[] = {
	&check_tables, &check_log, &check_index, &check_queues, &check_files,
};

#define N_CHECKS (sizeof(checks) / sizeof(checks[0]))

/* --- findings ---------------------------------------------------------------------------- */

void
finding(struct fsck *f, enum fix fix, const char *where, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	if (f->found[fix]++ >= LINES_MAX || (f->again && (fix == FIX_NEVER || fix == FIX_NONE)))
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	for (char *c = what; *c; c++)	/* names in a damaged record may be anything */
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	printf("%s%s: %s\n", fix == FIX_NONE ? "note: " : "", where, what);
	if (f->found[fix] == LINES_MAX)
		printf("...: more of this kind are counted only\n");
}

const char *
log_at(mq_pos pos)
{
	static char where[32];

	snprintf(where, sizeof(where), "log at %" PRId64, pos.byte);
	return where;
}

void
trouble(struct fsck *f, int rc)
{
	if (f->rc == MQ_OK)
		f->rc = rc;
}

bool
is_promised(const struct fsck *f, mq_pos pos)
{
	return f->has_mark ? pos.byte < f->mark.dispatched.byte : f->dir->was_clean;
}

bool
is_lost(const struct fsck *f, mq_pos pos)
{
	if (pos.byte < f->begin.byte || pos.byte >= f->end.byte)
		return true;
	for (size_t i = 0; i < f->n_bad; i++)
		if (pos.byte >= f->bad[i].from.byte && pos.byte < f->bad[i].to.byte)
			return true;
	return false;
}

void
note_contradicted(struct fsck *f, mq_pos pos)
{
	if (is_contradicted(f, pos))
		return;
	if (ARRAY_ROOM(f->contradicted, f->max_contradicted, f->n_contradicted + 1) != MQ_OK)
		trouble(f, -ENOMEM);
	else
		f->contradicted[f->n_contradicted++] = pos;
}

bool
is_contradicted(const struct fsck *f, mq_pos pos)
{
	for (size_t i = 0; i < f->n_contradicted; i++)
		if (f->contradicted[i].byte == pos.byte)
			return true;
	return false;
}

/* --- progress ------------------------------------------------------------------------------ */

struct progress {
	const struct args *args;
	mq_pos from, to;
	int64_t started_ms, told_ms;
};

static void
progress_begin(struct progress *p, const struct fsck *f, const struct args *args)
{
	size_t n;
	const struct log_file *files = logscan_files(f->log, &n);

	*p = (struct progress){ .args = args, .from = logscan_begin(f->log) };
	p->to = n > 0 ? pos_add(files[n - 1].base, files[n - 1].bytes) : p->from;
	if (f->has_mark && f->mark.dispatched.byte > p->from.byte && f->mark.dispatched.byte < p->to.byte)
		p->to = f->mark.dispatched;
	p->started_ms = clock_mono_ms();
}

/* Percent, rate and how long it will take; or, for a program, as e2fsck tells it. */
static void
progress_tell(struct progress *p, mq_pos at, bool last)
{
	int64_t now = clock_mono_ms(), done = at.byte - p->from.byte, all = p->to.byte - p->from.byte;
	int64_t ms = now - p->started_ms, rate, percent;

	if (!p->args->progress || (!last && now - p->told_ms < 200))
		return;
	p->told_ms = now;
	percent = all <= 0 || done >= all ? 100 : done * 100 / all;
	if (p->args->progress_fd >= 0) {
		dprintf(p->args->progress_fd, "1 %" PRId64 " 100 %s\n", percent, p->args->path);
		return;
	}
	rate = ms > 0 ? done / ms * 1000 : 0;
	fprintf(stderr, "\r%3" PRId64 " %%  %" PRId64 " MiB/s  %" PRId64 " s left   %s", percent, rate >> 20,
		rate > 0 && done < all ? (all - done) / rate : 0, last ? "\n" : "");
}

/* --- checking -------------------------------------------------------------------------------- */

static void
read_log(struct fsck *f, const struct args *args)
{
	struct log_piece p;
	struct progress progress;
	int rc = MQ_OK;

	logscan_set_promised(f->log, durable_promised(f->dir, f->has_mark ? f->mark.dispatched : MQ_POS(-1)));
	progress_begin(&progress, f, args);
	for (int64_t n = 0; f->rc == MQ_OK && (rc = logscan_next(f->log, &p)) == MQ_OK; n++) {
		for (size_t i = 0; i < N_CHECKS && f->rc == MQ_OK; i++)
			if (checks[i]->piece)
				checks[i]->piece(f, &p);
		if (n % LOOK_PIECES == 0)
			progress_tell(&progress, p.pos, false);
	}
	progress_tell(&progress, f->end, true);
	if (rc != MQ_OK && rc != MQ_EEND)
		trouble(f, rc);
}

static void
run_checks(struct fsck *f, const struct args *args)
{
	for (size_t i = 0; i < N_CHECKS && f->rc == MQ_OK; i++)
		if (checks[i]->begin)
			checks[i]->begin(f);
	if (f->rc == MQ_OK)
		read_log(f, args);
	for (size_t i = 0; i < N_CHECKS && f->rc == MQ_OK; i++)
		if (checks[i]->end)
			checks[i]->end(f);
}

/* Free all but the findings and the list of the log's files. */
static void
checks_free(struct fsck *f)
{
	for (size_t i = 0; i < N_CHECKS; i++)
		if (checks[i]->free)
			checks[i]->free(f);
	logscan_close(f->look);
	f->look = NULL;
	f->dir = NULL;
}

static void
fsck_free(struct fsck *f)
{
	logscan_close(f->log);
	store_checkpoint_free(&f->mark);
	free(f->bad);
	free(f->contradicted);
}

/* Check the store as it is; its lock is held meanwhile. */
static int
check_store(struct fsck *f, struct settings *settings, const struct args *args)
{
	const char *log = *settings->storePathCommitLog ? settings->storePathCommitLog : args->path;
	struct storedir dir;
	int rc = storedir_open(args->path, settings->storePathCommitLog, true, BUSY_WAIT_MS, &dir);

	if (rc != MQ_OK)
		return rc;
	record_delays_are(settings->messageDelayLevel);
	f->settings = settings;
	f->dir = &dir;
	f->has_views = faccessat(dir.fd, "snapshot", F_OK, 0) != 0 ||
		       faccessat(dir.fd, "consumequeue", F_OK, 0) == 0;
	rc = logscan_open(log, &f->log);
	if (rc == MQ_OK)
		rc = logscan_open(log, &f->look);
	if (rc == MQ_OK) {
		run_checks(f, args);
		rc = f->rc;
	}
	checks_free(f);
	storedir_close(&dir);
	return rc;
}

/* --- repairing --------------------------------------------------------------------------------- */

static int64_t
errors(const struct fsck *f)
{
	int64_t n = 0;

	for (int fix = FIX_NONE + 1; fix < FIXES; fix++)
		n += f->found[fix];
	return n;
}

static bool
is_repairable(const struct fsck *f)
{
	return errors(f) > f->found[FIX_NEVER];
}

static int
repair(struct fsck *f, struct settings *settings, const struct args *args)
{
	int rc;

	printf("%s: repairing\n", args->path);
	log_open("fsck.mqfs", LOG_TO_STDERR, LOG_NOTICE);
	file_umask();
	rc = fsck_repair(f, settings, args->path);
	log_open("fsck.mqfs", LOG_TO_STDERR, LOG_EMERG);
	return rc;
}

static bool
is_wanted(const struct args *args)
{
	char answer[16];

	if (args->repair || args->look_only || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return args->repair;
	printf("Repair? [y/N] ");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* --- all of it ------------------------------------------------------------------------------------ */

static void
summarise(const struct fsck *f, const struct args *args)
{
	static const char *const kinds[FIXES] = {
		[FIX_VIEWS] = "in the views: they can be made anew",
		[FIX_TABLES] = "in lmdb: it can be made anew",
		[FIX_CUT] = "torn end: it can be cut, and is kept",
		[FIX_LENGTH] = "in the length of segments: it can be set right",
		[FIX_NEVER] = "in the log: what it has lost, it has lost",
	};

	printf("%s: %" PRId64 " records, log from %" PRId64 " to %" PRId64 ": %s\n", args->path, f->records,
	       f->begin.byte, f->end.byte, errors(f) ? "NOT CLEAN" : "clean");
	for (int fix = FIX_NONE + 1; fix < FIXES; fix++)
		if (f->found[fix])
			printf("%s: %" PRId64 " %s %s\n", args->path, f->found[fix],
			       f->found[fix] == 1 ? "error" : "errors",
			       kinds[fix]);
}

/* Check once more after a repair. */
static int
check_again(struct settings *settings, const struct args *args)
{
	struct fsck f = { .again = true, .mark = { .dispatched = MQ_POS(-1) } };
	int rc = check_store(&f, settings, args);
	int code = EXIT_CORRECTED;

	if (rc != MQ_OK) {
		fprintf(stderr, "fsck.mqfs: %s\n", err_text(rc));
		code |= EXIT_OPERATION;
	} else {
		summarise(&f, args);
		code |= errors(&f) ? EXIT_UNCORRECTED : 0;
	}
	fsck_free(&f);
	return code;
}

static int
run(struct settings *settings, const struct args *args)
{
	struct fsck f = { .mark = { .dispatched = MQ_POS(-1) } };
	int rc = check_store(&f, settings, args), code = 0;

	if (rc == MQ_OK) {
		summarise(&f, args);
		code = errors(&f) ? EXIT_UNCORRECTED : 0;
	}
	if (rc == MQ_OK && is_repairable(&f) && is_wanted(args)) {
		rc = repair(&f, settings, args);
		if (rc == MQ_OK)
			code = check_again(settings, args);
	}
	fsck_free(&f);
	if (rc != MQ_OK) {
		fprintf(stderr, "fsck.mqfs: %s\n", err_text(rc));
		code |= EXIT_OPERATION;
	}
	return code;
}

/* --- the command line -------------------------------------------------------------------------------- */

static const char usage[] = "usage: fsck.mqfs [-n|-y] [-C[FD]] [-o OPT[,OPT]...] STORE\n";

static void
print_help(void)
{
	fputs(usage, stdout);
	puts("\n"
	     "  -n         only look (what it does anyway unless it can ask)\n"
	     "  -y         repair what can be repaired; also -a, -p\n"
	     "  -C         show progress on standard error; -CFD: as lines for a program on FD\n"
	     "  -o OPT     settings of the mount that its files do not tell\n"
	     "  -h, -V     this help; the version (also --help, --version)\n"
	     "\n"
	     "Exit status, a sum: 0 no errors, 1 errors were corrected, 4 errors are left,\n"
	     "8 it could not be done (the store is in use, ...), 16 wrong usage.");
}

static int
option(int letter, struct args *args, struct settings *settings)
{
	switch (letter) {
	case 'n':
		args->look_only = true;
		return MQ_OK;
	case 'y':
	case 'a':
	case 'p':
		args->repair = true;
		return MQ_OK;
	case 'C':
		args->progress = true;
		args->progress_fd = optarg && atoi(optarg) > 0 ? atoi(optarg) : -1;
		return MQ_OK;
	case 'o':
		return settings_set_options(settings, optarg, "-o", NULL, NULL);
	case 'f':		/* it always checks all, */
	case 'v':		/* and says what it finds */
		return MQ_OK;
	case 'h':
		args->help = true;
		return MQ_OK;
	case 'V':
		args->version = true;
		return MQ_OK;
	default:
		return -EINVAL;
	}
}

static int
args_parse(int argc, char **argv, struct args *args, struct settings *settings)
{
	int letter, rc = MQ_OK;

	while (rc == MQ_OK && (letter = flags_next(argc, argv, "nyapC::o:fvhV")) != -1)
		rc = option(letter, args, settings);
	if (rc != MQ_OK || args->help || args->version)
		return rc;
	if (args->repair && args->look_only)
		return err_note(-EINVAL, "-n and -y say different things");
	if (argc - optind != 1)
		return err_note(-EINVAL, "%s", optind == argc ? "which store?" : "one store at a time");
	args->path = argv[optind];
	return MQ_OK;
}

/* Is there a store?  Opening it would make one. */
static int
look_for_store(const char *path, const struct settings *settings)
{
	AUTO_FREE char *log = NULL;
	struct stat st;

	if (asprintf(&log, "%s/commitlog", path) < 0)
		return -ENOMEM;
	if (*settings->storePathCommitLog || stat(log, &st) == 0)
		return MQ_OK;
	if (errno == ENOENT && stat(path, &st) == 0)
		return err_note(-ENOENT, "%s is no store: it has no commitlog (if that lies elsewhere: -o "
				"storePathCommitLog=DIRECTORY)", path);
	return err_note(-errno, "%s: %m", path);
}

int
main(int argc, char **argv)
{
	struct args args = { .progress_fd = -1 };
	struct settings settings;
	int rc, code = 0;

	signal(SIGXFSZ, SIG_IGN);		/* a write beyond RLIMIT_FSIZE is EFBIG */
	log_open("fsck.mqfs", LOG_TO_STDERR, LOG_EMERG);
	rc = settings_init(&settings);
	if (rc == MQ_OK)
		rc = args_parse(argc, argv, &args, &settings);
	if (rc != MQ_OK) {
		fprintf(stderr, "fsck.mqfs: %s\n%s", err_text(rc), usage);
		code = rc == -ENOMEM ? EXIT_OPERATION : EXIT_USAGE;
	} else if (args.help) {
		print_help();
	} else if (args.version) {
		puts("fsck.mqfs (mqfs) " PACKAGE_VERSION);
	} else {
		rc = look_for_store(args.path, &settings);
		if (rc == MQ_OK)
			rc = settings_resolve(&settings);
		if (rc == MQ_OK) {
			code = run(&settings, &args);
		} else {
			fprintf(stderr, "fsck.mqfs: %s\n", err_text(rc));
			code = EXIT_OPERATION;
		}
	}
	settings_free(&settings);
	return code;
}
