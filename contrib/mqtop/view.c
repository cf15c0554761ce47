#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "contrib/mqtop/fit.h"
#include "contrib/mqtop/view.h"

const struct view views[VIEWS] = {
	[VIEW_TOPICS] = { "topics", SOURCE_TOPICS, {
		{ "TOPIC", "TOPIC", HOW_WORD, 12 },
		{ "IN/s", "MESSAGES", HOW_RATE, 7 },
		{ "BYTES/s", "BYTES", HOW_BYTE_RATE, 7 },
		{ "MESSAGES", "MESSAGES", HOW_COUNT, 8 },
		{ "KEPT", "RETAINED", HOW_COUNT, 8 },
		{ "SIZE", "RETAINED-BYTES", HOW_BYTES, 7 },
		{ "LAST", "NEWEST", HOW_SINCE, 6 },
		{ "QUEUES", "QUEUES", HOW_COUNT, 6 },
		{ "OLDEST", "OLDEST", HOW_SINCE, 6 },
	}, 1 },
	[VIEW_GROUPS] = { "groups", SOURCE_GROUPS, {
		{ "GROUP", "GROUP", HOW_WORD, 10 },
		{ "TOPIC", "TOPIC", HOW_WORD, 10 },
		{ "LAG", "LAG", HOW_COUNT, 7 },
		{ "AGE", "AGE", HOW_SECONDS, 6 },
		{ "LAG/s", "LAG", HOW_RATE, 7 },
		{ "FILES", "CONSUMERS", HOW_COUNT, 5 },
		{ "CLIENTS", "CLIENTS", HOW_COUNT, 7 },
		{ "RETRIED", "RETRIED", HOW_COUNT, 7 },
		{ "DEAD", "DEAD", HOW_COUNT, 6 },
		{ "QUEUES", "QUEUES", HOW_COUNT, 6 },
	}, 2 },
	[VIEW_CLIENTS] = { "clients", SOURCE_CLIENTS, {
		{ "GROUP", "GROUP", HOW_WORD, 10 },
		{ "CLIENT", "CLIENT", HOW_WORD, 12 },
		{ "ADDRESS", "ADDRESS", HOW_WORD, 12 },
		{ "VERSION", "VERSION", HOW_WORD, 8 },
		{ "SUBSCRIPTION", "SUBSCRIPTION", HOW_WORD, 12 },
	}, 0 },
	[VIEW_REPLICATION] = { "replication", SOURCE_PEERS, {
		{ "PEER", "peer", HOW_WORD, 8 },
		{ "BROKER", "broker", HOW_WORD, 12 },
		{ "CONNECTED", "connected", HOW_YES, 9 },
		{ "BEHIND", "behind", HOW_BYTES, 8 },
		{ "BYTES/s", "rate", HOW_BYTES, 7 },
		{ "HAS", "acknowledged", HOW_COUNT, 14 },
	}, 0 },
	[VIEW_LOG] = { "log", SOURCES, { { 0 } }, 0 },
};

int
view_columns(const struct view *v)
{
	int n = 0;

	while (n < VIEW_COLUMNS_MAX && v->columns[n].title)
		n++;
	return n;
}

int
view_find(const char *name)
{
	for (int i = 0; i < VIEWS; i++)
		if (*name && strncmp(views[i].name, name, strlen(name)) == 0)
			return i;
	return -1;
}

int
view_find_column(const struct view *v, const char *title)
{
	for (int i = 0; i < view_columns(v); i++)
		if (strcasecmp(v->columns[i].title, title) == 0)
			return i;
	return -1;
}

/* --- cells -------------------------------------------------------------------------------------- */

static const struct rows *
rows_of(const struct view *v, const struct sample *s)
{
	return v->source < SOURCES ? &s->rows[v->source] : NULL;
}

static const char *
word_of(const struct arranged *a, size_t row, int column)
{
	return a->at[column] < 0 ? "-" : rows_cell(rows_of(a->look.view, a->now), row, (size_t)a->at[column]);
}

static double
number_in(const char *cell)
{
	char *end;
	double n = strtod(cell, &end);

	return end == cell || *end ? NAN : n;
}

static double
seconds_since(const char *cell)
{
	struct tm tm = { 0 };
	time_t then;

	if (!strptime(cell, "%Y-%m-%dT%H:%M:%S", &tm))
		return NAN;
	then = timegm(&tm);
	return difftime(time(NULL), then);
}

/* Growth since the sample before. */
static double
rate_of(const struct arranged *a, size_t row, int column)
{
	size_t was = a->before_row ? a->before_row[row] : SIZE_MAX;
	double then;

	if (was == SIZE_MAX || a->before_at[column] < 0)
		return NAN;
	then = number_in(rows_cell(rows_of(a->look.view, a->before), was, (size_t)a->before_at[column]));
	return (number_in(word_of(a, row, column)) - then) * 1000 / (double)(a->now->taken_ms - a->before->taken_ms);
}

