#include "config.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/clock.h"
#include "contrib/mqtop/fit.h"
#include "contrib/mqtop/screen.h"

#define POLL_MS 100		/* between two looks at the sampler */
#define FILTER_MAX 64
#define LOG_LINES 4		/* below the rows */
#define NARROW_LINES 14		/* with fewer lines there is no help line, and no log */

enum pair { PAIR_TROUBLE = 1, PAIR_TITLE };

struct screen {
	const struct options *o;
	struct sampler *sr;
	int view;
	struct look looks[VIEWS];
	char filter[FILTER_MAX];
	bool typing;			/* the filter */
	bool help, quit;
	int interval_ms;
	size_t top[VIEWS];		/* first row shown */
	size_t rows;			/* of the view, when it was drawn last */
	int page;			/* rows that fit */
};

/* --- drawing ---------------------------------------------------------------------------------- */

static void
draw_text(int y, const char *text, attr_t attr)
{
	char buf[FIT_BYTES(512)];
	int width = COLS < 512 ? COLS : 512;

	if (y < 0 || y >= LINES)
		return;
	fit(text, width, 1, buf);
	attrset((int)attr);
	mvaddstr(y, 0, buf);
	attrset(A_NORMAL);
}

static attr_t
coloured(enum pair pair, attr_t without)
{
	return has_colors() ? (attr_t)COLOR_PAIR(pair) | A_BOLD : without;
}

static void
draw_away(int y, const struct latest *l)
{
	char text[512], ago[32];

	fit_seconds((double)(clock_mono_ms() - l->away_ms) / 1000, ago, sizeof(ago));
	snprintf(text, sizeof(text), "AWAY for %s: %s", ago, l->why);
	draw_text(y, text, coloured(PAIR_TROUBLE, A_REVERSE));
}

static void
draw_views(const struct screen *s, int y)
{
	char text[512];
	size_t len = 0;

	for (int i = 0; i < VIEWS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, i == s->view ? "[%d %s] " : " %d %s  ", i + 1,
					views[i].name);
	draw_text(y, text, A_NORMAL);
}

/* Draw what is wrong, and the names of the views, from line y on, on at most `room` lines; returns how many. */
static int
draw_state(const struct screen *s, int y, int room, const struct latest *l)
{
	char text[512] = "";
	int n = 0;

	if (!l->away_ms)
		summary_trouble(l->now, text, sizeof(text));
	if (l->away_ms)
		draw_away(y + n++, l);
	else if (*text)
		draw_text(y + n++, text, coloured(PAIR_TROUBLE, A_REVERSE));
	if (n < room)
		draw_views(s, y + n++);
	return n;
}

static const char *
line_back(const char *text, const char *end)
{
	while (end > text && end[-1] != '\n')
		end--;
	return end;
}

/* Draw a line of the log with its end at the bottom of n screen lines from y on: all of it if `whole`, else its
 * first screen line without the date.  Returns how many screen lines are left above. */
static int
draw_log_line(const char *line, int y, int n, bool whole)
{
	char buf[FIT_BYTES(512)];
	int width = COLS < 512 ? COLS : 512, pieces = 0;

	if (!whole || width < 2) {
		draw_text(y + n - 1, strlen(line) > 11 && line[10] == 'T' ? line + 11 : line, A_DIM);
		return n - 1;
	}
	for (size_t at = 0; pieces == 0 || line[at]; pieces++)
		at += fit(line + at, width, 0, buf);
	for (int i = 0; i < pieces; i++) {
		if (n - pieces + i >= 0)
			draw_text(y + n - pieces + i, line, A_NORMAL);
		line += fit(line, width, 0, buf);
	}
	return n - pieces;
}

/* Draw the newest lines of the log, on n screen lines from y on. */
static void
draw_log(const char *log, int y, int n, bool whole)
{
	const char *end = log + strlen(log);

	if (end > log && end[-1] == '\n')
		end--;
	while (n > 0 && end > log) {
		const char *begin = line_back(log, end);
		char *line = strndup(begin, (size_t)(end - begin));

		n = draw_log_line(line ? line : "", y, n, whole);
		free(line);
		end = begin > log ? begin - 1 : log;
	}
}

static void
keep_top(struct screen *s)
{
	size_t *top = &s->top[s->view], page = s->page > 0 ? (size_t)s->page : 0;

	if (*top + page > s->rows)
		*top = s->rows > page ? s->rows - page : 0;
}

