#include "hatchctl/top/layout.h"

#include <stdio.h>
#include <string.h>

#define GAP_WIDE 2

/* With fewer columns not enough is left of either end. */
#define CUT_MIDDLE_MIN 12

/* What all columns of a table would like to have; 0: nothing is known for any row. */
struct wishes {
	int widths[TOP_COLUMNS_MAX];
};

/* --------------------------------------------------------------------- what is there */

static int width_of(const struct top_column *column, struct top_value value)
{
	char cell[TOP_CELL_MAX];

	if (!value.text && value.number < 0)
		return 0;
	if (value.text)
		return (int)strnlen(value.text, TOP_CELL_MAX - 1);
	/* The others are as wide as they ever get. */
	if (column->kind != TOP_NUMBER)
		return column->least;
	return (int)strlen(top_format(column, value, cell));
}

static int wish_of(const struct top_column *column, const struct top_view *view,
	const struct top_sample *sample)
{
	int width = 0, floor = (int)strlen(column->head);

	for (size_t i = 0; i < view->n_rows; i++) {
		int one = width_of(column, column->get(sample, view->rows[i]));

		if (one > width)
			width = one;
	}
	if (width == 0 && column->extra)
		return 0;
	if (!column->elastic && floor < column->least)
		floor = column->least;
	return width > floor ? width : floor;
}

/* ----------------------------------------------------------------------- who comes in */

static int least_of(const struct top_column *column, int wish)
{
	return column->elastic && wish > column->least ? column->least : wish;
}

static int sum_of(const struct top_layout *layout)
{
	int sum = 0;

	for (size_t i = 0; i < layout->n_places; i++)
		sum += layout->places[i].width + (i > 0 ? layout->gap : 0);
	return sum;
}

static void add(
	struct top_layout *layout, const struct top_column *column, int number, int width)
{
	layout->places[layout->n_places++] = (struct top_place){column, number, width};
}

static void leave_one_out(struct top_layout *layout)
{
	size_t worst = 0;

	for (size_t i = 1; i < layout->n_places; i++)
		if (layout->places[i].column->rank > layout->places[worst].column->rank)
			worst = i;
	layout->n_places--;
	memmove(&layout->places[worst], &layout->places[worst + 1],
		(layout->n_places - worst) * sizeof layout->places[0]);
}

/* The room that is left goes to those who are cut, the one with the lowest rank first. */
static void share_out(struct top_layout *layout, const struct wishes *wishes, int width)
{
	int left = width - sum_of(layout);

	for (int rank = 0; left > 0 && rank < TOP_COLUMNS_MAX; rank++) {
		for (size_t i = 0; i < layout->n_places; i++) {
			struct top_place *place = &layout->places[i];
			int more = wishes->widths[place->number] - place->width;

			if (place->column->rank != rank || more <= 0)
				continue;
			if (more > left)
				more = left;
			place->width += more;
			left -= more;
		}
	}
}

static void add_extra(struct top_layout *layout, const struct top_column *column, int number,
	int wish, int width)
{
	int left = width - sum_of(layout) - layout->gap;

	if (wish == 0 || left < least_of(column, wish))
		return;
	add(layout, column, number, wish < left ? wish : left);
}

void top_layout_make(struct top_layout *layout, const struct top_view *view,
	const struct top_sample *sample, int width)
{
	struct wishes wishes;
	int all = 0;
	size_t n;
	const struct top_column *columns = top_columns(view->table, &n);

	*layout = (struct top_layout){.gap = GAP_WIDE};
	if (width == 0)
		width = TOP_COLUMNS_MAX * TOP_CELL_MAX;
	for (size_t i = 0; i < n; i++) {
		wishes.widths[i] = wish_of(&columns[i], view, sample);
		if (columns[i].extra)
			continue;
		add(layout, &columns[i], (int)i, least_of(&columns[i], wishes.widths[i]));
		all += wishes.widths[i];
	}
	if (all + GAP_WIDE * ((int)layout->n_places - 1) > width)
		layout->gap = 1;
	while (layout->n_places > 1 && sum_of(layout) > width)
		leave_one_out(layout);
	share_out(layout, &wishes, width);
	for (size_t i = 0; i < n; i++)
		if (columns[i].extra)
			add_extra(layout, &columns[i], (int)i, wishes.widths[i], width);
}

/* -------------------------------------------------------------------------- cells */

/* Addresses differ more at their ends, words at their beginning. */
static void cut(const char *text, size_t len, size_t width, char *buf)
{
	static const char dots[] = "...";
	const size_t n_dots = sizeof dots - 1;
	size_t head = (width - n_dots) / 3, tail = width - n_dots - head;

	if (width < CUT_MIDDLE_MIN) {
		snprintf(buf, width + 1, "%.*s+", (int)width - 1, text);
		return;
	}
	memcpy(buf, text, head);
	memcpy(buf + head, dots, n_dots);
	memcpy(buf + head + n_dots, text + len - tail, tail);
	buf[width] = '\0';
}

const char *top_fit(const char *text, int width, bool right, char *buf)
{
	size_t len = strlen(text);

	if (len > (size_t)width)
		cut(text, len, (size_t)width, buf);
	else
		snprintf(buf, (size_t)width + 1, "%*s", right ? width : -width, text);
	return buf;
}

/* A word in a column of numbers stands where they do. */
const char *top_cell(const struct top_place *place, const struct top_sample *sample, size_t row,
	char buf[TOP_CELL_MAX])
{
	char text[TOP_CELL_MAX];

	top_format(place->column, place->column->get(sample, row), text);
	return top_fit(text, place->width, place->column->kind != TOP_TEXT, buf);
}

const char *top_head(const struct top_place *place, char buf[TOP_CELL_MAX])
{
	return top_fit(place->column->head, place->width, place->column->kind != TOP_TEXT, buf);
}
