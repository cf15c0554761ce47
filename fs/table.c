#include "config.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/table.h"

#define CELL_BYTES 512

void
table_cell(struct table *tb, const char *fmt, ...)
{
	char cell[CELL_BYTES];
	va_list ap;
	int len;

	va_start(ap, fmt);
	vsnprintf(cell, sizeof(cell), fmt, ap);
	va_end(ap);
	if (!*cell)
		snprintf(cell, sizeof(cell), "-");
	for (char *c = cell; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			*c = '?';
	len = (int)strlen(cell);
	if (tb->at < TABLE_COLUMNS_MAX && len > tb->width[tb->at])
		tb->width[tb->at] = len;
	tb->at++;
	text_add(&tb->cells, cell, (size_t)len + 1);
}

void
table_end_row(struct table *tb)
{
	if (tb->columns == 0)
		tb->columns = tb->at;
	tb->at = 0;
}

void
table_heading(struct table *tb, const struct figure *figures)
{
	for (; figures->name; figures++) {
		char name[64];

		snprintf(name, sizeof(name), "%s", figures->name);
		for (char *c = name; *c; c++)
			*c = *c == '_' ? '-' : (char)toupper((unsigned char)*c);
		table_cell(tb, "%s", name);
	}
}

void
table_figures(struct table *tb, const struct figure *figures, const void *of)
{
	for (; figures->name; figures++) {
		char cell[64];

		figure_cell(figures, of, cell, sizeof(cell));
		table_cell(tb, "%s", cell);
	}
}

/* No blanks behind the last word of a line. */
static void
render_cell(const struct table *tb, int column, const char *cell, struct text *t)
{
	bool last = column == tb->columns - 1;
	int width = column < tb->words ? (last ? 0 : -tb->width[column]) : tb->width[column];

	text_printf(t, "%*s%s", width, cell, last ? "\n" : "  ");
}

void
table_render(struct table *tb, struct text *t)
{
	const char *cell = tb->cells.buf, *end = cell + tb->cells.len;

	for (int column = 0; cell < end; cell += strlen(cell) + 1, column = (column + 1) % tb->columns)
		render_cell(tb, column, cell, t);
	if (tb->cells.err != MQ_OK)
		t->err = tb->cells.err;
	text_free(&tb->cells);
}
