/* figure.h - a number that status/ shows, in three forms: text, JSON, Prometheus.
 *
 * A row of a table says where the number lies in a struct, what it counts and in which unit;
 * from that row come a file or a column of a table for people, a member of status.json, and a
 * metric of metrics.prom.  So a number is computed once, and has one name.
 *
 *   unit          for people, and the file     status.json    metrics.prom
 *   NONE, BYTES   12                           12             mqfs_NAME[_bytes] 12
 *   SECONDS       12                           12             mqfs_NAME_seconds 12
 *   MS            12 (12.345 in a column)      12345          mqfs_NAME_seconds 12.345
 *   TIME_MS       as in the struct             〃             mqfs_NAME_timestamp_seconds 1764482400.123
 *                 (2026-11-30T06:00:00Z in a column)
 *   PERCENT       12                           12             mqfs_NAME_ratio 0.12
 *
 * A counter's metric ends with _total.  FIGURE_UNKNOWN is `-` in a column, null, and no line.
 */
#ifndef MQFS_FS_FIGURE_H
#define MQFS_FS_FIGURE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/node.h"

#define FIGURE_UNKNOWN INT64_MIN

enum figure_kind { FIGURE_GAUGE, FIGURE_COUNTER };
enum figure_unit { FIGURE_NONE, FIGURE_BYTES, FIGURE_SECONDS, FIGURE_MS, FIGURE_TIME_MS, FIGURE_PERCENT };

struct figure {
	const char *name;	/* of the file, the column, the member */
	const char *metric;	/* its name without mqfs_ and the suffixes of unit and kind; NULL: `name` */
	enum figure_kind kind;
	enum figure_unit unit;
	size_t at;		/* of an int64_t in the struct */
	const char *help;	/* no full stop */
};

int64_t figure_number(const struct figure *f, const void *of);

/* Its unit: "bytes", "s" ...; "" for FIGURE_NONE. */
const char *figure_unit(const struct figure *f);

/* The cell of a column: no blanks in it. */
void figure_cell(const struct figure *f, const void *of, char *buf, size_t size);
json_t *figure_json(const struct figure *f, const void *of);

/* # HELP and # TYPE.  `prefix` is put before the metric's name ("topic_"). */
void figure_metric_head(const struct figure *f, const char *prefix, struct text *t);

/* One line; `labels` is the text between the braces. */
void figure_metric_line(const struct figure *f, const char *prefix, const char *labels, const void *of,
			struct text *t);

/* Append NAME="VALUE" to t, escaped for Prometheus; bytes that are not UTF-8 become `?`. */
void label_add(struct text *t, const char *name, const char *value);

#endif