static void
draw_rows(struct screen *s, const struct latest *l, int y, int n)
{
	struct arranged a;
	char *line;

	s->looks[s->view].filter = s->filter;
	if (arrange(&s->looks[s->view], l->now, l->before, COLS, &a)) {
		s->rows = a.n;
		s->page = n - 1;
		keep_top(s);
		line = arranged_heading(&a);
		draw_text(y, line ? line : "", coloured(PAIR_TITLE, A_REVERSE));
		free(line);
		for (int i = 0; i < n - 1; i++) {
			size_t at = s->top[s->view] + (size_t)i;

			line = at < a.n ? arranged_line(&a, at) : NULL;
			draw_text(y + 1 + i, line ? line : "", A_NORMAL);
			free(line);
		}
	}
	arranged_free(&a);
}

static void
draw_keys(struct screen *s, int y)
{
	const struct look *look = &s->looks[s->view];
	char text[256];

	if (s->typing)
		snprintf(text, sizeof(text), "filter: %s_", s->filter);
	else if (s->view == VIEW_LOG)
		snprintf(text, sizeof(text), "h help  q quit  1-5 Tab view");
	else
		snprintf(text, sizeof(text), "h help  q quit  1-5 Tab view  < > sort: %s%s  / filter%s%s", look->reverse ? "-" : "",
			 look->view->columns[look->sort].title, *s->filter ? ": " : "", s->filter);
	draw_text(y, text, A_BOLD);
}

static void
draw_help(void)
{
	static const char *const lines[] = {
		"mqtop shows a mounted broker, from the files of its mount.", "",
		"1 2 3 4 5    topics, groups, clients, replication, log", "Tab          the next of them",
		"< >          sort by the column before, behind", "r            the other way round",
		"/            show rows with this in one of their words; Enter ends, Esc shows all",
		"up down PageUp PageDown Home End    other rows", "+ -          look more often, less often",
		"Space        look now", "h ?          this help", "q            quit", "", "Any key goes back.",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		draw_text((int)i, lines[i], A_NORMAL);
}

static void
draw_broker(struct screen *s, const struct latest *l)
{
	int y = 0, below = LINES >= NARROW_LINES ? 1 : 0, log = LINES >= NARROW_LINES + 4 ? LOG_LINES : 0;
	char text[512];

	if (LINES >= 6) {
		summary_who(l->now, s->o->mount, text, sizeof(text));
		draw_text(y++, text, A_BOLD);
		summary_what(l->now, l->before, text, sizeof(text));
		draw_text(y++, text, A_NORMAL);
	}
	y += draw_state(s, y, LINES >= NARROW_LINES ? 2 : LINES >= 3, l);
	if (s->view == VIEW_LOG) {
		draw_log(l->now->log, y, LINES - y - below, true);
	} else {
		draw_rows(s, l, y, LINES - y - below - log);
		if (log)
			draw_log(l->now->log, LINES - below - log, log, false);
	}
	if (below || s->typing)
		draw_keys(s, LINES - 1);
}

static void
draw(struct screen *s)
{
	struct latest l;

	erase();
	sampler_lock(s->sr, &l);
	if (s->help)
		draw_help();
	else if (l.now)
		draw_broker(s, &l);
	else if (l.away_ms)
		draw_away(0, &l);
	else
		draw_text(0, "looking ...", A_NORMAL);
	sampler_unlock(s->sr);
	refresh();
}

/* --- keys ------------------------------------------------------------------------------------------ */

static void
show_view(struct screen *s, int view)
{
	s->view = view;
	sampler_set(s->sr, s->interval_ms, view == VIEW_CLIENTS);
}

static void
scroll_by(struct screen *s, long by)
{
	size_t *top = &s->top[s->view];

	if (by < 0 && (size_t)-by > *top)
		*top = 0;
	else
		*top += (size_t)by;
	keep_top(s);
}

static void
change_interval(struct screen *s, bool less)
{
	static const int steps[] = { 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000 };
	int n = (int)(sizeof(steps) / sizeof(steps[0])), i = 0;

	while (i < n - 1 && steps[i] < s->interval_ms)
		i++;
	i += less ? -1 : 1;
	s->interval_ms = steps[i < 0 ? 0 : i >= n ? n - 1 : i];
	sampler_set(s->sr, s->interval_ms, s->view == VIEW_CLIENTS);
}

static void
type_filter(struct screen *s, int key)
{
	size_t len = strlen(s->filter);

	if (key == '\n' || key == '\r' || key == KEY_ENTER || key == 27)
		s->typing = false;
	if (key == 27)
		*s->filter = '\0';
	else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && len)
		s->filter[len - 1] = '\0';
	else if (key >= ' ' && key < 127 && len < FILTER_MAX - 1)
		s->filter[len] = (char)key, s->filter[len + 1] = '\0';
}