static double
number_of(const struct arranged *a, size_t row, int column)
{
	switch (a->look.view->columns[column].how) {
	case HOW_RATE:
	case HOW_BYTE_RATE:
		return rate_of(a, row, column);
	case HOW_SINCE:
		return seconds_since(word_of(a, row, column));
	default:
		return number_in(word_of(a, row, column));
	}
}

static void
cell_text(const struct arranged *a, size_t row, int column, char *buf, size_t size)
{
	double n = number_of(a, row, column);

	switch (a->look.view->columns[column].how) {
	case HOW_WORD:
		snprintf(buf, size, "%s", word_of(a, row, column));
		break;
	case HOW_SECONDS:
	case HOW_SINCE:
		fit_seconds(n, buf, size);
		break;
	case HOW_YES:
		snprintf(buf, size, "%s", isnan(n) ? "-" : n != 0 ? "yes" : "no");
		break;
	case HOW_BYTES:
	case HOW_BYTE_RATE:
		fit_number(n, 1, buf, size);
		break;
	default:
		fit_number(n, 0, buf, size);
	}
}

/* --- arranging -------------------------------------------------------------------------------------- */

/* Find each row in the sample before: the one with the same words.  Both samples are in the order of names, so one
 * walk finds all; a row that is not found has no rate. */
static bool
find_before(struct arranged *a)
{
	const struct rows *now = rows_of(a->look.view, a->now), *before = a->before ? rows_of(a->look.view, a->before) : NULL;
	size_t n = rows_count(now), was = 0, n_before = before ? rows_count(before) : 0;

	if (!before || a->before->taken_ms >= a->now->taken_ms)
		return true;
	a->before_row = malloc((n ? n : 1) * sizeof(*a->before_row));
	if (!a->before_row)
		return false;
	for (size_t row = 0; row < n; row++) {
		int order = 1;

		for (; was < n_before && order > 0; was += order > 0) {
			order = 0;
			for (int c = 0; c < 2 && order == 0 && a->look.view->columns[c].how == HOW_WORD; c++)
				order = a->at[c] < 0 || a->before_at[c] < 0 ? 0 :
					strcmp(word_of(a, row, c), rows_cell(before, was, (size_t)a->before_at[c]));
		}
		a->before_row[row] = order == 0 ? was : SIZE_MAX;
	}
	return true;
}

static bool
is_wanted(const struct arranged *a, size_t row)
{
	const struct column *columns = a->look.view->columns;

	if (!*a->look.filter)
		return true;
	for (int c = 0; c < view_columns(a->look.view); c++)
		if (columns[c].how == HOW_WORD && strcasestr(word_of(a, row, c), a->look.filter))
			return true;
	return false;
}

/* Words from A on, numbers from the greatest on, what is not known last. */
static int
compare(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	int order = 0;

	if (a->word)
		order = strcmp(a->word, b->word);
	else if (isnan(a->number) != isnan(b->number))
		order = isnan(a->number) ? 1 : -1;
	else if (!isnan(a->number))
		order = (a->number < b->number) - (a->number > b->number);
	return order ? order : (a->row > b->row) - (a->row < b->row);
}

static void
sort(struct arranged *a)
{
	qsort(a->items, a->n, sizeof(*a->items), compare);
	for (size_t i = 0, k = a->n; a->look.reverse && i < a->n / 2; i++) {
		struct item item = a->items[i];

		a->items[i] = a->items[--k];
		a->items[k] = item;
	}
}

/* Each column is as wide as its widest cell. */
static void
measure(struct arranged *a)
{
	char cell[512];

	for (int c = 0; c < view_columns(a->look.view); c++) {
		a->width[c] = fit_width(a->look.view->columns[c].title);
		for (size_t i = 0; i < a->n; i++) {
			cell_text(a, a->items[i].row, c, cell, sizeof(cell));
			if (fit_width(cell) > a->width[c])
				a->width[c] = fit_width(cell);
		}
	}
}

/* Give the columns that fit their least width, and share the rest of the line among the words. */
static void
share(struct arranged *a, int width)
{
	const struct column *columns = a->look.view->columns;
	int left = width + 1, words = 0, n = view_columns(a->look.view);

	for (int c = 0; c < n; c++) {
		if (c > 0 && columns[c].width + 1 > left) {
			n = c;
			break;
		}
		a->width[c] = columns[c].width < left ? columns[c].width : left - 1;
		left -= a->width[c] + 1;
		words += columns[c].how == HOW_WORD;
	}
	for (int c = 0; c < n; c++)
		if (columns[c].how == HOW_WORD) {
			a->width[c] += left / words;
			left -= left / words--;
		}
}

