#include "hatchctl/table.h"

#include "base/text.h"

#include <stdarg.h>
#include <string.h>

/* Rows for which there is room at first. */
#define ROWS_FIRST 16

void table_init(struct table *table, const char *const *heads)
{
	*table = (struct table){.heads = heads};
}

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){.heads = table->heads};
}

static size_t count_columns(const struct table *table)
{
	size_t n = 0;

	while (n < TABLE_COLUMNS_MAX && table->heads[n])
		n++;
	return n;
}

static int make_room(struct table *table)
{
	size_t room = table->room ? 2 * table->room : ROWS_FIRST * count_columns(table);
	char **cells;

	if (table->n_cells < table->room)
		return 0;
	cells = reallocarray(table->cells, room, sizeof(char *));
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	table->room = room;
	return 0;
}

static char *escape(const char *text)
{
	size_t len = strlen(text), size = 4 * len + 1;
	char *shown = malloc(size);

	if (shown)
		text_escape(text, len, shown, size);
	return shown;
}

void table_add(struct table *table, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	char *shown = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text && make_room(table) == 0)
		shown = escape(text);
	if (shown)
		table->cells[table->n_cells++] = shown;
	else
		table->error = -ENOMEM;
}

/* Characters, not bytes; wide ones count as one. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static void print_row(
	const char *const *row, size_t n, const size_t widths[TABLE_COLUMNS_MAX], FILE *out)
{
	size_t last = n;

	while (last > 0 && row[last - 1][0] == '\0')
		last--;
	for (size_t i = 0; i < last; i++) {
		int pad = (int)(widths[i] - width_of(row[i])) + 2;

		fprintf(out, "%s%*s", row[i], i + 1 < last ? pad : 0, "");
	}
	fputc('\n', out);
}

void table_print(const struct table *table, FILE *out)
{
	const char *const *cells = (const char *const *)table->cells;
	size_t n = count_columns(table), widths[TABLE_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < n; i++)
		widths[i] = width_of(table->heads[i]);
	for (size_t i = 0; i < table->n_cells; i++)
		if (width_of(cells[i]) > widths[i % n])
			widths[i % n] = width_of(cells[i]);
	print_row(table->heads, n, widths, out);
	for (size_t i = 0; i + n <= table->n_cells; i += n)
		print_row(cells + i, n, widths, out);
}
