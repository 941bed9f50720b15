/*
 * cmdline: the command line of hatchd.
 *
 * Both programs read it: the master to know what it is to do, the loader to
 * build the configuration of ad-hoc mode from it.  Service options are flags
 * generated from the option table, with dashes for underscores and dots.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CMDLINE_H
#define HATCHD_CONF_CMDLINE_H

#include "conf/raw.h"

#include <sys/types.h>

/* The main file where none is given. */
#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
#define CMDLINE_FILE SYSCONFDIR "/hatchd/hatchd.conf"

/* What --daemon writes its number to where nothing else is said. */
#define CMDLINE_PID_FILE "/run/hatchd.pid"

/* Where the control socket is where nothing else is said, and whose members may use it. */
#define CMDLINE_CONTROL       "/run/hatchd/control"
#define CMDLINE_CONTROL_GROUP "hatchd-admin"

/* Without an answer for so long, in ms, the loader is given up. */
#define CMDLINE_LOADER_TIMEOUT 30000

enum cmdline_mode {
	CMDLINE_SERVE,        /* hatchd [-f FILE] */
	CMDLINE_ADHOC,        /* hatchd -l ADDRESS ... -- PROGRAM ... */
	CMDLINE_CHECK,        /* --check */
	CMDLINE_PRINT_CONFIG, /* --print-config, of a file or of an ad-hoc line */
	CMDLINE_PLAN,         /* --plan, of a file */
	CMDLINE_EXPLAIN,      /* --explain, of a file or of an ad-hoc line */
	CMDLINE_SELF_SIGNED,  /* --self-signed NAME... */
	CMDLINE_VERSION,
	CMDLINE_HELP,
};

enum cmdline_spawn {
	CMDLINE_SPAWN_AUTO,
	CMDLINE_SPAWN_SHARED,
	CMDLINE_SPAWN_PRIVATE,
};

struct cmdline {
	enum cmdline_mode mode;
	bool file_given;
	bool adhoc;       /* services come from the line, not from a file */
	const char *file; /* -f; CMDLINE_FILE if not given */
	int verbose;      /* number of -v */
	bool once;
	bool strict;
	pid_t pid; /* --pid: of the hatchd that --plan is about; 0: look for it */
	const char *explain_service, *explain_address; /* of --explain */
	char **certified; /* --self-signed: names and addresses; owned */
	bool daemon;
	const char *pid_file;  /* absolute; NULL: none */
	const char *control;   /* absolute; NULL: none */
	bool control_given;    /* somebody asks for it, or for none */
	const char *take_over; /* path of a control socket, absolute; NULL: nothing */
	enum cmdline_spawn spawn;
	int image_fd;        /* loader only: write the image here; -1: not asked */
	int in_force_fd;     /* loader only: the image in force; -1: nothing is served yet */
	int secrets_fd;      /* loader only: with it the secrets here; -1: there are none */
	int old_secrets_fd;  /* loader only: those that are in force; -1: there are none */
	bool to_log;         /* loader only: standard error is closed, tell the log */
	bool conditions;     /* loader only: in force stays what is, but for conditions */
	int loader_timeout;  /* for tests: ms until a loader is given up */
	struct raw_conf raw; /* ad-hoc: one section with what the flags said */
};

/*
 * Parse.  Strings are borrowed from argv.  0, or -EINVAL after one line on
 * `err` that says what is wrong and how to get help (status 2).
 */
int cmdline_parse(int argc, char **argv, struct cmdline *ret, FILE *err);
void cmdline_done(struct cmdline *cmdline);

/* The text of --help: usage, the flags of the daemon, then those of services. */
void cmdline_help(FILE *out);

#endif
