#include "hatchctl/top/draw.h"

#include "base/text.h"
#include "hatchctl/top/facts.h"
#include "hatchctl/top/paint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Lines above the rows: facts, a title, and the heads of the columns; and one below them. */
#define FACT_LINES  5
#define LINES_ABOVE (FACT_LINES + 2)
#define LINES_BELOW 1

/* From that column on: the second half of a line of facts. */
#define LABEL_WIDTH       9
#define RIGHT_LABEL_WIDTH 12
#define RIGHT_WIDTH       28
#define LEFT_MAX          64

/* A bar is that full: see there, do something. */
#define SHARE_WARN 0.6
#define SHARE_BAD  0.85

/* --------------------------------------------------------------------------- facts */

static int left_width(const struct top_paint *paint)
{
	int width = paint->width - RIGHT_WIDTH;

	return width > LEFT_MAX ? LEFT_MAX : width < 0 ? 0 : width;
}

static void paint_label(struct top_paint *paint, enum top_fact fact, int width)
{
	top_paint_format(paint, TOP_INK_LABEL, "%-*s", width, top_fact_label(fact));
}

static enum top_ink ink_of_share(double share)
{
	return share >= SHARE_BAD    ? TOP_INK_BAD
	       : share >= SHARE_WARN ? TOP_INK_WARN
	                             : TOP_INK_GOOD;
}

/* The bar itself has a colour, what is written at its end none. */
static void paint_bar(
	struct top_paint *paint, enum top_fact fact, const struct top_sample *sample)
{
	double share = top_fact_share(fact, sample);
	char text[TOP_FACT_MAX], bar[TOP_FACT_MAX], full[TOP_FACT_MAX];
	int width = left_width(paint) - LABEL_WIDTH - 3;
	size_t n;

	paint_label(paint, fact, LABEL_WIDTH);
	if (width < 2)
		return;
	top_bar(share, top_fact(fact, sample, text), width, bar);
	n = strspn(bar + 1, "|");
	snprintf(full, sizeof full, "%.*s", (int)n, bar + 1);
	top_paint_text(paint, TOP_INK_STRONG, "[");
	top_paint_text(paint, ink_of_share(share), full);
	bar[width - 1] = '\0';
	top_paint_text(paint, TOP_INK_PLAIN, bar + 1 + n);
	top_paint_text(paint, TOP_INK_STRONG, "]");
}

static void paint_right(
	struct top_paint *paint, enum top_fact fact, const struct top_sample *sample)
{
	char text[TOP_FACT_MAX];

	top_paint_move(paint, paint->y, left_width(paint));
	paint_label(paint, fact, RIGHT_LABEL_WIDTH);
	top_paint_text(paint, TOP_INK_STRONG, top_fact(fact, sample, text));
}

/* In full where there is room, for it may name a file, else its middle is left out. */
static void paint_reload(struct top_paint *paint, const struct top_sample *sample)
{
	char text[TOP_FACT_MAX], cut[TOP_FACT_MAX];
	int room = paint->width - LABEL_WIDTH;

	paint_label(paint, TOP_FACT_RELOAD, LABEL_WIDTH);
	top_fact(TOP_FACT_RELOAD, sample, text);
	if (room > 0 && (size_t)room < strlen(text))
		strcpy(text, top_fit(text, room, false, cut));
	top_paint_text(paint, sample->reload_failed ? TOP_INK_BAD : TOP_INK_PLAIN, text);
}

static void paint_clients(struct top_paint *paint, const struct top_sample *sample)
{
	char text[TOP_FACT_MAX];

	paint_label(paint, TOP_FACT_ACCEPTED, LABEL_WIDTH);
	top_paint_format(
		paint, TOP_INK_STRONG, "%-9s", top_fact(TOP_FACT_ACCEPTED, sample, text));
	top_paint_text(paint, TOP_INK_PLAIN, " ");
	paint_label(paint, TOP_FACT_REFUSED, LABEL_WIDTH - 1);
	top_paint_text(paint, sample->refusals > 0 ? TOP_INK_WARN : TOP_INK_STRONG,
		top_fact(TOP_FACT_REFUSED, sample, text));
}

