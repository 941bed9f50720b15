/*
 * top/layout: which columns fit on a line, how wide they are, and cells of just that width.
 *
 * Pure.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_LAYOUT_H
#define HATCHD_HATCHCTL_TOP_LAYOUT_H

#include "hatchctl/top/view.h"

struct top_layout {
	struct top_place {
		const struct top_column *column;
		int number; /* of it in its table */
		int width;
	} places[TOP_COLUMNS_MAX];
	size_t n_places;
	int gap; /* blanks between two columns */
};

/*
 * For a line of so many columns; 0: as long as it takes.  First of all come the columns that
 * are not extra, and who is too long of these is cut; where not even that is enough, those of
 * the highest rank are left out.  Then come extra columns, if they have something to tell.
 */
void top_layout_make(struct top_layout *layout, const struct top_view *view,
	const struct top_sample *sample, int width);

/* Exactly so many characters: padded, or with "..." in the place of its middle, or, where
 * that leaves nothing to recognise, "+" in the place of its end.  `width` is from 1 to
 * TOP_CELL_MAX - 1; `buf` has room for one more. */
const char *top_fit(const char *text, int width, bool right, char *buf);

/* The cell of a row and a place, as wide as that, and the head of the place. */
const char *top_cell(const struct top_place *place, const struct top_sample *sample, size_t row,
	char buf[TOP_CELL_MAX]);
const char *top_head(const struct top_place *place, char buf[TOP_CELL_MAX]);

#endif
