/* mqdump: the records of a store, of one segment, or of what lost+found keeps. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/array.h"
#include "conf/err.h"
#include "conf/flags.h"
#include "conf/number.h"
#include "store/body.h"
#include "store/logscan.h"
#include "store/range.h"
#include "store/record_json.h"
#include "store/record_text.h"

enum exit_code {
	EXIT_DAMAGED = 1,	/* not all of it could be printed */
	EXIT_TROUBLE = 2,	/* usage; nothing there; a file that cannot be read */
};

#define WIDTH_DEFAULT 100

struct dump {
	const char *path;
	const char *topic;	/* NULL: all */
	int32_t queue_id;	/* -1: all */
	struct range range;
	size_t width;
	bool json;
	bool again;		/* -r: JSON that a queue takes */
	bool help, version;
	bool damaged;
	char *line;		/* of JSON */
	size_t line_size;
	unsigned char *plain;	/* a body that was compressed */
	size_t plain_size;
};

/* --- printing ---------------------------------------------------------------------- */

static bool
is_wanted(const struct dump *d, const struct record *rec)
{
	return (d->queue_id < 0 || rec->queue_id == d->queue_id) && (!d->topic || record_is_of(rec, d->topic));
}

static void
complain(struct dump *d, const struct log_piece *p, const char *what, const char *why)
{
	fflush(stdout);
	d->damaged = true;
	fprintf(stderr, "mqdump: %" PRId64 " +%" PRId64 "  %s: %s\n", p->pos.byte, p->bytes, what, why);
}

/* What the mount shows of a message, and takes to append it. */
static int
render_json(struct dump *d, const struct record *rec, size_t *ret_len)
{
	size_t len = record_json_length(rec);
	int rc = ARRAY_ROOM(d->line, d->line_size, len);

	if (rc == MQ_OK)
		*ret_len = record_json_render(rec, 0, d->line, len);
	return rc;
}

/* Only what a consumer would have got: not what a transaction has not committed. */
static int
print_again(struct dump *d, const struct log_piece *p)
{
	struct record rec = p->rec;
	size_t len;
	int rc;

	if (p->kind != PIECE_RECORD || !sysflag_is_queued(p->rec.sysflag))
		return MQ_OK;
	rc = body_unpack(&rec, &d->plain, &d->plain_size);
	if (rc == MQ_OK && rec.sysflag & SYSFLAG_COMPRESSED) {	/* a queue takes no flag that says so */
		complain(d, p, "not printed", "its body cannot be decompressed");
		return MQ_OK;
	}
	if (rc == MQ_OK)
		rc = render_json(d, &rec, &len);
	if (rc == MQ_OK)
		fwrite(d->line, 1, len, stdout);
	return rc;
}

/* The same, behind what only the log knows. */
static int
print_json(struct dump *d, const struct log_piece *p)
{
	struct record rec = p->rec;
	size_t len;
	int rc;

	rec.prepared = MQ_POS(0);	/* what precedes the JSON has it, for every record */
	rc = render_json(d, &rec, &len);
	if (rc != MQ_OK)
		return rc;
	printf("{\"size\":%" PRId32 ",\"preparedTransactionOffset\":%" PRId64 ",", p->rec.total,
	       p->rec.prepared.byte);
	if (p->kind == PIECE_DAMAGE || p->kind == PIECE_TORN)
		printf("\"damaged\":\"%s\",", p->why);
	fwrite(d->line + 1, 1, len - 1, stdout);
	return MQ_OK;
}

/* A record of MQFS_META with which a master begins to write says where its part of the log begins:
 * with that one finds where two logs differ. */
static void
print_epoch(const struct record *rec)
{
	static const char said[] = "{\"op\":\"epoch\",\"v\":1,\"epoch\":%" SCNd64 ",\"id\":\"%*32[0-9a-f]\","
				   "\"by\":\"%32[0-9a-f]\",\"start\":%" SCNd64;
	char body[256], by[33];
	int64_t number, start = rec->pos.byte;

	if (!record_is_of(rec, META_TOPIC))
		return;
	snprintf(body, sizeof(body), "%.*s", (int)rec->body_len, (const char *)rec->body);
	if (sscanf(body, said, &number, by, &start) >= 2)
		printf("  [epoch %" PRId64 " from %" PRId64 " on, by store %.8s]", number, start, by);
}

static int
print_record(struct dump *d, const struct log_piece *p)
{
	if (!is_wanted(d, &p->rec))
		return MQ_OK;
	if (d->again)
		return print_again(d, p);
	if (d->json)
		return print_json(d, p);
	record_print(stdout, &p->rec, d->width);
	print_epoch(&p->rec);
	if (p->kind == PIECE_DAMAGE || p->kind == PIECE_TORN)
		printf("  [damaged: %s]", p->why);
	putchar('\n');
	return MQ_OK;
}

static void
print_blank(const struct dump *d, const struct log_piece *p)
{
	if (d->topic || d->queue_id >= 0 || d->again)
		return;
	printf(d->json ? "{\"phyOffset\":%" PRId64 ",\"size\":%" PRId64 ",\"blank\":true}\n"
		       : "%" PRId64 " +%" PRId64 "  blank\n", p->pos.byte, p->bytes);
}

