/*
 * top/paint: pieces of text on the screen, each with a meaning that has a look.
 *
 * The look is a colour where there are colours, and else bold, dim or inverse.  All texts are
 * plain ASCII; one that does not fit on its line is cut, and has a "+" at its end.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_PAINT_H
#define HATCHD_HATCHCTL_TOP_PAINT_H

#include "base/own.h"

#include <stdbool.h>

enum top_ink {
	TOP_INK_PLAIN,
	TOP_INK_FAINT, /* nothing to look at */
	TOP_INK_LABEL, /* says what stands behind it */
	TOP_INK_STRONG,
	TOP_INK_GOOD,
	TOP_INK_WARN,
	TOP_INK_BAD,
	TOP_INK_HEAD,   /* of the columns */
	TOP_INK_SORTED, /* ... the one that all is sorted by */
	TOP_INK_CHOSEN, /* the row of the cursor */
	_TOP_INKS,
};

struct top_paint {
	bool coloured;
	int height, width; /* of the screen */
	int y, x;          /* where the next piece begins */
};

/* An empty screen. */
void top_paint_begin(struct top_paint *paint, bool coloured);
void top_paint_end(const struct top_paint *paint);

void top_paint_move(struct top_paint *paint, int y, int x);
void top_paint_text(struct top_paint *paint, enum top_ink ink, const char *text);
void top_paint_format(struct top_paint *paint, enum top_ink ink, const char *format, ...)
	_printf_(3, 4);

/* Blanks up to that column. */
void top_paint_fill(struct top_paint *paint, enum top_ink ink, int x);

/* Lines of text in a frame, in the middle of the screen, over what is there. */
void top_paint_box(
	struct top_paint *paint, const char *title, const char *const *lines, int n_lines);

#endif
