#include "conf/cmdline-flags.h"
#include "conf/cmdline.h"

#include <string.h>

/* Column in which the explanations begin. */
#define HELP_COLUMN 34

static const char usage[] =
	"Usage: hatchd [-f FILE]                          serve what a file says\n"
	"       hatchd -l ADDRESS [FLAG...] -- PROGRAM    serve one program\n"
	"       hatchd -l ADDRESS [FLAG...] --shell TEXT  serve a shell command\n"
	"       hatchd -l ADDRESS [FLAG...] --builtin NAME\n"
	"                                                 serve what is built in\n"
	"\n"
	"Without -f and -l it serves " CMDLINE_FILE ".\n"
	"For each connection hatchd starts a child whose standard input and output\n"
	"are the connection.\n"
	"\n"
	"  hatchd -l 7777 -- tr a-z A-Z\n"
	"  hatchd -l tcp:127.0.0.1:7778 --shell 'sort | uniq -c'\n"
	"\n";

static void print_line(
	FILE *out, char letter, const char *name, const char *metavar, const char *help)
{
	int n;

	if (letter)
		n = fprintf(out, "  -%c, --%s", letter, name);
	else
		n = fprintf(out, "      --%s", name);
	if (metavar)
		n += fprintf(out, "=%s", metavar);
	if (n >= HELP_COLUMN - 1) {
		fputc('\n', out);
		n = 0;
	}
	fprintf(out, "%*s%s\n", HELP_COLUMN - n, "", help);
}

static void print_flags(FILE *out)
{
	for (const struct cmdline_flag *f = cmdline_flags; f->name; f++) {
		if (f->help)
			print_line(out, f->letter, f->name, f->metavar, f->help);
	}
}

/* Those of a section, or with "" those of none. */
static void print_options(FILE *out, const char *section)
{
	size_t len = strlen(section);

	for (const struct conf_option *o = conf_options; o->name; o++) {
		const char *dot = strchr(o->name, '.');
		bool here = dot ? len > 0 && strncmp(o->name, section, len) == 0 : len == 0;
		char flag[OPTION_FLAG_MAX];

		if (o->flags & OPTION_NO_FLAG || !here ||
			cmdline_flag_find(conf_option_flag(o, flag)))
			continue;
		print_line(out, 0, flag, o->metavar, o->help);
	}
}

void cmdline_help(FILE *out)
{
	fputs(usage, out);
	print_flags(out);
	fputs("\nOptions of the service, as in hatchd.conf(5); lists repeat the flag:\n", out);
	print_options(out, "");
	fputs("\nTLS:\n", out);
	print_options(out, "tls.");
	fputs("\nResource limits, LIMIT or SOFT:HARD:\n", out);
	print_options(out, "rlimit.");
}
