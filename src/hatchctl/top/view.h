/*
 * top/view: which rows of a sample are shown, in which order, and where the cursor is.
 *
 * Pure.  The cursor stays at the first row until it is moved; from then on it follows what it
 * has been put on, wherever that comes to stand, so that nothing else is ended by mistake.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_VIEW_H
#define HATCHD_HATCHCTL_TOP_VIEW_H

#include "conf/conf.h"
#include "hatchctl/top/columns.h"

#define TOP_FILTER_MAX 64

struct top_order {
	int column;
	bool reversed; /* texts from Z to A, numbers from the least */
};

struct top_view {
	enum top_table table;
	char service[SERVICE_NAME_MAX + 1]; /* only its connections; "": all */
	char filter[TOP_FILTER_MAX];        /* "": everything */
	struct top_order orders[_TOP_TABLES];

	/* Of the sample of the last update. */
	size_t *rows; /* those shown, in their order; owned */
	size_t n_rows;
	size_t cursor; /* which of them; 0 if there is none */
	size_t first;  /* ... stands at the top of the screen */

	/* Private */
	bool follows;
	uint64_t id;                     /* of the connection that is followed */
	char name[SERVICE_NAME_MAX + 1]; /* ... or service */
};

/* The busiest service first, and the connection that uses most. */
void top_view_init(struct top_view *view, enum top_table table);
void top_view_done(struct top_view *view);

/* Find the rows again, as after every change of the sample or the view.  0 or -ENOMEM, and
 * then no row is shown. */
int top_view_update(struct top_view *view, const struct top_sample *sample);

/* Another table, from its first row on.  `service` NULL: all of it. */
void top_view_show(struct top_view *view, enum top_table table, const char *service);

/* After an update: rows of a service are wanted of which hatchd knows nothing. */
bool top_view_is_lost(const struct top_view *view, const struct top_sample *sample);

/* Move the cursor down, or up by a negative number; to the first row is to follow none. */
void top_view_move(struct top_view *view, const struct top_sample *sample, long by);

/* Have the cursor on a screen of so many rows, and no more of it empty than there must be. */
void top_view_scroll(struct top_view *view, size_t height);

/* What the cursor is on; NULL: nothing, or something of the other table. */
const struct top_service *top_view_service(
	const struct top_view *view, const struct top_sample *sample);
const struct top_connection *top_view_connection(
	const struct top_view *view, const struct top_sample *sample);

#endif
