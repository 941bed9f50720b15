/*
 * recipe: services that are ready to be served, as files in a folder of their own; one is
 * enabled by a symbolic link to it in the folder that the configuration includes.
 *
 * A file that is no such link is the operator's, and never touched.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_RECIPE_H
#define HATCHD_HATCHCTL_STEER_RECIPE_H

#include "base/strv.h"

#include <limits.h>

/* Where recipes are if nothing else is said. */
#define RECIPE_FOLDER PKGDATADIR "/services"

enum recipe_state {
	RECIPE_OFF,   /* there is no such file */
	RECIPE_ON,    /* a link into the folder of recipes */
	RECIPE_OTHER, /* something else has that name */
};

struct recipe {
	char path[PATH_MAX];  /* of its file; "": there is none */
	char link[PATH_MAX];  /* where the link is, or would be */
	char leads[PATH_MAX]; /* what it says, or would say */
	enum recipe_state state;
};

/*
 * Look for NAME.conf, by the name of a service, in the folder of recipes and in that of
 * services.  0 with *ret, whether or not there is a recipe or a link; else a negative errno.
 */
int recipe_find(const char *folder, const char *services, const char *name, struct recipe *ret);

/* Make the link of one that is off, or remove it: 0 or a negative errno.  The state is what
 * it was found to be, so the opposite can be had as well. */
int recipe_put(const struct recipe *recipe, bool on);

/* Add the names of all recipes in the folder, in order: 0 or a negative errno. */
int recipe_list(const char *folder, char ***names);

/* The first line of a recipe, which is a comment that says what it is, in fresh memory; NULL:
 * it is none, or cannot be read. */
char *recipe_describe(const char *path);

#endif