static void paint_hatchd(struct top_paint *paint, const struct top_sample *sample)
{
	char text[TOP_FACT_MAX];

	top_paint_text(paint, TOP_INK_STRONG, "hatchd ");
	top_paint_text(paint, TOP_INK_PLAIN, top_fact(TOP_FACT_HATCHD, sample, text));
}

static void paint_facts(struct top_paint *paint, const struct top_sample *sample)
{
	top_paint_move(paint, 1, 0);
	paint_bar(paint, TOP_FACT_CHILDREN, sample);
	paint_right(paint, TOP_FACT_SERVICES, sample);
	top_paint_move(paint, 2, 0);
	paint_bar(paint, TOP_FACT_LOAD, sample);
	paint_right(paint, TOP_FACT_CONNECTIONS, sample);
	top_paint_move(paint, 3, 0);
	paint_reload(paint, sample);
	top_paint_move(paint, 4, 0);
	paint_clients(paint, sample);
}

static void paint_to_the_right(struct top_paint *paint, enum top_ink ink, const char *text)
{
	int x = paint->width - (int)strlen(text);

	if (x <= paint->x)
		return;
	top_paint_move(paint, paint->y, x);
	top_paint_text(paint, ink, text);
}

/* In the upper right corner: how often there is a new picture, if there is. */
static void paint_pace(
	struct top_paint *paint, const struct top_state *state, const char *trouble)
{
	char elapsed[TEXT_NUMBER_MAX], text[64];

	snprintf(text, sizeof text, " every %s", text_format_elapsed(state->delay, elapsed));
	if (trouble)
		paint_to_the_right(paint, TOP_INK_BAD, " not answering");
	else if (state->paused)
		paint_to_the_right(paint, TOP_INK_WARN, " paused");
	else
		paint_to_the_right(paint, TOP_INK_FAINT, text);
}

/* --------------------------------------------------------------------------- title */

static void paint_count(struct top_paint *paint, const struct top_view *view, size_t all)
{
	if (view->n_rows == all)
		top_paint_format(paint, TOP_INK_PLAIN, " %zu", all);
	else
		top_paint_format(paint, TOP_INK_PLAIN, " %zu of %zu", view->n_rows, all);
}

static void paint_title(
	struct top_paint *paint, const struct top_view *view, const struct top_sample *sample)
{
	if (view->table == TOP_SERVICES)
		top_paint_text(paint, TOP_INK_STRONG, "Services");
	else if (*view->service)
		top_paint_format(paint, TOP_INK_STRONG, "Connections of %s", view->service);
	else
		top_paint_text(paint, TOP_INK_STRONG, "Connections");
	if (sample)
		paint_count(paint, view, top_count_rows(view->table, sample));
	if (sample && top_view_is_lost(view, sample))
		top_paint_text(paint, TOP_INK_WARN, "   no such service");
	if (*view->filter)
		top_paint_format(paint, TOP_INK_WARN, "   only with \"%s\"", view->filter);
}

/* Where there are no colours, nothing else says it. */
static void paint_order(struct top_paint *paint, const struct top_view *view)
{
	const struct top_order *order = &view->orders[view->table];
	char text[64];
	size_t n;

	snprintf(text, sizeof text, " by %s%s",
		top_columns(view->table, &n)[order->column].head,
		order->reversed ? ", reversed" : "");
	paint_to_the_right(paint, TOP_INK_FAINT, text);
}

/* --------------------------------------------------------------------------- table */

static void paint_heads(
	struct top_paint *paint, const struct top_layout *layout, const struct top_order *order)
{
	char cell[TOP_CELL_MAX];

	for (size_t i = 0; i < layout->n_places; i++) {
		const struct top_place *place = &layout->places[i];

		if (i > 0)
			top_paint_fill(paint, TOP_INK_HEAD, paint->x + layout->gap);
		top_paint_text(paint,
			place->number == order->column ? TOP_INK_SORTED : TOP_INK_HEAD,
			top_head(place, cell));
	}
	top_paint_fill(paint, TOP_INK_HEAD, paint->width);
}

