#include "hatchctl/flags.h"

#include "conf/cmdline.h"
#include "hatchctl/command.h"

#include <assert.h>
#include <getopt.h>

/* What getopt_long() returns for the first of a command's own; the others follow. */
#define OWN_FIRST 1024

size_t flags_put(const struct flag *own, struct option *options)
{
	size_t n = 0;

	for (; own && own[n].name; n++) {
		assert(n < FLAGS_OWN_MAX);
		options[n] = (struct option){own[n].name,
			own[n].value ? required_argument : no_argument, NULL,
			OWN_FIRST + (int)n};
	}
	return n;
}

bool flags_take(const struct flag *own, int result)
{
	if (result < OWN_FIRST)
		return false;
	own += result - OWN_FIRST;
	if (own->value)
		*own->value = optarg;
	else
		*own->given = true;
	return true;
}

int flags_parse(int argc, char **argv, const char *command, const char *help,
	const struct flag *own, struct flags *ret)
{
	struct option options[FLAGS_OWN_MAX + 3] = {{0}};
	size_t n = flags_put(own, options);
	int result;

	*ret = (struct flags){.control = CMDLINE_CONTROL};
	options[n++] = (struct option){"control", required_argument, NULL, 's'};
	options[n++] = (struct option){"help", no_argument, NULL, 'h'};
	while ((result = getopt_long(argc, argv, ":hs:", options, NULL)) != -1) {
		if (result == 's') {
			ret->control = optarg;
		} else if (result == 'h') {
			ret->helped = true;
			return command_print(help);
		} else if (!flags_take(own, result)) {
			return command_bad_option(command, result, argv, options);
		}
	}
	return COMMAND_DONE;
}
