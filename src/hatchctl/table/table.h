/*
 * table: rows of what hatchd has told, for people, for scripts, or as JSON.
 *
 * Who fills it names every column that he knows; those that nobody wants to see are dropped,
 * and what is put nowhere is not known: a dash, or null.  Whatever comes in, no terminal comes
 * to harm by what goes out.
 *
 * Only table-print.c knows libsmartcols.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TABLE_TABLE_H
#define HATCHD_HATCHCTL_TABLE_TABLE_H

#include "base/json-read.h"
#include "base/own.h"

#include <stdio.h>

/* More columns than any command has. */
#define TABLE_COLUMNS_MAX 24

/* What people see of it; scripts and JSON get the number itself. */
enum table_kind {
	TABLE_TEXT,
	TABLE_COUNT,
	TABLE_BYTES,    /* "3.2M" */
	TABLE_DURATION, /* usec: "2 min 5 s" */
	TABLE_TIME,     /* seconds since 1970: "2026-11-22 08:20:49", here */
	TABLE_VALUE,    /* a list or an object; people and scripts get a text of the caller's */
};

struct table_column {
	const char *name; /* its head, in capital letters */
	const char *key;  /* of the member in JSON */
	enum table_kind kind;
	const char *summary; /* for --help */
};

enum table_form {
	TABLE_FOR_PEOPLE,
	TABLE_RAW, /* for scripts: one blank between columns, none in them */
	TABLE_JSON,
};

/* How it is to look; see view.h for where that comes from. */
struct table_style {
	enum table_form form;
	bool noheadings;
	bool colored;
	size_t n_chosen;
	uint8_t chosen[TABLE_COLUMNS_MAX]; /* numbers of columns, from the left */
};

struct table_cell {
	char *text;        /* as that form has it; NULL: not known; owned */
	const char *color; /* of libsmartcols, or NULL; borrowed */
};

struct table {
	const struct table_column *columns; /* borrowed, as the style */
	const struct table_style *style;
	struct table_cell *cells; /* row after row, those chosen; owned */
	size_t n_rows, room;
	int error; /* negative errno: the table is useless */
};

void table_init(struct table *table, const struct table_column *columns,
	const struct table_style *style);
void table_done(struct table *table);

#define _cleanup_table_ _cleanup_(table_done)

/* Whether anybody wants to see it. */
bool table_shows(const struct table *table, unsigned column);

/* The next one; nothing in it is known. */
void table_begin_row(struct table *table);

/* A value of hatchd's.  One that is not there, or of another kind than the column, is not
 * known.  Not for TABLE_VALUE. */
void table_put(struct table *table, unsigned column, struct json_value value);

/* NULL: not known. */
void table_put_text(struct table *table, unsigned column, const char *text);

void table_put_number(struct table *table, unsigned column, uint64_t number);

/* For TABLE_VALUE: what programs get, and what people and scripts see. */
void table_put_value(
	struct table *table, unsigned column, struct json_value value, const char *text);

/* Of a cell of this row: a name such as "red". */
void table_set_color(struct table *table, unsigned column, const char *color);

/* Write it as its style wants; JSON is one object whose only member is `key`.
 * COMMAND_DONE, or COMMAND_FAILED after a message. */
int table_print(const struct table *table, const char *key);

/* Write `value` of hatchd's so that no terminal obeys it. */
void table_write_value(struct json_value value, FILE *out);

/* Write the member `key` alone, with the rows in a list. */
void table_write_member(const struct table *table, const char *key, FILE *out);

#endif
