#include "hatchctl/top/view.h"

#include <stdio.h>
#include <string.h>

void top_view_init(struct top_view *view, enum top_table table)
{
	*view = (struct top_view){.table = table};
	view->orders[TOP_SERVICES].column = top_column_find(TOP_SERVICES, "CHILD");
	view->orders[TOP_CONNECTIONS].column = top_column_find(TOP_CONNECTIONS, "CPU%");
}

void top_view_done(struct top_view *view)
{
	free(view->rows);
	view->rows = NULL;
	view->n_rows = 0;
}

/* ---------------------------------------------------------------- rows that are shown */

/* Numbers are looked for where they are names. */
static bool is_sought(enum top_table table, const struct top_column *column)
{
	return column->kind == TOP_TEXT ||
	       (table == TOP_CONNECTIONS && column->kind == TOP_NUMBER);
}

static bool matches(const struct top_view *view, const struct top_sample *sample, size_t row)
{
	size_t n;
	const struct top_column *columns = top_columns(view->table, &n);
	char cell[TOP_CELL_MAX];

	for (size_t i = 0; i < n; i++)
		if (is_sought(view->table, &columns[i]) &&
			strcasestr(top_format(&columns[i], columns[i].get(sample, row), cell),
				view->filter))
			return true;
	return false;
}

static bool is_shown(const struct top_view *view, const struct top_sample *sample, size_t row)
{
	if (view->table == TOP_CONNECTIONS && *view->service &&
		strcmp(view->service, sample->connections[row].service) != 0)
		return false;
	return !*view->filter || matches(view, sample, row);
}

/* ------------------------------------------------------------------------- order */

struct sort_key {
	struct top_value value;
	size_t row;
};

struct sort_order {
	bool by_text, reversed;
};

static int compare_values(const struct top_value *x, const struct top_value *y, bool by_text)
{
	int r;

	if (by_text)
		return strcmp(x->text, y->text);
	r = (x->number < y->number) - (x->number > y->number);
	if (r != 0 || !x->text || !y->text)
		return r;
	return strcmp(x->text, y->text);
}

/* What is the same stays as the sample has it, either way round. */
static int compare_keys(const void *a, const void *b, void *ctx)
{
	const struct sort_key *x = a, *y = b;
	const struct sort_order *order = ctx;
	int r = compare_values(&x->value, &y->value, order->by_text);

	if (r == 0)
		return (x->row > y->row) - (x->row < y->row);
	return order->reversed ? -r : r;
}

static void sort(const struct top_view *view, struct sort_key *keys, size_t n_keys)
{
	const struct top_order *chosen = &view->orders[view->table];
	struct sort_order order = {.reversed = chosen->reversed};
	size_t n;

	order.by_text = top_columns(view->table, &n)[chosen->column].kind == TOP_TEXT;
	qsort_r(keys, n_keys, sizeof *keys, compare_keys, &order);
}

static size_t collect(
	const struct top_view *view, const struct top_sample *sample, struct sort_key *keys)
{
	size_t n, n_rows = top_count_rows(view->table, sample), found = 0;
	const struct top_column *column =
		&top_columns(view->table, &n)[view->orders[view->table].column];

	for (size_t row = 0; row < n_rows; row++)
		if (is_shown(view, sample, row))
			keys[found++] = (struct sort_key){column->get(sample, row), row};
	return found;
}

/* -------------------------------------------------------------------------- cursor */

static bool is_followed(
	const struct top_view *view, const struct top_sample *sample, size_t row)
{
	if (view->table == TOP_CONNECTIONS)
		return sample->connections[row].id == view->id;
	return strncmp(sample->services[row].name, view->name, sizeof view->name - 1) == 0;
}

/* What has gone leaves the cursor where it was. */
static void follow(struct top_view *view, const struct top_sample *sample)
{
	if (!view->follows)
		view->cursor = 0;
	for (size_t i = 0; view->follows && i < view->n_rows; i++) {
		if (is_followed(view, sample, view->rows[i])) {
			view->cursor = i;
			return;
		}
	}
	if (view->cursor >= view->n_rows)
		view->cursor = view->n_rows ? view->n_rows - 1 : 0;
}

static void remember(struct top_view *view, const struct top_sample *sample)
{
	const struct top_connection *connection = top_view_connection(view, sample);
	const struct top_service *service = top_view_service(view, sample);

	if (connection)
		view->id = connection->id;
	if (service)
		snprintf(view->name, sizeof view->name, "%s", service->name);
}

void top_view_move(struct top_view *view, const struct top_sample *sample, long by)
{
	long last = (long)view->n_rows - 1, cursor;

	if (view->n_rows == 0)
		return;
	if (by > last)
		by = last;
	if (by < -last)
		by = -last;
	cursor = (long)view->cursor + by;
	if (cursor < 0)
		cursor = 0;
	if (cursor > last)
		cursor = last;
	view->cursor = (size_t)cursor;
	view->follows = view->cursor > 0;
	remember(view, sample);
}

void top_view_scroll(struct top_view *view, size_t height)
{
	if (view->cursor < view->first)
		view->first = view->cursor;
	if (view->cursor >= view->first + height)
		view->first = view->cursor + 1 - height;
	if (view->first + height > view->n_rows)
		view->first = view->n_rows > height ? view->n_rows - height : 0;
}

/* -------------------------------------------------------------------------------- */

int top_view_update(struct top_view *view, const struct top_sample *sample)
{
	size_t n_rows = top_count_rows(view->table, sample);
	_cleanup_free_ struct sort_key *keys = calloc(n_rows ? n_rows : 1, sizeof *keys);
	size_t *rows = reallocarray(view->rows, n_rows ? n_rows : 1, sizeof *rows);

	if (rows)
		view->rows = rows;
	view->n_rows = 0;
	if (!keys || !rows)
		return -ENOMEM;
	view->n_rows = collect(view, sample, keys);
	sort(view, keys, view->n_rows);
	for (size_t i = 0; i < view->n_rows; i++)
		view->rows[i] = keys[i].row;
	follow(view, sample);
	return 0;
}

void top_view_show(struct top_view *view, enum top_table table, const char *service)
{
	view->table = table;
	snprintf(view->service, sizeof view->service, "%s", service ? service : "");
	view->follows = false;
	view->n_rows = view->cursor = view->first = 0;
}

/* One that was removed may have connections still. */
bool top_view_is_lost(const struct top_view *view, const struct top_sample *sample)
{
	return *view->service && view->n_rows == 0 && !*view->filter &&
	       !top_sample_service(sample, view->service);
}

const struct top_service *top_view_service(
	const struct top_view *view, const struct top_sample *sample)
{
	if (view->table != TOP_SERVICES || view->cursor >= view->n_rows)
		return NULL;
	return &sample->services[view->rows[view->cursor]];
}

const struct top_connection *top_view_connection(
	const struct top_view *view, const struct top_sample *sample)
{
	if (view->table != TOP_CONNECTIONS || view->cursor >= view->n_rows)
		return NULL;
	return &sample->connections[view->rows[view->cursor]];
}
