#include "hatchctl/flags.h"

#include "conf/cmdline.h"
#include "hatchctl/command.h"

#include <assert.h>
#include <getopt.h>

/* What getopt_long() returns for the first of a command's own; the others follow. */
#define OWN_FIRST 256

static void make_table(
	const struct flag *own, struct option options[FLAGS_OWN_MAX + 3], size_t *ret_n)
{
	size_t n = 0;

	for (; own && own[n].name; n++) {
		assert(n < FLAGS_OWN_MAX);
		options[n] = (struct option){own[n].name,
			own[n].value ? required_argument : no_argument, NULL,
			OWN_FIRST + (int)n};
	}
	*ret_n = n;
	options[n++] = (struct option){"control", required_argument, NULL, 's'};
	options[n++] = (struct option){"help", no_argument, NULL, 'h'};
	options[n] = (struct option){NULL, 0, NULL, 0};
}

static void take(const struct flag *flag)
{
	if (flag->value)
		*flag->value = optarg;
	else
		*flag->given = true;
}

int flags_parse(int argc, char **argv, const char *command, const char *help,
	const struct flag *own, struct flags *ret)
{
	struct option options[FLAGS_OWN_MAX + 3];
	size_t n;
	int result;

	*ret = (struct flags){.control = CMDLINE_CONTROL};
	make_table(own, options, &n);
	while ((result = getopt_long(argc, argv, ":hs:", options, NULL)) != -1) {
		if (result == 's') {
			ret->control = optarg;
		} else if (result == 'h') {
			ret->helped = true;
			return command_print(help);
		} else if (result >= OWN_FIRST && (size_t)(result - OWN_FIRST) < n) {
			take(&own[result - OWN_FIRST]);
		} else {
			return command_bad_option(command, result, argv, options);
		}
	}
	return COMMAND_DONE;
}
