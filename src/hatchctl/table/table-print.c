/*
 * libsmartcols makes the columns.  JSON is written here: its own would hand on what a terminal
 * obeys (U+0080 to U+009F), has no empty list, and cannot stand in a larger document.
 */
#include "base/json.h"
#include "base/text.h"
#include "hatchctl/command.h"
#include "hatchctl/table/table.h"

#include <string.h>

#include <libsmartcols.h>

static const struct table_cell *cell_at(const struct table *table, size_t row, size_t place)
{
	return &table->cells[row * table->style->n_chosen + place];
}

static const struct table_column *column_at(const struct table *table, size_t place)
{
	return &table->columns[table->style->chosen[place]];
}

/* ------------------------------------------------------------------------ JSON */

void table_write_value(struct json_value value, FILE *out)
{
	const char *at = value.at;

	while (at < value.end) {
		uint32_t code = 0;
		size_t n = text_utf8(at, (size_t)(value.end - at), &code);

		/* Of those of ASCII there are only blanks between values. */
		if (code < 0x20)
			fputc(' ', out);
		else if (text_is_control(code))
			fprintf(out, "\\u%04x", (unsigned)code);
		else
			fwrite(at, 1, n ? n : 1, out);
		at += n ? n : 1;
	}
}

static void write_row(const struct table *table, size_t row, FILE *out)
{
	fputc('{', out);
	for (size_t i = 0; i < table->style->n_chosen; i++) {
		const char *text = cell_at(table, row, i)->text;

		fprintf(out, "%s\"%s\":%s", i > 0 ? "," : "", column_at(table, i)->key,
			text ? text : "null");
	}
	fputc('}', out);
}

void table_write_member(const struct table *table, const char *key, FILE *out)
{
	fprintf(out, "\"%s\":[", key);
	for (size_t i = 0; i < table->n_rows; i++) {
		fputs(i > 0 ? ",\n" : "\n", out);
		write_row(table, i, out);
	}
	fputs(table->n_rows > 0 ? "\n]" : "]", out);
}

static void write_document(const struct table *table, const char *key, FILE *out)
{
	fputc('{', out);
	table_write_member(table, key, out);
	fputs("}\n", out);
}

/* ------------------------------------------------------------------------ columns */

static void own_scols(struct libscols_table **scols)
{
	scols_unref_table(*scols);
}

static bool is_figure(enum table_kind kind)
{
	return kind == TABLE_COUNT || kind == TABLE_BYTES || kind == TABLE_DURATION;
}

/* What is escaped already is let through: it would escape the backslashes once more. */
static int set_form(struct libscols_table *scols, const struct table_style *style)
{
	scols_table_enable_noheadings(scols, style->noheadings);
	if (style->form == TABLE_RAW)
		return scols_table_enable_raw(scols, 1);
	scols_table_enable_noencoding(scols, 1);
	scols_table_enable_colors(scols, style->colored);
	return scols_table_set_column_separator(scols, "  ");
}

static int add_columns(struct libscols_table *scols, const struct table *table)
{
	for (size_t i = 0; i < table->style->n_chosen; i++) {
		const struct table_column *column = column_at(table, i);
		int flags = is_figure(column->kind) ? SCOLS_FL_RIGHT : 0;

		if (!scols_table_new_column(scols, column->name, 0, flags))
			return -ENOMEM;
	}
	return 0;
}

static int add_row(struct libscols_table *scols, const struct table *table, size_t row)
{
	struct libscols_line *line = scols_table_new_line(scols, NULL);

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < table->style->n_chosen; i++) {
		const struct table_cell *cell = cell_at(table, row, i);
		bool empty = !cell->text || cell->text[0] == '\0';

		if (scols_line_set_data(line, i, empty ? "-" : cell->text) < 0)
			return -ENOMEM;
		if (cell->color)
			scols_cell_set_color(scols_line_get_cell(line, i), cell->color);
	}
	return 0;
}

/* libsmartcols says nothing of a table without rows. */
static void write_heads(const struct table *table, FILE *out)
{
	const char *between = table->style->form == TABLE_RAW ? " " : "  ";

	if (table->style->noheadings)
		return;
	for (size_t i = 0; i < table->style->n_chosen; i++)
		fprintf(out, "%s%s", i > 0 ? between : "", column_at(table, i)->name);
	fputc('\n', out);
}

static int write_columns(const struct table *table, FILE *out)
{
	_cleanup_(own_scols) struct libscols_table *scols = scols_new_table();
	int r;

	if (!scols)
		return -ENOMEM;
	if (table->n_rows == 0) {
		write_heads(table, out);
		return 0;
	}
	r = set_form(scols, table->style);
	if (r == 0)
		r = add_columns(scols, table);
	for (size_t i = 0; r == 0 && i < table->n_rows; i++)
		r = add_row(scols, table, i);
	if (r < 0)
		return r;
	scols_table_set_stream(scols, out);
	return scols_print_table(scols);
}

int table_print(const struct table *table, const char *key)
{
	int r = table->error;

	if (r == 0 && table->style->form == TABLE_JSON)
		write_document(table, key, stdout);
	else if (r == 0)
		r = write_columns(table, stdout);
	if (r < 0)
		return command_failed("unable to show the table: %s", strerror(-r));
	return command_flush();
}
