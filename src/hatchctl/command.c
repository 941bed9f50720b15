#include "hatchctl/command.h"

#include "base/text.h"
#include "conf/conf.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* More long options than any command has. */
#define OPTIONS_MAX 32

/* Words of the command line may be anybody's, as a script hands them on: what a terminal would
 * obey becomes \xNN.  What has been escaped before stays as it is. */
static void put_harmless(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		bool c1 = *at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;

		if (*at < ' ' || *at == 0x7f || c1)
			fprintf(stderr, "\\x%02x", *at);
		else
			fputc(*at, stderr);
	}
}

static void _printf_(1, 0) print_error(const char *format, va_list args)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	fputs("hatchctl: ", stderr);
	put_harmless(text ? text : format);
	fputc('\n', stderr);
}

int command_failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args);
	va_end(args);
	return COMMAND_FAILED;
}

void command_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args);
	va_end(args);
}

int command_misused(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args);
	va_end(args);
	fprintf(stderr, "Try 'hatchctl %s%s--help'.\n", command ? command : "",
		command ? " " : "");
	return COMMAND_USAGE;
}

/* `word` begins with the two dashes and may go on with =VALUE. */
static int unknown_long_option(
	const char *command, const char *word, const struct option *options)
{
	const char *names[OPTIONS_MAX + 1] = {NULL}, *nearest;
	char name[64];

	for (size_t i = 0; options[i].name && i < OPTIONS_MAX; i++)
		names[i] = options[i].name;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);

	nearest = text_nearest(name, names);
	if (nearest)
		return command_misused(
			command, "unknown option '--%s'; did you mean '--%s'?", name, nearest);
	return command_misused(command, "unknown option '--%s'", name);
}

int command_bad_option(
	const char *command, int result, char **argv, const struct option *options)
{
	const char *word = argv[optind - 1];

	if (result == ':')
		return command_misused(command, "the option '%s' needs a value", word);
	if (optopt == 0 && strncmp(word, "--", 2) == 0)
		return unknown_long_option(command, word, options);
	if (strncmp(word, "--", 2) == 0)
		return command_misused(command, "the option '%.*s' takes no value",
			(int)strcspn(word, "="), word);
	return command_misused(command, "unknown option '-%c'", optopt);
}

int command_unknown(
	const char *command, const char *kind, const char *word, const char *nearest)
{
	if (nearest)
		return command_misused(
			command, "unknown %s '%s'; did you mean '%s'?", kind, word, nearest);
	return command_misused(command, "unknown %s '%s'", kind, word);
}

int command_check_service(const char *command, const char *name)
{
	if (!service_name_valid(name))
		return command_misused(command, "'%s' is not the name of a service", name);
	return COMMAND_DONE;
}

int command_take_service(const char *command, int argc, char **argv, const char **ret)
{
	const char *service = optind < argc ? argv[optind] : NULL;
	int r;

	if (argc - optind > 1)
		return command_misused(command,
			"unexpected argument '%s': there is one service", argv[optind + 1]);
	r = service ? command_check_service(command, service) : COMMAND_DONE;
	if (r == COMMAND_DONE)
		*ret = service;
	return r;
}

int command_flush(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return command_failed(
			"unable to write to standard output: %s", strerror(errno));
	return COMMAND_DONE;
}

int command_print(const char *text)
{
	fputs(text, stdout);
	return command_flush();
}
