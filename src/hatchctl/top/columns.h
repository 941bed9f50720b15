/*
 * top/columns: the columns of the two tables, what is in them, and how that is written.
 *
 * Pure.  A row is the number of a service or of a connection in its sample.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_COLUMNS_H
#define HATCHD_HATCHCTL_TOP_COLUMNS_H

#include "hatchctl/top/sample.h"

/* More than either table has. */
#define TOP_COLUMNS_MAX 16

/* The longest number, and what is copied of a text. */
#define TOP_CELL_MAX 1024

enum top_table { TOP_SERVICES, TOP_CONNECTIONS, _TOP_TABLES };

enum top_kind {
	TOP_TEXT,    /* to the left, the others to the right */
	TOP_NUMBER,  /* as it is */
	TOP_RATE,    /* per second */
	TOP_PERCENT, /* of one processor */
	TOP_BYTES,   /* in units of 1024 */
	TOP_AGE,     /* usec */
};

struct top_value {
	const char *text; /* borrowed from the sample; NULL: it is a number */
	double number;    /* negative: not known */
};

struct top_column {
	const char *head;
	enum top_kind kind;
	int least;    /* columns of the screen that it needs; more for what is longer */
	int rank;     /* the higher the sooner it is left out; 0 never */
	bool elastic; /* what is too long may be cut */
	bool extra;   /* only where all others have all the room that they want */
	struct top_value (*get)(const struct top_sample *sample, size_t row);
};

/* Those of a table, and how many. */
const struct top_column *top_columns(enum top_table table, size_t *ret_n);

/* The number of the column with that head, without regard to case and "/s" and "%" behind
 * it; -ENOENT if there is none. */
int top_column_find(enum top_table table, const char *name);

size_t top_count_rows(enum top_table table, const struct top_sample *sample);

/* A cell as it is shown, as long as it is: at most TOP_CELL_MAX - 1 characters; "-" where
 * nothing is known. */
const char *top_format(
	const struct top_column *column, struct top_value value, char buf[TOP_CELL_MAX]);

#endif
