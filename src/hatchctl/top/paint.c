#include "hatchctl/top/paint.h"

#include <curses.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	short colour;         /* -1: that of the terminal */
	attr_t with, without; /* colours */
} looks[_TOP_INKS] = {
	[TOP_INK_PLAIN] = {-1, A_NORMAL, A_NORMAL},
	[TOP_INK_FAINT] = {-1, A_DIM, A_NORMAL},
	[TOP_INK_LABEL] = {COLOR_CYAN, A_NORMAL, A_NORMAL},
	[TOP_INK_STRONG] = {-1, A_BOLD, A_BOLD},
	[TOP_INK_GOOD] = {COLOR_GREEN, A_NORMAL, A_NORMAL},
	[TOP_INK_WARN] = {COLOR_YELLOW, A_NORMAL, A_BOLD},
	[TOP_INK_BAD] = {COLOR_RED, A_BOLD, A_BOLD},
	[TOP_INK_HEAD] = {COLOR_GREEN, A_REVERSE, A_REVERSE},
	[TOP_INK_SORTED] = {COLOR_CYAN, A_REVERSE, A_REVERSE | A_BOLD},
	[TOP_INK_CHOSEN] = {COLOR_CYAN, A_REVERSE, A_REVERSE},
};

void top_paint_begin(struct top_paint *paint, bool coloured)
{
	*paint = (struct top_paint){.coloured = coloured};
	getmaxyx(stdscr, paint->height, paint->width);
	for (short i = 0; coloured && i < _TOP_INKS; i++)
		init_pair((short)(i + 1), looks[i].colour, -1);
	erase();
}

void top_paint_end(const struct top_paint *paint)
{
	(void)paint;
	refresh();
}

static void set_ink(const struct top_paint *paint, enum top_ink ink)
{
	if (paint->coloured)
		attr_set(looks[ink].with, (short)(ink + 1), NULL);
	else
		attr_set(looks[ink].without, 0, NULL);
}

void top_paint_move(struct top_paint *paint, int y, int x)
{
	paint->y = y;
	paint->x = x;
}

void top_paint_text(struct top_paint *paint, enum top_ink ink, const char *text)
{
	int room = paint->width - paint->x, len = (int)strlen(text);

	if (paint->y < 0 || paint->y >= paint->height || room <= 0)
		return;
	set_ink(paint, ink);
	mvaddnstr(paint->y, paint->x, text, len > room ? room : len);
	if (len > room)
		mvaddch(paint->y, paint->width - 1, '+');
	paint->x += len;
}

void top_paint_format(struct top_paint *paint, enum top_ink ink, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	top_paint_text(paint, ink, text);
}

void top_paint_fill(struct top_paint *paint, enum top_ink ink, int x)
{
	if (x > paint->x)
		top_paint_format(paint, ink, "%*s", x - paint->x, "");
}

/* --------------------------------------------------------------------------- boxes */

static void paint_edge(struct top_paint *paint, const char *title, int width)
{
	int rest = width - 4 - (int)strlen(title);

	top_paint_text(paint, TOP_INK_LABEL, "+-");
	top_paint_text(paint, TOP_INK_STRONG, title);
	for (int i = 0; i < rest + 1; i++)
		top_paint_text(paint, TOP_INK_LABEL, "-");
	top_paint_text(paint, TOP_INK_LABEL, "+");
}

static void paint_inside(struct top_paint *paint, const char *line, int width)
{
	int end = paint->x + width - 2;

	top_paint_text(paint, TOP_INK_LABEL, "| ");
	top_paint_format(paint, TOP_INK_PLAIN, "%.*s", width - 4, line);
	top_paint_fill(paint, TOP_INK_PLAIN, end);
	top_paint_text(paint, TOP_INK_LABEL, " |");
}

static int widest(const char *title, const char *const *lines, int n_lines)
{
	int width = (int)strlen(title);

	for (int i = 0; i < n_lines; i++)
		if ((int)strlen(lines[i]) > width)
			width = (int)strlen(lines[i]);
	return width;
}

void top_paint_box(
	struct top_paint *paint, const char *title, const char *const *lines, int n_lines)
{
	int width = widest(title, lines, n_lines) + 4, x, y;

	if (width > paint->width)
		width = paint->width;
	if (n_lines > paint->height - 2)
		n_lines = paint->height - 2;
	x = (paint->width - width) / 2;
	y = (paint->height - n_lines - 2) / 2;
	top_paint_move(paint, y++, x);
	paint_edge(paint, title, width);
	for (int i = 0; i < n_lines; i++) {
		top_paint_move(paint, y++, x);
		paint_inside(paint, lines[i], width);
	}
	top_paint_move(paint, y, x);
	paint_edge(paint, "", width);
}
