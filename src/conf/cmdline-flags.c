#include "conf/cmdline-flags.h"

#include "base/text.h"
#include "conf/cmdline.h"
#include "conf/conf.h"

#include <stdio.h>
#include <string.h>

const struct cmdline_flag cmdline_flags[] = {
	/* clang-format off */
	{ FLAG_LISTEN, 'l', "listen", "ADDRESS",
	  "7777, tcp:127.0.0.1:80, unix:/run/x" },
	{ FLAG_FILE, 'f', "file", "FILE", "serve what this file says" },
	{ FLAG_CHECK, 0, "check", NULL,
	  "say what is wrong with the configuration, serve nothing" },
	{ FLAG_PRINT_CONFIG, 0, "print-config", NULL,
	  "print the configuration, or the command line as one" },
	{ FLAG_PLAN, 0, "plan", NULL,
	  "say what a reload would change, change nothing" },
	{ FLAG_EXPLAIN, 0, "explain", "SERVICE ADDRESS",
	  "say whether that client may come in, why, and to what" },
	{ FLAG_PID, 0, "pid", "N", "the running hatchd that --plan is about" },
	{ FLAG_SELF_SIGNED, 0, "self-signed", "NAME...",
	  "write a certificate for these names, and its key" },
	{ FLAG_STRICT, 0, "strict", NULL, "refuse to start with a mistake in any file" },
	{ FLAG_ONCE, 0, "once", NULL, "serve one connection, exit with the program's status" },
	{ FLAG_DAEMON, 0, "daemon", NULL,
	  "serve in the background; return when it does" },
	{ FLAG_PID_FILE, 0, "pid-file", "FILE",
	  "write the process number there (" CMDLINE_PID_FILE ")" },
	{ FLAG_CONTROL, 0, "control", "PATH|none",
	  "socket that hatchctl asks (" CMDLINE_CONTROL ")" },
	{ FLAG_TAKE_OVER, 0, "take-over", "PATH",
	  "go on with the sockets of the hatchd that answers there" },
	{ FLAG_SPAWN, 0, "spawn", "auto|shared|private", "how children are made (auto)" },
	{ FLAG_VERBOSE, 'v', "verbose", NULL, "tell every step" },
	{ FLAG_HELP, 'h', "help", NULL, "show this" },
	{ FLAG_VERSION, 'V', "version", NULL, "show the version" },
	{ FLAG_IMAGE_FD, 0, "image-fd", "N", NULL },
	{ FLAG_IN_FORCE_FD, 0, "in-force-fd", "N", NULL },
	{ FLAG_SECRETS_FD, 0, "secrets-fd", "N", NULL },
	{ FLAG_OLD_SECRETS_FD, 0, "old-secrets-fd", "N", NULL },
	{ FLAG_CONDITIONS, 0, "conditions", NULL, NULL },
	{ FLAG_TO_LOG, 0, "to-log", NULL, NULL },
	{ FLAG_LOADER_TIMEOUT, 0, "loader-timeout", "MS", NULL },
	{ .name = NULL },
	/* clang-format on */
};

const struct cmdline_flag *cmdline_flag_find(const char *name)
{
	for (const struct cmdline_flag *f = cmdline_flags; f->name; f++) {
		if (strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

const struct cmdline_flag *cmdline_flag_find_letter(char letter)
{
	for (const struct cmdline_flag *f = cmdline_flags; f->name; f++) {
		if (f->letter && f->letter == letter)
			return f;
	}
	return NULL;
}

const struct conf_option *cmdline_option_find(const char *name)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		char flag[OPTION_FLAG_MAX];

		if (!(o->flags & OPTION_NO_FLAG) &&
			strcmp(conf_option_flag(o, flag), name) == 0)
			return o;
	}
	return NULL;
}

bool cmdline_flag_nearest(const char *name, char buf[CMDLINE_NAME_MAX])
{
	char names[CONF_OPTIONS_MAX][CMDLINE_NAME_MAX];
	const char *candidates[CONF_OPTIONS_MAX + 16];
	const char *near;
	size_t n = 0;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (o->flags & OPTION_NO_FLAG)
			continue;
		candidates[n] = conf_option_flag(o, names[n]);
		n++;
	}
	for (const struct cmdline_flag *f = cmdline_flags; f->name; f++) {
		if (f->help)
			candidates[n++] = f->name;
	}
	candidates[n] = NULL;

	near = text_nearest(name, candidates);
	if (!near)
		return false;
	snprintf(buf, CMDLINE_NAME_MAX, "%s", near);
	return true;
}
