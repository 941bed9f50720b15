/*
 * persist: enable and disable services that have a recipe, for as long as nobody changes that.
 *
 * A link is made or removed, `hatchd --check` asked whether that is a good idea, and a hatchd
 * that runs reloads.  If any of this fails the link is as it was before, and so is hatchd.
 * Meanwhile no signal ends us half-way.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_PERSIST_H
#define HATCHD_HATCHCTL_STEER_PERSIST_H

#include <limits.h>
#include <stdbool.h>

/* What was asked for; what is NULL was not. */
struct persist_wish {
	const char *control;  /* the socket; always there */
	const char *file;     /* the main file */
	const char *services; /* the folder of links */
	const char *recipes;  /* that of recipes */
	bool looks;           /* nothing is to be changed, so it may do without hatchd */
};

struct persist {
	const char *control;
	const char *recipes;
	char file[PATH_MAX];     /* that of the hatchd that runs, or of none */
	char services[PATH_MAX]; /* services.d beside it */
	bool running;            /* a hatchd that has that file in force */
};

/* Find out what is meant.  COMMAND_DONE, or another one after a message.  What `wish` says is
 * borrowed. */
int persist_begin(const struct persist_wish *wish, struct persist *ret);

/* The exit status, after a line that says what has been done, or why nothing has. */
int persist_enable(const struct persist *persist, const char *name);
int persist_disable(const struct persist *persist, const char *name);

#endif
