#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "contrib/mqtop/rows.h"

#define BLANKS " \t\r"

void
rows_free(struct rows *r)
{
	free(r->text);
	free(r->cells);
	*r = (struct rows){ 0 };
}

void
rows_begin(struct rows *r, size_t columns)
{
	rows_free(r);
	r->columns = columns;
}

bool
rows_put(struct rows *r, const char *cell, size_t len)
{
	if (ARRAY_ROOM(r->text, r->size, r->len + len + 1) != MQ_OK ||
	    ARRAY_ROOM(r->cells, r->max_cells, r->n_cells + 1) != MQ_OK)
		return false;
	r->cells[r->n_cells++] = r->len;
	memcpy(r->text + r->len, cell, len);
	r->text[r->len + len] = '\0';
	r->len += len + 1;
	return true;
}

static size_t
count_words(const char *line, size_t len)
{
	size_t n = 0;

	for (size_t at = 0; at < len;) {
		at += strspn(line + at, BLANKS);
		if (at >= len)
			break;
		n++;
		at += strcspn(line + at, BLANKS "\n");
	}
	return n;
}

static bool
put_line(struct rows *r, const char *line, size_t len)
{
	for (size_t at = strspn(line, BLANKS); at < len; at += strspn(line + at, BLANKS)) {
		size_t word = strcspn(line + at, BLANKS "\n");

		if (!rows_put(r, line + at, word))
			return false;
		at += word;
	}
	return true;
}

void
rows_parse(struct rows *r, const char *text)
{
	size_t len;

	rows_begin(r, count_words(text, strcspn(text, "\n")));
	for (; r->columns && *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (count_words(text, len) == r->columns && !put_line(r, text, len))
			return;
	}
}

size_t
rows_count(const struct rows *r)
{
	size_t all = r->columns ? r->n_cells / r->columns : 0;

	return all ? all - 1 : 0;
}

const char *
rows_cell(const struct rows *r, size_t row, size_t column)
{
	return r->text + r->cells[(row + 1) * r->columns + column];
}

int
rows_column(const struct rows *r, const char *heading)
{
	for (size_t i = 0; i < r->columns && i < r->n_cells; i++)
		if (strcmp(r->text + r->cells[i], heading) == 0)
			return (int)i;
	return -1;
}