bool
arrange(const struct look *look, const struct sample *now, const struct sample *before, int width, struct arranged *ret)
{
	const struct rows *rows = rows_of(look->view, now), *was = before ? rows_of(look->view, before) : NULL;
	bool by_word = look->view->columns[look->sort].how == HOW_WORD;

	*ret = (struct arranged){ .look = *look, .now = now, .before = before };
	if (!rows)
		return true;
	for (int c = 0; c < view_columns(look->view); c++) {
		ret->at[c] = rows_column(rows, look->view->columns[c].source);
		ret->before_at[c] = was ? rows_column(was, look->view->columns[c].source) : -1;
	}
	ret->items = malloc((rows_count(rows) + 1) * sizeof(*ret->items));
	if (!ret->items || !find_before(ret))
		return false;
	for (size_t row = 0; row < rows_count(rows); row++)
		if (is_wanted(ret, row))
			ret->items[ret->n++] = (struct item){ row, by_word ? word_of(ret, row, look->sort) : NULL,
							      by_word ? NAN : number_of(ret, row, look->sort) };
	sort(ret);
	if (width)
		share(ret, width);
	else
		measure(ret);
	return true;
}

void
arranged_free(struct arranged *a)
{
	free(a->items);
	free(a->before_row);
	*a = (struct arranged){ 0 };
}

/* --- lines ---------------------------------------------------------------------------------------------- */

/* Words are flush left, numbers flush right; the last word is not filled up. */
static void
put_cell(FILE *out, const struct arranged *a, int column, const char *text)
{
	int width = a->width[column], n = view_columns(a->look.view);
	bool word = a->look.view->columns[column].how == HOW_WORD, last = column == n - 1 || !a->width[column + 1];
	char *buf = malloc(FIT_BYTES(width));

	if (!buf)
		return;
	fit(text, width, word && !last, buf);
	fprintf(out, "%s%*s%s", column ? " " : "", word ? 0 : width - fit_width(buf), "", buf);
	free(buf);
}

static char *
line_of(const struct arranged *a, const size_t *row)
{
	char *line = NULL, cell[512];
	size_t len;
	FILE *out = open_memstream(&line, &len);

	if (!out)
		return NULL;
	for (int c = 0; c < view_columns(a->look.view) && a->width[c]; c++) {
		if (row)
			cell_text(a, *row, c, cell, sizeof(cell));
		else
			snprintf(cell, sizeof(cell), "%s", a->look.view->columns[c].title);
		put_cell(out, a, c, cell);
	}
	return fclose(out) == 0 ? line : NULL;
}

char *
arranged_heading(const struct arranged *a)
{
	return line_of(a, NULL);
}

char *
arranged_line(const struct arranged *a, size_t i)
{
	return line_of(a, &a->items[i].row);
}

/* --- summary ---------------------------------------------------------------------------------------------- */

void
summary_who(const struct sample *now, const char *mount, char *buf, size_t size)
{
	char up[32];

	fit_seconds((double)sample_number(now, "uptime"), up, sizeof(up));
	snprintf(buf, size, "%s  %s%s  %s  up %s  mqfs %s", sample_word(now, "brokerName"), sample_word(now, "role"),
		 sample_number(now, "read_only") ? " read-only" : "", mount, up, sample_word(now, "version"));
}

void
summary_what(const struct sample *now, const struct sample *before, char *buf, size_t size)
{
	char in[32], bytes[32], lag[32], age[32];
	const json_t *oldest = json_object_get(now->status, "age");

	fit_number(sample_rate(now, before, "appends"), 0, in, sizeof(in));
	fit_number(sample_rate(now, before, "appended_bytes"), 1, bytes, sizeof(bytes));
	fit_number((double)sample_number(now, "lag"), 0, lag, sizeof(lag));
	fit_seconds(json_is_integer(oldest) ? (double)json_integer_value(oldest) / 1000 : NAN, age, sizeof(age));
	snprintf(buf, size, "in %s/s %sB/s  lag %s, %s  clients %lld  delayed %lld  disk %lld%%  topics %lld  groups %lld", in,
		 bytes, lag, age, (long long)sample_number(now, "clients"), (long long)sample_number(now, "delayed"),
		 (long long)sample_number(now, "disk_used_percent"), (long long)sample_number(now, "topic_count"),
		 (long long)sample_number(now, "group_count"));
}

void
summary_trouble(const struct sample *now, char *buf, size_t size)
{
	static const struct {
		const char *name, *says;
	} troubles[] = {
		{ "failed", "a sync has failed: appends get EIO until it is mounted again" },
		{ "disk_full", "the disk is full: appends get ENOSPC" },
		{ "scrub_bad_ranges", "the disk has lost a part of the log: see status/scrub" },
		{ "dead_retained", "there are dead letters" },
		{ "lostfound_pieces", "there is something in lost+found" },
	};

	*buf = '\0';
	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++)
		if (sample_number(now, troubles[i].name) > 0) {
			snprintf(buf, size, "%s", troubles[i].says);
			return;
		}
}
