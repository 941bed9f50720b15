/*
 * flags: the options of a command that asks hatchd, from a table of its own.
 *
 * Each such command has --control PATH (-s) and --help (-h), and long options of its own.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_FLAGS_H
#define HATCHD_HATCHCTL_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

struct option;

/* More than any command has of its own. */
#define FLAGS_OWN_MAX 12

/* An option: with a value, or without one. */
struct flag {
	const char *name;   /* NULL: the end of the table */
	bool *given;        /* becomes true; or NULL: it has a value */
	const char **value; /* becomes the value, which is borrowed from argv; or NULL */
};

struct flags {
	const char *control; /* path of the socket; borrowed */
	bool helped;         /* there is nothing left to do */
};

/*
 * Read the options of the command with that name and that help; words that follow begin at
 * optind.  `own` may be NULL.  COMMAND_DONE, or COMMAND_USAGE after a message.
 */
int flags_parse(int argc, char **argv, const char *command, const char *help,
	const struct flag *own, struct flags *ret);

/* For a command that has other options besides.  Put its own, at most FLAGS_OWN_MAX, into a
 * table of getopt_long(), and say how many these are; `own` may be NULL. */
size_t flags_put(const struct flag *own, struct option *options);

/* Take what getopt_long() has returned: false if that is none of its own. */
bool flags_take(const struct flag *own, int result);

#endif
