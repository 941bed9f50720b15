/*
 * cmdline-flags: the flags of hatchd itself, in one table for the parser and
 * for --help, and the search for flags of both kinds.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CMDLINE_FLAGS_H
#define HATCHD_CONF_CMDLINE_FLAGS_H

#include "conf/options.h"

enum cmdline_flag_id {
	FLAG_LISTEN,
	FLAG_FILE,
	FLAG_CHECK,
	FLAG_PRINT_CONFIG,
	FLAG_PLAN,
	FLAG_EXPLAIN,
	FLAG_PID,
	FLAG_SELF_SIGNED,
	FLAG_STRICT,
	FLAG_ONCE,
	FLAG_DAEMON,
	FLAG_PID_FILE,
	FLAG_CONTROL,
	FLAG_TAKE_OVER,
	FLAG_SPAWN,
	FLAG_VERBOSE,
	FLAG_HELP,
	FLAG_VERSION,
	FLAG_IMAGE_FD,
	FLAG_IN_FORCE_FD,
	FLAG_SECRETS_FD,
	FLAG_OLD_SECRETS_FD,
	FLAG_CONDITIONS,
	FLAG_TO_LOG,
	FLAG_LOADER_TIMEOUT,
};

struct cmdline_flag {
	enum cmdline_flag_id id;
	char letter; /* 0: none */
	const char *name;
	const char *metavar; /* NULL: takes no value */
	const char *help;    /* NULL: not for people */
};

/* The table, in the order of --help; ends with a NULL name. */
extern const struct cmdline_flag cmdline_flags[];

/* Room for the longest name of a flag of either kind, NUL included. */
#define CMDLINE_NAME_MAX OPTION_FLAG_MAX

/* NULL if there is none. */
const struct cmdline_flag *cmdline_flag_find(const char *name);
const struct cmdline_flag *cmdline_flag_find_letter(char letter);

/* The service option of that flag; NULL if there is none. */
const struct conf_option *cmdline_option_find(const char *name);

/* The flag that was meant perhaps; false if there is none like it. */
bool cmdline_flag_nearest(const char *name, char buf[CMDLINE_NAME_MAX]);

#endif