static void
sort_by(struct screen *s, int by)
{
	struct look *look = &s->looks[s->view];
	int n = view_columns(look->view);

	if (n)
		look->sort = (look->sort + by + n) % n;
}

static void
press(struct screen *s, int key)
{
	if (key >= '1' && key < '1' + VIEWS)
		show_view(s, key - '1');
	switch (key) {
	case 'q': s->quit = true; break;
	case 'h': case '?': case KEY_F(1): s->help = true; break;
	case '\t': show_view(s, (s->view + 1) % VIEWS); break;
	case '/': s->typing = true; break;
	case 27: *s->filter = '\0'; break;
	case '<': case ',': case KEY_LEFT: sort_by(s, -1); break;
	case '>': case '.': case KEY_RIGHT: sort_by(s, 1); break;
	case 'r': s->looks[s->view].reverse ^= true; break;
	case KEY_UP: case 'k': scroll_by(s, -1); break;
	case KEY_DOWN: case 'j': scroll_by(s, 1); break;
	case KEY_PPAGE: scroll_by(s, -s->page); break;
	case KEY_NPAGE: scroll_by(s, s->page); break;
	case KEY_HOME: case 'g': s->top[s->view] = 0; break;
	case KEY_END: case 'G': scroll_by(s, (long)s->rows); break;
	case '+': change_interval(s, true); break;
	case '-': change_interval(s, false); break;
	case ' ': sampler_set(s->sr, s->interval_ms, s->view == VIEW_CLIENTS); break;
	default: break;
	}
}

/* Do what a key says (ERR: none was pressed).  True: the screen is to be drawn again. */
static bool
handle_key(struct screen *s, int key)
{
	if (key == ERR)
		return false;
	if (key == KEY_RESIZE)
		return true;
	if (s->help)
		s->help = false;
	else if (s->typing)
		type_filter(s, key);
	else
		press(s, key);
	return true;
}

/* --- until q ------------------------------------------------------------------------------------------ */

static void
begin(struct screen *s)
{
	for (int i = 0; i < VIEWS; i++)
		s->looks[i] = (struct look){ .view = &views[i], .sort = views[i].sort, .filter = s->filter };
	if (s->o->filter)
		snprintf(s->filter, sizeof(s->filter), "%s", s->o->filter);
	if (s->o->sort)
		s->looks[s->view].sort = view_find_column(&views[s->view], s->o->sort);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	timeout(POLL_MS);
	(void)curs_set(0);
	if (getenv("NO_COLOR") || start_color() == ERR || !has_colors())
		return;
	use_default_colors();
	init_pair(PAIR_TROUBLE, COLOR_RED, -1);
	init_pair(PAIR_TITLE, COLOR_CYAN, -1);
}

int
screen_run(const struct options *o, struct sampler *sr)
{
	struct screen s = { .o = o, .sr = sr, .view = o->view < 0 ? VIEW_TOPICS : o->view, .interval_ms = o->interval_ms };
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	unsigned drawn = 0;
	int64_t drawn_ms = 0;

	if (!terminal) {
		fprintf(stderr, "mqtop: a terminal of type '%s' is not known; mqtop -b only prints\n",
			getenv("TERM") ? getenv("TERM") : "");
		return 2;
	}
	begin(&s);
	if (s.view == VIEW_CLIENTS)
		show_view(&s, s.view);
	while (!s.quit) {
		struct latest l;
		unsigned turn;

		sampler_lock(sr, &l);
		turn = l.turn;
		sampler_unlock(sr);
		if (handle_key(&s, getch()) || turn != drawn || clock_mono_ms() - drawn_ms >= 1000) {
			draw(&s);
			drawn = turn;
			drawn_ms = clock_mono_ms();
		}
	}
	endwin();
	delscreen(terminal);
	return 0;
}