static int
print_piece(struct dump *d, const struct log_piece *p)
{
	if (p->kind == PIECE_RECORD)
		return print_record(d, p);
	if (p->kind == PIECE_BLANK) {
		print_blank(d, p);
		return MQ_OK;
	}
	if (p->kind == PIECE_MISSING)
		complain(d, p, "missing", "no file holds this part");
	else
		complain(d, p, p->kind == PIECE_TORN ? "torn end" : "damaged", p->why);
	return p->readable ? print_record(d, p) : MQ_OK;
}

static int
print_range(struct dump *d, struct logscan *ls)
{
	struct log_piece p;
	int rc = MQ_OK;

	if (d->range.from.byte > logscan_begin(ls).byte)
		rc = logscan_seek(ls, d->range.from);
	while (rc == MQ_OK && logscan_at(ls).byte < d->range.to.byte) {
		rc = logscan_next(ls, &p);
		if (rc == MQ_OK)
			rc = print_piece(d, &p);
	}
	return rc == MQ_EEND ? MQ_OK : rc;
}

static int
dump(struct dump *d)
{
	struct logscan *ls;
	int rc = logscan_open(d->path, &ls);

	if (rc != MQ_OK)
		return rc;
	rc = print_range(d, ls);
	logscan_close(ls);
	if (rc == MQ_OK && (fflush(stdout) != 0 || ferror(stdout)))
		rc = err_note(-errno, "standard output: %m");
	return rc;
}

/* --- the command line ---------------------------------------------------------------- */

static const char usage[] =
	"usage: mqdump [-jr] [-t TOPIC] [-q QUEUE] [-w WIDTH] STORE|SEGMENT [FROM[..TO]]\n";

static void
print_help(void)
{
	fputs(usage, stdout);
	puts("\n"
	     "  -j         JSON, one object a line\n"
	     "  -r         only whole messages, in the JSON that appends them to a queue again\n"
	     "  -t TOPIC   only messages of that topic\n"
	     "  -q QUEUE   only messages of the queue with that number\n"
	     "  -w WIDTH   show so much of a body (default 100; 0: all)\n"
	     "  -h, -V     this help; the version (also --help, --version)\n"
	     "\n"
	     "SEGMENT may also be a file commitlog-POSITION of lost+found.\n"
	     "FROM and TO are positions in the log; only what begins in between is shown.\n"
	     "Exit status: 0, 1 if something is damaged (said on stderr), 2 trouble.");
}

static int
number_parse(const char *text, const char *option, int64_t max, int64_t *ret)
{
	if (text_number(text, 0, max, ret))
		return MQ_OK;
	return err_note(-EINVAL, "%s %.32s: not a number from 0 to %" PRId64, option, text, max);
}

static int
option(struct dump *d, int letter)
{
	int64_t n = 0;
	int rc = MQ_OK;

	switch (letter) {
	case 'j':
		d->json = true;
		break;
	case 'r':
		d->again = true;
		break;
	case 't':
		d->topic = optarg;
		break;
	case 'q':
		rc = number_parse(optarg, "-q", INT32_MAX, &n);
		d->queue_id = (int32_t)n;
		break;
	case 'w':
		rc = number_parse(optarg, "-w", INT32_MAX, &n);
		d->width = (size_t)n;
		break;
	case 'h':
		d->help = true;
		break;
	case 'V':
		d->version = true;
		break;
	default:
		rc = -EINVAL;
	}
	return rc;
}

static int
args_parse(int argc, char **argv, struct dump *d)
{
	int letter, rc = MQ_OK;

	while (rc == MQ_OK && (letter = flags_next(argc, argv, "jrt:q:w:hV")) != -1)
		rc = option(d, letter);
	if (rc != MQ_OK || d->help || d->version)
		return rc;
	if (optind == argc || argc - optind > 2)
		return err_note(-EINVAL, "%s", optind == argc ? "which store?" : "too many arguments");
	d->path = argv[optind];
	return optind + 1 < argc ? range_parse(argv[optind + 1], &d->range) : MQ_OK;
}

int
main(int argc, char **argv)
{
	struct dump d = { .queue_id = -1, .width = WIDTH_DEFAULT, .range = RANGE_ALL };
	int rc = args_parse(argc, argv, &d);

	if (rc != MQ_OK) {
		fprintf(stderr, "mqdump: %s\n%s", err_text(rc), usage);
		return EXIT_TROUBLE;
	}
	if (d.help)
		print_help();
	else if (d.version)
		puts("mqdump (mqfs) " PACKAGE_VERSION);
	else
		rc = dump(&d);
	free(d.line);
	free(d.plain);
	if (rc != MQ_OK)
		fprintf(stderr, "mqdump: %s\n", err_text(rc));
	return rc != MQ_OK ? EXIT_TROUBLE : d.damaged ? EXIT_DAMAGED : 0;
}
