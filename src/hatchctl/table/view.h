/*
 * view: the options of all commands that show tables, and the help that tells of them.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_TABLE_VIEW_H
#define HATCHD_HATCHCTL_TABLE_VIEW_H

#include "hatchctl/flags.h"
#include "hatchctl/table/table.h"

/* What one of them is; all of it constant. */
struct view_command {
	const char *name;
	const char *help;       /* the beginning: how it is used, and what it tells */
	const struct flag *own; /* options that only this one has, which `help` tells of; NULL:
	                           none */
	const struct table_column *columns;
	size_t n_columns;     /* at most TABLE_COLUMNS_MAX */
	const char *standard; /* those that are shown if nobody says which, as in --output */
};

struct view {
	const char *path; /* of the control socket */
	struct table_style style;
	const char
		*styled; /* the last option given about how tables look; NULL: there is none */
	bool helped;     /* there is nothing left to do */
};

/* Words that follow begin at optind.  COMMAND_DONE, or COMMAND_USAGE after a message. */
int view_parse(int argc, char **argv, const struct view_command *command, struct view *ret);

#endif
