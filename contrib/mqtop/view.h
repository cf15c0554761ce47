/* view.h - what mqtop shows of a sample: views, each a table of columns; rows sorted, filtered, as text.
 *
 * The screen and mqtop -b show the same lines.
 */
#ifndef MQTOP_VIEW_H
#define MQTOP_VIEW_H

#include "contrib/mqtop/sample.h"

enum view_number { VIEW_TOPICS, VIEW_GROUPS, VIEW_CLIENTS, VIEW_REPLICATION, VIEW_LOG, VIEWS };

enum how {
	HOW_WORD,
	HOW_COUNT,
	HOW_BYTES,
	HOW_SECONDS,		/* of a number of seconds */
	HOW_SINCE,		/* of a time, 2026-11-30T06:00:00.000Z: how long ago that is */
	HOW_YES,		/* of 1 and 0 */
	HOW_RATE,		/* growth of a number in a second */
	HOW_BYTE_RATE,
};

struct column {
	const char *title;
	const char *source;	/* heading in the source's rows */
	enum how how;
	int width;		/* of a word: at least */
};

#define VIEW_COLUMNS_MAX 10

struct view {
	const char *name;
	enum source source;	/* SOURCES: it has no rows (the log) */
	struct column columns[VIEW_COLUMNS_MAX];	/* the most important first; those that do not fit are left out */
	int sort;		/* column it is sorted by at first */
};

extern const struct view views[VIEWS];

int view_columns(const struct view *v);
int view_find(const char *name);		/* -1: there is none that begins so */
int view_find_column(const struct view *v, const char *title);

/* How one view is sorted and filtered. */
struct look {
	const struct view *view;
	int sort;		/* column */
	bool reverse;
	const char *filter;	/* a part of one of the words; "": all */
};

/* A row of the view: an index into the source's rows, and what it is sorted by. */
struct item {
	size_t row;
	const char *word;
	double number;		/* NAN: not known */
};

struct arranged {
	struct look look;
	const struct sample *now, *before;
	struct item *items;
	size_t n;
	int at[VIEW_COLUMNS_MAX];		/* columns of the source; -1: it has none such */
	int before_at[VIEW_COLUMNS_MAX];
	size_t *before_row;			/* of each row of `now`; SIZE_MAX: there was none */
	int width[VIEW_COLUMNS_MAX];		/* 0: left out */
};

/* Sort and filter the rows of look->view, for lines of `width` columns; 0: as wide as the cells are.  False: no memory.
 * `now` and `before` (may be NULL) have to stay until arranged_free(). */
bool arrange(const struct look *look, const struct sample *now, const struct sample *before, int width,
	     struct arranged *ret);
void arranged_free(struct arranged *a);

/* The heading, and line i: malloc'ed text of at most that width.  NULL: no memory. */
char *arranged_heading(const struct arranged *a);
char *arranged_line(const struct arranged *a, size_t i);

/* Two lines about the broker as a whole; and a line about what is wrong with it, "" if nothing is. */
void summary_who(const struct sample *now, const char *mount, char *buf, size_t size);
void summary_what(const struct sample *now, const struct sample *before, char *buf, size_t size);
void summary_trouble(const struct sample *now, char *buf, size_t size);

#endif
