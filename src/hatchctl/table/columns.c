#include "hatchctl/table/columns.h"

#include "base/text.h"

#include <string.h>

static bool is_called(const struct table_column *column, const char *word)
{
	return strcasecmp(column->name, word) == 0 || strcasecmp(column->key, word) == 0;
}

static void add(struct table_style *style, size_t column)
{
	if (!memchr(style->chosen, (int)column, style->n_chosen))
		style->chosen[style->n_chosen++] = (uint8_t)column;
}

int columns_add(struct table_style *style, const struct table_column *columns, size_t n_columns,
	const char *text, char reterr_word[COLUMNS_WORD_MAX])
{
	const char *rest = text;

	for (;;) {
		size_t len = strcspn(rest, ","), i = 0;
		char word[COLUMNS_WORD_MAX];

		snprintf(word, sizeof word, "%.*s", (int)len, rest);
		while (i < n_columns && !is_called(&columns[i], word))
			i++;
		if (i == n_columns) {
			memcpy(reterr_word, word, sizeof word);
			return -EINVAL;
		}
		add(style, i);
		if (rest[len] == '\0')
			return 0;
		rest += len + 1;
	}
}

const char *columns_nearest(
	const struct table_column *columns, size_t n_columns, const char *word)
{
	const char *names[TABLE_COLUMNS_MAX + 1] = {NULL};

	for (size_t i = 0; i < n_columns; i++)
		names[i] = columns[i].name;
	return text_nearest(word, names);
}
