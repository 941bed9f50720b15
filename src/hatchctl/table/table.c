#include "hatchctl/table/table.h"

#include "base/json.h"
#include "base/text.h"
#include "hatchctl/table/figures.h"

#include <inttypes.h>
#include <langinfo.h>
#include <string.h>

/* Rows for which there is room at first. */
#define ROWS_FIRST 16

void table_init(struct table *table, const struct table_column *columns,
	const struct table_style *style)
{
	*table = (struct table){.columns = columns, .style = style};
}

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->n_rows * table->style->n_chosen; i++)
		free(table->cells[i].text);
	free(table->cells);
	*table = (struct table){.columns = table->columns, .style = table->style};
}

/* Where it stands from the left, or -1. */
static int find_place(const struct table *table, unsigned column)
{
	for (size_t i = 0; i < table->style->n_chosen; i++)
		if (table->style->chosen[i] == column)
			return (int)i;
	return -1;
}

bool table_shows(const struct table *table, unsigned column)
{
	return find_place(table, column) >= 0;
}

void table_begin_row(struct table *table)
{
	size_t width = table->style->n_chosen;
	struct table_cell *cells = table->cells;

	if (table->error)
		return;
	if (table->n_rows == table->room) {
		size_t room = table->room ? 2 * table->room : ROWS_FIRST;

		cells = reallocarray(cells, room, width * sizeof *cells);
		if (!cells) {
			table->error = -ENOMEM;
			return;
		}
		table->cells = cells;
		table->room = room;
	}
	memset(cells + table->n_rows * width, 0, width * sizeof *cells);
	table->n_rows++;
}

/* In the last row; NULL: nobody wants to see it, or there is none. */
static struct table_cell *find_cell(struct table *table, unsigned column)
{
	int place = find_place(table, column);

	if (place < 0 || table->n_rows == 0 || table->error)
		return NULL;
	return &table->cells[(table->n_rows - 1) * table->style->n_chosen + (size_t)place];
}

void table_set_color(struct table *table, unsigned column, const char *color)
{
	struct table_cell *cell = find_cell(table, column);

	if (cell)
		cell->color = color;
}

/* ------------------------------------------------------------- for each form */

/* Of what is not ASCII libsmartcols makes columns in UTF-8 only; elsewhere it never ends. */
static void escape_rest(const char *text, char *to)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x80)
			*to++ = *text;
		else
			to += snprintf(to, 5, "\\x%02x", (unsigned char)*text);
	}
	*to = '\0';
}

static char *show_to_people(const char *text)
{
	size_t len = strlen(text), size = 4 * len + 1;
	_cleanup_free_ char *escaped = malloc(size);
	char *shown;

	if (!escaped)
		return NULL;
	text_escape(text, len, escaped, size);
	if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
		return take_ptr(escaped);
	shown = malloc(4 * strlen(escaped) + 1);
	if (shown)
		escape_rest(escaped, shown);
	return shown;
}

static char *write_as_json(const char *text)
{
	char *room = malloc(JSON_TEXT_ROOM + 1);
	struct json json;

	if (!room)
		return NULL;
	json_init(&json, room, JSON_TEXT_ROOM);
	json_text(&json, NULL, text);
	room[json.len] = '\0';
	return room;
}

/* What stands in the file, without what terminals obey. */
static char *copy_value(struct json_value value)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	table_write_value(value, out);
	return fclose(out) == 0 ? take_ptr(text) : NULL;
}

static void set(struct table *table, struct table_cell *cell, char *text)
{
	if (!text) {
		table->error = -ENOMEM;
		return;
	}
	free(cell->text);
	cell->text = text;
}

/* ------------------------------------------------------------------- for each kind */

void table_put_text(struct table *table, unsigned column, const char *text)
{
	struct table_cell *cell = find_cell(table, column);

	if (!cell || !text)
		return;
	switch (table->style->form) {
	case TABLE_FOR_PEOPLE:
		set(table, cell, show_to_people(text));
		break;
	case TABLE_RAW:
		set(table, cell, strdup(text));
		break;
	case TABLE_JSON:
		set(table, cell, write_as_json(text));
		break;
	}
}

static const char *show_number(enum table_kind kind, uint64_t number, char buf[FIGURES_MAX])
{
	switch (kind) {
	case TABLE_BYTES:
		return figures_bytes(number, buf);
	case TABLE_DURATION:
		return text_format_elapsed(number, buf);
	case TABLE_TIME:
		return figures_time(number, buf);
	default:
		return NULL;
	}
}

void table_put_number(struct table *table, unsigned column, uint64_t number)
{
	struct table_cell *cell = find_cell(table, column);
	char buf[FIGURES_MAX], plain[TEXT_NUMBER_MAX];
	const char *shown = NULL;

	if (!cell)
		return;
	if (table->style->form == TABLE_FOR_PEOPLE)
		shown = show_number(table->columns[column].kind, number, buf);
	snprintf(plain, sizeof plain, "%" PRIu64, number);
	set(table, cell, strdup(shown ? shown : plain));
}

void table_put_value(
	struct table *table, unsigned column, struct json_value value, const char *text)
{
	struct table_cell *cell = find_cell(table, column);

	if (!cell)
		return;
	if (table->style->form != TABLE_JSON)
		table_put_text(table, column, text);
	else if (value.at)
		set(table, cell, copy_value(value));
}

static bool is_count(struct json_value value)
{
	size_t n = 0;

	while (value.at + n < value.end && value.at[n] >= '0' && value.at[n] <= '9')
		n++;
	return n > 0 && value.at + n == value.end;
}

void table_put(struct table *table, unsigned column, struct json_value value)
{
	if (!value.at || !table_shows(table, column))
		return;
	if (table->columns[column].kind == TABLE_TEXT) {
		_cleanup_free_ char *text = json_to_string(value);

		table_put_text(table, column, text);
	} else if (is_count(value)) {
		table_put_number(table, column, json_to_number(value));
	}
}
