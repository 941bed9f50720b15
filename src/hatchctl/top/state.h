/*
 * top/state: what somebody at the keys has made of `hatchctl top`.
 *
 * Pure: a key changes the state, and says what there is to do.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TOP_STATE_H
#define HATCHD_HATCHCTL_TOP_STATE_H

#include "hatchctl/top/layout.h"

#include <limits.h>

/* How long it may be from one sample to the next. */
#define TOP_DELAY_MIN (100 * UINT64_C(1000))          /* usec */
#define TOP_DELAY_MAX (24 * 3600 * UINT64_C(1000000)) /* usec */

#define TOP_MESSAGE_MAX (PATH_MAX + 256)

/* Keys that are no characters; those below are ASCII. */
enum top_key {
	TOP_KEY_NONE = 0,
	TOP_KEY_ENTER = '\n',
	TOP_KEY_ESCAPE = 27,
	TOP_KEY_UP = 256,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_LEFT,
	TOP_KEY_RIGHT,
	TOP_KEY_BACKSPACE,
	TOP_KEY_HELP,
	TOP_KEY_OTHER, /* one that has no meaning */
};

enum top_mode {
	TOP_BROWSING,
	TOP_FILTERING,  /* letters go into the filter */
	TOP_CONFIRMING, /* a connection is to be ended: really? */
	TOP_HELP,       /* any key leads back, from here and from there: */
	TOP_DETAILS,    /* all that is known of one connection */
};

enum top_wish {
	TOP_WISH_NOTHING, /* but a new picture */
	TOP_WISH_QUIT,
	TOP_WISH_SAMPLE, /* now, not only when it is time */
	TOP_WISH_KILL,   /* the connection `target` */
	TOP_WISH_REDRAW, /* somebody else has written on the terminal */
};

struct top_state {
	struct top_view view;
	struct top_layout layout; /* of the last picture */
	size_t height;            /* rows of the table in the last picture */
	uint64_t delay;           /* usec */
	bool paused;
	enum top_mode mode;
	uint64_t target;                /* the connection that is to be ended, or shown */
	char message[TOP_MESSAGE_MAX];  /* what has come of the last key; escaped */
	char question[TOP_MESSAGE_MAX]; /* while one is to be confirmed */
};

void top_state_init(struct top_state *state, enum top_table table, uint64_t delay);
void top_state_done(struct top_state *state);

/* A key; `sample` is that of the picture, NULL before there was one. */
enum top_wish top_press(struct top_state *state, const struct top_sample *sample, int key);

#endif
