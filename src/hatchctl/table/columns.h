/*
 * columns: which ones of a table are shown, by the words of --output.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TABLE_COLUMNS_H
#define HATCHD_HATCHCTL_TABLE_COLUMNS_H

#include "hatchctl/table/table.h"

/*
 * Add those of `text` to style->chosen: names or keys with commas between them, in any case.
 * One that is there already stays where it is.  0, or -EINVAL with the first word that is no
 * column in *reterr_word.
 */
#define COLUMNS_WORD_MAX 64
int columns_add(struct table_style *style, const struct table_column *columns, size_t n_columns,
	const char *text, char reterr_word[COLUMNS_WORD_MAX]);

/* The name that is nearest to that word, or NULL. */
const char *columns_nearest(
	const struct table_column *columns, size_t n_columns, const char *word);

#endif
