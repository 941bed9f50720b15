/*
 * top/draw: the picture that somebody sees.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_DRAW_H
#define HATCHD_HATCHCTL_TOP_DRAW_H

#include "hatchctl/top/screen.h"
#include "hatchctl/top/state.h"

/*
 * Draw it; state->layout and ->height are those of the picture then.  `sample` NULL: there
 * was none yet.  `trouble`: why there is no newer one; NULL or a text that is escaped.
 */
void top_draw(const struct top_screen *screen, struct top_state *state,
	const struct top_sample *sample, const char *trouble);

#endif
