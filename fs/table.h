/* table.h - text in columns that people can read and awk can cut: a heading, cells without blanks.
 *
 *   TOPIC   QUEUES  LAG
 *   orders       8   17
 *
 * The first columns are words, flush left; the others are flush right.  Cells are added row by row,
 * the heading's first; table_render() knows how wide each column has to be.
 */
#ifndef MQFS_FS_TABLE_H
#define MQFS_FS_TABLE_H

#include "fs/figure.h"

#define TABLE_COLUMNS_MAX 16

struct table {
	struct text cells;		/* each with a NUL behind it */
	int words;			/* columns that are flush left */
	int columns;			/* of the first row, once it is ended */
	int at;				/* cells of the row that is being made */
	int width[TABLE_COLUMNS_MAX];
};

/* Starts as zeros but for `words`.  Bytes that are a blank or no character, and an empty cell, are shown as `?` and `-`. */
void table_cell(struct table *tb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_end_row(struct table *tb);

/* Add the names of figures as a heading, in capitals; and their numbers as cells of one row. */
void table_heading(struct table *tb, const struct figure *figures);
void table_figures(struct table *tb, const struct figure *figures, const void *of);

/* Append the table to t, and free it. */
void table_render(struct table *tb, struct text *t);

#endif
