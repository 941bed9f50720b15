/*
 * command: what the commands of hatchctl have in common.
 *
 * One file per command; main.c holds the table.  A command is given its own
 * words (argv[0] is its name) and returns the exit status of the program.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_COMMAND_H
#define HATCHD_HATCHCTL_COMMAND_H

#include "base/own.h"

enum command_status {
	COMMAND_DONE = 0,
	COMMAND_FAILED = 1,
	COMMAND_USAGE = 2,
	COMMAND_FOREIGN = 3, /* upgrade: it takes a start, whenever it is tried again */
};

struct option;

struct command {
	const char *name;
	const char *summary; /* one line of --help */
	int (*run)(int argc, char **argv);
};

int command_ban(int argc, char **argv);
int command_bans(int argc, char **argv);
int command_check(int argc, char **argv);
int command_connect(int argc, char **argv);
int command_connections(int argc, char **argv);
int command_disable(int argc, char **argv);
int command_drain(int argc, char **argv);
int command_enable(int argc, char **argv);
int command_events(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_list(int argc, char **argv);
int command_log_level(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_orphans(int argc, char **argv);
int command_recipes(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_selftest(int argc, char **argv);
int command_set(int argc, char **argv);
int command_status(int argc, char **argv);
int command_top(int argc, char **argv);
int command_unban(int argc, char **argv);
int command_upgrade(int argc, char **argv);

/* "hatchctl: ...", one line on standard error.  Returns COMMAND_FAILED. */
int command_failed(const char *format, ...) _printf_(1, 2);

/* The same for what is no failure, but has to be known. */
void command_warn(const char *format, ...) _printf_(1, 2);

/*
 * The same for a mistake on the command line, with a second line that names
 * the help of `command`, or of the program where that is NULL.  Returns
 * COMMAND_USAGE.
 */
int command_misused(const char *command, const char *format, ...) _printf_(2, 3);

/*
 * Say what getopt_long(3) has just rejected: call it for '?' and ':' with the
 * tables that it was given, opterr being 0 and the short options beginning
 * with a colon.  Returns COMMAND_USAGE.
 */
int command_bad_option(
	const char *command, int result, char **argv, const struct option *options);

/* The same for a word of some kind, such as "column", that there is not; `nearest`: what may
 * have been meant, or NULL. */
int command_unknown(
	const char *command, const char *kind, const char *word, const char *nearest);

/* Could that be the name of a service?  COMMAND_DONE, or COMMAND_USAGE after a message. */
int command_check_service(const char *command, const char *name);

/* The one word that may follow the options, which are read: the name of a service, borrowed, or
 * NULL.  As before. */
int command_take_service(const char *command, int argc, char **argv, const char **ret);

/* Write `text` to standard output: COMMAND_DONE, or COMMAND_FAILED and a message. */
int command_print(const char *text);

/* The same, of what has been written there already. */
int command_flush(void);

#endif
