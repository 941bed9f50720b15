#include "hatchctl/ask/answer.h"

#include "hatchctl/ask/question.h"
#include "hatchctl/command.h"

#include <string.h>

void answer_done(struct answer *answer)
{
	free(answer->text);
	free(answer->lines);
	*answer = (struct answer){0};
}

int answer_refused(const char *why)
{
	command_failed("%s", why);
	return strncmp(why, "no such ", 8) == 0 ? COMMAND_USAGE : COMMAND_FAILED;
}

int answer_get(const char *path, const char *request, struct answer *ret)
{
	_cleanup_question_ struct question question;
	int r;

	question_init(&question, true);
	r = question_ask(&question, path, request);
	while (r == 0)
		r = question_read(&question, ret);
	return r < 0 ? answer_refused(question.why) : COMMAND_DONE;
}
