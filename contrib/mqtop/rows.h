/* rows.h - a table of words with a heading, parsed from a file of the mount (status/topics) or made here.
 *
 * Starts as zeros; rows_free() makes it so again.  Without memory a table stays as short as it is.
 */
#ifndef MQTOP_ROWS_H
#define MQTOP_ROWS_H

#include <stdbool.h>
#include <stddef.h>

struct rows {
	char *text;		/* the cells, each with a NUL behind it */
	size_t len, size;
	size_t *cells;		/* where each begins in there: the heading's first, then row by row */
	size_t n_cells, max_cells;
	size_t columns;
};

void rows_free(struct rows *r);

/* The heading: `columns` calls of rows_put() are a row from here on. */
void rows_begin(struct rows *r, size_t columns);
bool rows_put(struct rows *r, const char *cell, size_t len);

/* A whole file: its first line is the heading; lines that have other cells than that are left out. */
void rows_parse(struct rows *r, const char *text);

/* How many whole rows, without the heading; a cell; the column with that heading, -1: there is none. */
size_t rows_count(const struct rows *r);
const char *rows_cell(const struct rows *r, size_t row, size_t column);
int rows_column(const struct rows *r, const char *heading);

#endif
