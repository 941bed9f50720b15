#include "hatchctl/table/view.h"

#include "conf/cmdline.h"
#include "hatchctl/command.h"
#include "hatchctl/table/columns.h"

#include <getopt.h>
#include <string.h>

/* The value of an option that has no letter. */
#define OPTION_COLOR 256

enum color_when {
	COLOR_AUTO,
	COLOR_ALWAYS,
	COLOR_NEVER,
};

struct wishes {
	enum color_when color;
	const char *output; /* NULL: the standard */
	bool all;
};

static const char options_help[] =
	"\n"
	"  -s, --control PATH     the socket of hatchd (/run/hatchd/control)\n"
	"  -J, --json             one JSON document\n"
	"  -r, --raw              for scripts: one blank between columns, no units\n"
	"  -n, --noheadings       without the line of heads\n"
	"  -o, --output COLUMNS   these, with commas between them; +COLUMNS adds them\n"
	"  -O, --output-all       all columns\n"
	"      --color WHEN       auto, always or never\n"
	"  -h, --help             this text\n"
	"\n"
	"Columns:\n";

static const char status_help[] =
	"\n"
	"Exit status: 0 done, 1 hatchd does not run, or does not answer that, 2 the command\n"
	"line is wrong.\n";

static int print_help(const struct view_command *command)
{
	printf("%s%s", command->help, options_help);
	for (size_t i = 0; i < command->n_columns; i++)
		printf("  %-17s %s\n", command->columns[i].name, command->columns[i].summary);
	return command_print(status_help);
}

/* ---------------------------------------------------------------------- columns */

static int choose(const struct view_command *command, const char *text, struct view *view)
{
	char word[COLUMNS_WORD_MAX];

	if (columns_add(&view->style, command->columns, command->n_columns, text, word) == 0)
		return COMMAND_DONE;
	return command_unknown(command->name, "column", word,
		columns_nearest(command->columns, command->n_columns, word));
}

static int choose_columns(
	const struct view_command *command, const struct wishes *wishes, struct view *view)
{
	const char *output = wishes->output;
	int r = COMMAND_DONE;

	if (!output || output[0] == '+')
		r = choose(command, command->standard, view);
	if (r == COMMAND_DONE && output)
		r = choose(command, output + (output[0] == '+'), view);
	for (size_t i = 0; r == COMMAND_DONE && wishes->all && i < command->n_columns; i++)
		r = choose(command, command->columns[i].name, view);
	return r;
}

/* ------------------------------------------------------------------------ colours */

static int take_color(const char *command, const char *text, struct wishes *wishes)
{
	static const char *const words[] = {"auto", "always", "never"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		wishes->color = (enum color_when)i;
		return COMMAND_DONE;
	}
	return command_misused(
		command, "invalid color '%s': write auto, always or never", text);
}

/* https://no-color.org */
static bool wants_color(enum color_when when)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	return isatty(STDOUT_FILENO) && !(no_color && no_color[0] != '\0') &&
	       !(terminal && strcmp(terminal, "dumb") == 0);
}

/* ------------------------------------------------------------------------ options */

static int take_option(const struct view_command *command, int option, struct wishes *wishes,
	struct view *view)
{
	switch (option) {
	case 's':
		view->path = optarg;
		break;
	case 'J':
		view->styled = "--json";
		view->style.form = TABLE_JSON;
		break;
	case 'r':
		view->styled = "--raw";
		view->style.form = TABLE_RAW;
		break;
	case 'n':
		view->styled = "--noheadings";
		view->style.noheadings = true;
		break;
	case 'o':
		view->styled = "--output";
		wishes->output = optarg;
		break;
	case 'O':
		view->styled = "--output-all";
		wishes->all = true;
		break;
	case OPTION_COLOR:
		view->styled = "--color";
		return take_color(command->name, optarg, wishes);
	case 'h':
		view->helped = true;
		return print_help(command);
	}
	return COMMAND_DONE;
}

int view_parse(int argc, char **argv, const struct view_command *command, struct view *ret)
{
	static const struct option common[] = {
		{"color", required_argument, NULL, OPTION_COLOR},
		{"control", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'J'},
		{"noheadings", no_argument, NULL, 'n'},
		{"output", required_argument, NULL, 'o'},
		{"output-all", no_argument, NULL, 'O'},
		{"raw", no_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	struct option options[FLAGS_OWN_MAX + ARRAY_SIZE(common)];
	struct wishes wishes = {0};
	int result, r = COMMAND_DONE;

	*ret = (struct view){.path = CMDLINE_CONTROL};
	memcpy(options + flags_put(command->own, options), common, sizeof common);
	while (r == COMMAND_DONE && !ret->helped &&
		(result = getopt_long(argc, argv, ":JOhno:rs:", options, NULL)) != -1) {
		if (result == '?' || result == ':')
			return command_bad_option(command->name, result, argv, options);
		if (!flags_take(command->own, result))
			r = take_option(command, result, &wishes, ret);
	}
	if (r != COMMAND_DONE || ret->helped)
		return r;
	ret->style.colored = wants_color(wishes.color);
	return choose_columns(command, &wishes, ret);
}
