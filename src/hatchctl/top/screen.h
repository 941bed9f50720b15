/*
 * top/screen: the terminal, taken over for a while and given back as it was.
 *
 * The signals that end a program, and the one that tells of another size, arrive at a
 * descriptor meanwhile, so that none of them finds the terminal half drawn.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_SCREEN_H
#define HATCHD_HATCHCTL_TOP_SCREEN_H

#include "base/own.h"

#include <signal.h>
#include <stdbool.h>

struct top_screen {
	void *terminal;  /* of curses; NULL: it is not taken over */
	int signals;     /* to be polled; top_screen_heed() reads it */
	sigset_t before; /* the signals that were blocked */
	bool coloured;
};

/* On standard input and output.  0, or a negative errno: -ENOTTY if these are no terminal,
 * -ENODEV if it is of a kind that is not known, or that has no cursor to move. */
int top_screen_open(struct top_screen *screen);

/* The terminal is as it was before, below what was drawn last.  Nothing if it was not opened.
 */
void top_screen_close(struct top_screen *screen);

#define _cleanup_top_screen_ _cleanup_(top_screen_close)

/* The next key (enum top_key), TOP_KEY_NONE if there is none now. */
int top_screen_key(void);

/* Heed the signals that have come: false if one of them was to end the program. */
bool top_screen_heed(struct top_screen *screen);

/* Draw everything anew with the next picture. */
void top_screen_redraw(void);

#endif
