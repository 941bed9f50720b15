#include "hatchctl/answer.h"

#include "conf/cmdline.h"
#include "hatchctl/command.h"
#include "hatchctl/question.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

void answer_done(struct answer *answer)
{
	free(answer->text);
	free(answer->lines);
	*answer = (struct answer){0};
}

int answer_get(const char *path, const char *request, struct answer *ret)
{
	_cleanup_question_ struct question question;
	int r;

	question_init(&question, true);
	r = question_ask(&question, path, request);
	while (r == 0)
		r = question_read(&question, ret);
	return r < 0 ? command_failed("%s", question.why) : COMMAND_DONE;
}

int answer_print_lines(const struct answer *answer)
{
	if (fwrite(answer->text, 1, answer->len, stdout) != answer->len || fflush(stdout) != 0)
		return command_failed(
			"unable to write to standard output: %s", strerror(errno));
	return COMMAND_DONE;
}

int answer_parse_options(int argc, char **argv, const char *command, const char *help,
	struct answer_options *ret)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	int result;

	*ret = (struct answer_options){.path = CMDLINE_CONTROL};
	while ((result = getopt_long(argc, argv, ":hj", options, NULL)) != -1) {
		switch (result) {
		case 'c':
			ret->path = optarg;
			break;
		case 'h':
			ret->helped = true;
			return command_print(help);
		case 'j':
			ret->json = true;
			break;
		default:
			return command_bad_option(command, result, argv, options);
		}
	}
	return COMMAND_DONE;
}