/* The words of hatchd for a service or a connection that is not simply there. */
static enum top_ink ink_of_state(const char *state)
{
	static const struct {
		const char *word;
		enum top_ink ink;
	} inks[] = {
		{"serving", TOP_INK_GOOD},
		{"running", TOP_INK_GOOD},
		{"starting", TOP_INK_WARN},
		{"reloading", TOP_INK_WARN},
		{"stopping", TOP_INK_WARN},
		{"ending", TOP_INK_WARN},
		{"full", TOP_INK_WARN},
		{"above its rate", TOP_INK_WARN},
		{"disabled", TOP_INK_WARN},
		{"paused", TOP_INK_BAD},
		{"waiting", TOP_INK_BAD},
		{"without an address", TOP_INK_BAD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(inks); i++)
		if (strcmp(inks[i].word, state) == 0)
			return inks[i].ink;
	return TOP_INK_PLAIN;
}

/* Nothing, and what nobody knows, stays in the background. */
static enum top_ink ink_of_cell(const struct top_column *column, struct top_value value)
{
	if (value.text && !*value.text)
		return TOP_INK_FAINT;
	if (value.text)
		return strcmp(column->head, "STATE") == 0 ? ink_of_state(value.text)
		                                          : TOP_INK_PLAIN;
	if (value.number <= 0)
		return TOP_INK_FAINT;
	return strcmp(column->head, "REFUSED/s") == 0 ? TOP_INK_WARN : TOP_INK_PLAIN;
}

static void paint_row(struct top_paint *paint, const struct top_layout *layout,
	const struct top_sample *sample, size_t row, bool chosen)
{
	char cell[TOP_CELL_MAX];

	for (size_t i = 0; i < layout->n_places; i++) {
		const struct top_place *place = &layout->places[i];
		struct top_value value = place->column->get(sample, row);

		if (i > 0)
			top_paint_fill(paint, chosen ? TOP_INK_CHOSEN : TOP_INK_PLAIN,
				paint->x + layout->gap);
		top_paint_text(paint,
			chosen ? TOP_INK_CHOSEN : ink_of_cell(place->column, value),
			top_cell(place, sample, row, cell));
	}
	if (chosen)
		top_paint_fill(paint, TOP_INK_CHOSEN, paint->width);
}

static void paint_table(
	struct top_paint *paint, struct top_state *state, const struct top_sample *sample)
{
	struct top_view *view = &state->view;
	int height = paint->height - LINES_ABOVE - LINES_BELOW;

