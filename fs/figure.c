#include "config.h"

#include <stdio.h>
#include <string.h>

#include "conf/utf8.h"
#include "fs/figure.h"
#include "store/file.h"
#include "store/record_text.h"

int64_t
figure_number(const struct figure *f, const void *of)
{
	int64_t n;

	memcpy(&n, (const char *)of + f->at, sizeof(n));
	return n;
}

void
figure_cell(const struct figure *f, const void *of, char *buf, size_t size)
{
	int64_t n = figure_number(f, of);

	if (n == FIGURE_UNKNOWN)
		snprintf(buf, size, "-");
	else if (f->unit == FIGURE_TIME_MS)
		time_text(n, buf, size);
	else if (f->unit == FIGURE_MS)
		snprintf(buf, size, "%" PRId64 ".%03d", n / 1000, (int)(n % 1000));
	else
		snprintf(buf, size, "%" PRId64, n);
}

json_t *
figure_json(const struct figure *f, const void *of)
{
	int64_t n = figure_number(f, of);

	return n == FIGURE_UNKNOWN ? json_null() : json_integer(n);
}

/* --- metrics.prom ----------------------------------------------------------------------- */

const char *
figure_unit(const struct figure *f)
{
	static const char *const words[] = {
		[FIGURE_NONE] = "", [FIGURE_BYTES] = "bytes", [FIGURE_SECONDS] = "s", [FIGURE_MS] = "ms",
		[FIGURE_TIME_MS] = "ms since 1970", [FIGURE_PERCENT] = "%",
	};

	return words[f->unit];
}

static void
metric_name(const struct figure *f, const char *prefix, struct text *t)
{
	static const char *const suffixes[] = {
		[FIGURE_NONE] = "", [FIGURE_BYTES] = "_bytes", [FIGURE_SECONDS] = "_seconds",
		[FIGURE_MS] = "_seconds", [FIGURE_TIME_MS] = "_timestamp_seconds", [FIGURE_PERCENT] = "_ratio",
	};
	const char *name = f->metric ? f->metric : f->name, *suffix = suffixes[f->unit];
	bool has_it = *suffix && name_ends_with(name, suffix + 1);

	text_printf(t, "mqfs_%s%s%s%s", prefix, name, has_it ? "" : suffix, f->kind == FIGURE_COUNTER ? "_total" : "");
}

void
figure_metric_head(const struct figure *f, const char *prefix, struct text *t)
{
	text_printf(t, "# HELP ");
	metric_name(f, prefix, t);
	text_printf(t, " %s\n# TYPE ", f->help);
	metric_name(f, prefix, t);
	text_printf(t, " %s\n", f->kind == FIGURE_COUNTER ? "counter" : "gauge");
}

void
figure_metric_line(const struct figure *f, const char *prefix, const char *labels, const void *of, struct text *t)
{
	int64_t n = figure_number(f, of);

	if (n == FIGURE_UNKNOWN)
		return;
	metric_name(f, prefix, t);
	text_printf(t, "{%s} ", labels);
	if (f->unit == FIGURE_MS || f->unit == FIGURE_TIME_MS)
		text_printf(t, "%" PRId64 ".%03d\n", n / 1000, (int)(n % 1000));
	else if (f->unit == FIGURE_PERCENT)
		text_printf(t, "%" PRId64 ".%02d\n", n / 100, (int)(n % 100));
	else
		text_printf(t, "%" PRId64 "\n", n);
}

void
label_add(struct text *t, const char *name, const char *value)
{
	bool valid = utf8_valid(value, strlen(value));

	text_printf(t, "%s%s=\"", t->len ? "," : "", name);
	for (const char *c = value; *c; c++) {
		if (*c == '\n')
			text_add(t, "\\n", 2);
		else if (*c == '\\' || *c == '"')
			text_printf(t, "\\%c", *c);
		else
			text_add(t, (*c & 0x80) && !valid ? "?" : c, 1);
	}
	text_add(t, "\"", 1);
}
