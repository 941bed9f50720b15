/*
 * cmdline-internal: what the parts of conf/cmdline share.
 *
 * conf/cmdline reads one argument after the other, conf/cmdline-set notes what a flag of hatchd
 * itself says, and when all are read conf/cmdline-judge looks at what excludes what.  What is
 * wrong is said where it is found, once.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CMDLINE_INTERNAL_H
#define HATCHD_CONF_CMDLINE_INTERNAL_H

#include "conf/cmdline-flags.h"
#include "conf/cmdline.h"

#include <stdbool.h>
#include <stdio.h>

struct cmdline_parser {
	struct cmdline *cmdline;
	FILE *err;
	int argc;
	char **argv;
	int at; /* next argument */

	const char *file;
	char **program; /* what follows `--`; NULL: nothing does */
	const char *first_service_flag;
	const char *yes_flag; /* the argument just read, if it is a flag without a value */
	bool stop;            /* --help and --version: the rest does not matter */
};

/* One line on what is wrong, and where help is; always -EINVAL. */
int cmdline_usage(const struct cmdline_parser *p, const char *format, ...) _printf_(2, 3);

/* Says so; always -ENOMEM. */
int cmdline_no_memory(const struct cmdline_parser *p);

/* The first value of an option of the service, as it was written; NULL: it is not given. */
const char *cmdline_get_given(const struct cmdline_parser *p, const char *option);
bool cmdline_is_given(const struct cmdline_parser *p, const char *option);

/* These return 0, or a negative errno when something was said. */

/* Another value of an option of the service: of one that is no list the only one. */
int cmdline_set_option(
	struct cmdline_parser *p, const struct conf_option *option, const char *value);

/* A flag of hatchd itself; `value` is NULL where it has none.  Some take the arguments that
 * follow as well. */
int cmdline_set_flag(struct cmdline_parser *p, enum cmdline_flag_id id, const char *value);

/* All is read: does it go together?  What was not given gets its default, and whether it is one
 * program or a file is known. */
int cmdline_judge(struct cmdline_parser *p);

#endif