	state->height = height > 0 ? (size_t)height : 0;
	top_view_scroll(view, state->height);
	top_layout_make(&state->layout, view, sample, paint->width);
	top_paint_move(paint, LINES_ABOVE - 1, 0);
	paint_heads(paint, &state->layout, &view->orders[view->table]);
	for (size_t i = 0; i < state->height && view->first + i < view->n_rows; i++) {
		size_t at = view->first + i;

		top_paint_move(paint, LINES_ABOVE + (int)i, 0);
		paint_row(paint, &state->layout, sample, view->rows[at], at == view->cursor);
	}
}

/* ----------------------------------------------------------------------- last line */

static void paint_key(struct top_paint *paint, const char *key, const char *what)
{
	int gap = paint->x > 0 ? 2 : 0, len = (int)(strlen(key) + strlen(what)) + 1;

	if (paint->x + gap + len > paint->width)
		return;
	top_paint_fill(paint, TOP_INK_PLAIN, paint->x + gap);
	top_paint_text(paint, TOP_INK_STRONG, key);
	top_paint_format(paint, TOP_INK_LABEL, " %s", what);
}

static void paint_keys(struct top_paint *paint, enum top_table table)
{
	paint_key(paint, "q", "quit");
	paint_key(paint, "?", "help");
	paint_key(paint, "Tab", table == TOP_SERVICES ? "connections" : "services");
	paint_key(paint, "Enter", table == TOP_SERVICES ? "look into" : "details");
	if (table == TOP_CONNECTIONS)
		paint_key(paint, "k", "end");
	paint_key(paint, "/", "filter");
	paint_key(paint, "< >", "sort");
	paint_key(paint, "r", "reverse");
	paint_key(paint, "Space", "pause");
}

/* Both its ends count: what is wrong, and what to do. */
static void paint_message(struct top_paint *paint, enum top_ink ink, const char *text)
{
	char cut[TOP_CELL_MAX];
	int room = paint->width < TOP_CELL_MAX ? paint->width : TOP_CELL_MAX - 1;

	top_paint_text(paint, ink, top_fit(text, room, false, cut));
}

static void paint_last_line(
	struct top_paint *paint, const struct top_state *state, const char *trouble)
{
	top_paint_move(paint, paint->height - LINES_BELOW, 0);
	if (state->mode == TOP_FILTERING) {
		top_paint_text(paint, TOP_INK_LABEL, "Filter: ");
		top_paint_text(paint, TOP_INK_STRONG, state->view.filter);
		top_paint_text(paint, TOP_INK_CHOSEN, " ");
		top_paint_text(paint, TOP_INK_FAINT, "   Enter keeps it, Escape drops it");
	} else if (state->mode == TOP_CONFIRMING) {
		top_paint_format(paint, TOP_INK_WARN, "%s y/n ", state->question);
	} else if (*state->message) {
		paint_message(paint, TOP_INK_WARN, state->message);
	} else if (trouble) {
		paint_message(paint, TOP_INK_BAD, trouble);
	} else {
		paint_keys(paint, state->view.table);
	}
}

/* --------------------------------------------------------------------------- boxes */

static void paint_help(struct top_paint *paint)
{
	static const char *const lines[] = {
		"Up Down PgUp PgDn Home End   move; Home: follow no row",
		"Enter       the connections of a service,",
		"            all that is known of a connection",
		"Escape      drop the filter, back to the services",
		"Tab         services, or all connections",
		"< >         sort by another column (also Left, Right)",
		"P M         ... by CPU%, by MEM",
		"r           the other way round",
		"/           only rows with that text",
		"k           end a connection",
		"+ -         a new sample less often, more often",
		"Space       pause",
		"Ctrl-L      draw the screen anew",
		"q           quit",
		"",
		"CPU% of one processor; RX: what clients send.",
		"- stands for what is not known.",
	};

	top_paint_box(paint, " Keys ", lines, ARRAY_SIZE(lines));
}

static void paint_details(struct top_paint *paint, const struct top_sample *sample, uint64_t id)
{
	const struct top_connection *connection = top_sample_connection(sample, id);
	char cell[TOP_CELL_MAX], texts[TOP_COLUMNS_MAX][TOP_CELL_MAX + 16], title[64];
	const char *lines[TOP_COLUMNS_MAX] = {"It has ended."};
	size_t n;
	const struct top_column *columns = top_columns(TOP_CONNECTIONS, &n);

	snprintf(title, sizeof title, " Connection %" PRIu64 " ", id);
	for (size_t i = 0; connection && i < n; i++) {
		size_t row = (size_t)(connection - sample->connections);

		snprintf(texts[i], sizeof texts[i], "%-8s %s", columns[i].head,
			top_format(&columns[i], columns[i].get(sample, row), cell));
		lines[i] = texts[i];
	}
	top_paint_box(paint, title, lines, connection ? (int)n : 1);
}

/* -------------------------------------------------------------------------------- */

void top_draw(const struct top_screen *screen, struct top_state *state,
	const struct top_sample *sample, const char *trouble)
{
	struct top_paint paint;

	top_paint_begin(&paint, screen->coloured);
	if (sample)
		paint_hatchd(&paint, sample);
	paint_pace(&paint, state, trouble);
	if (sample)
		paint_facts(&paint, sample);
	top_paint_move(&paint, FACT_LINES, 0);
	paint_title(&paint, &state->view, sample);
	paint_order(&paint, &state->view);
	if (sample)
		paint_table(&paint, state, sample);
	paint_last_line(&paint, state, trouble);
	if (state->mode == TOP_HELP)
		paint_help(&paint);
	if (state->mode == TOP_DETAILS && sample)
		paint_details(&paint, sample, state->target);
	top_paint_end(&paint);
}
