/*
 * table: rows of texts in columns that are as wide as their widest text.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TABLE_H
#define HATCHD_HATCHCTL_TABLE_H

#include "base/own.h"

#include <stdio.h>

#define TABLE_COLUMNS_MAX 8

struct table {
	const char *const *heads; /* of the columns, NULL at the end; borrowed */
	char **cells;             /* row after row; owned */
	size_t n_cells, room;
	int error; /* negative errno: something has found no memory, the table is useless */
};

void table_init(struct table *table, const char *const *heads);
void table_done(struct table *table);

#define _cleanup_table_ _cleanup_(table_done)

/* The next cell.  What could harm a terminal is escaped. */
void table_add(struct table *table, const char *format, ...) _printf_(2, 3);

/* The heads and all rows that are complete, two blanks between columns and none at the
 * end of a line. */
void table_print(const struct table *table, FILE *out);

#endif
