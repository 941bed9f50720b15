#include "hatchctl/ask/request.h"

#include "base/text.h"
#include "hatchctl/ask/question.h"
#include "hatchctl/command.h"

#include <stdio.h>
#include <string.h>

/* hatchd keeps who waits for a reload for 90 s. */
#define RELOAD_PATIENCE 100 /* s */

/* A request is one line, and not a long one. */
static int make_line(const char *words, char line[REQUEST_LINE_MAX + 1])
{
	for (const char *c = words; *c; c++)
		if (text_is_control((unsigned char)*c))
			return -EINVAL;
	if (snprintf(line, REQUEST_LINE_MAX + 1, "%s\n", words) > REQUEST_LINE_MAX)
		return -EINVAL;
	return 0;
}

/* What hatchd says of a request that it turns down. */
static int judge(const char *says)
{
	if (strncmp(says, "no such ", 8) == 0)
		return -ESRCH;
	if (strncmp(says, "not ", 4) == 0)
		return -EINVAL;
	if (strcmp(says, "only root may do that") == 0)
		return -EPERM;
	return -EREMOTEIO;
}

int request_try(
	const char *path, const char *words, struct answer *ret, char why[REQUEST_WHY_MAX])
{
	_cleanup_question_ struct question question;
	_cleanup_answer_ struct answer answer = {0};
	char line[REQUEST_LINE_MAX + 1];
	int r;

	question_init(&question, true);
	if (make_line(words, line) < 0) {
		snprintf(why, REQUEST_WHY_MAX, "that is too long, or not one line");
		return -EINVAL;
	}
	if (strcmp(words, "reload") == 0)
		question.patience = RELOAD_PATIENCE;
	r = question_ask(&question, path, line);
	while (r == 0)
		r = question_read(&question, &answer);
	if (r < 0) {
		snprintf(why, REQUEST_WHY_MAX, "%s", question.why);
		return r == -EREMOTEIO ? judge(question.why) : r;
	}
	if (ret) {
		*ret = answer;
		answer = (struct answer){0};
	}
	return 0;
}

bool request_found_nobody(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

int request_status(int r)
{
	if (r == 0)
		return COMMAND_DONE;
	return r == -ESRCH || r == -EINVAL ? COMMAND_USAGE : COMMAND_FAILED;
}

bool request_is_about(int r)
{
	return r == -ESRCH || r == -EINVAL || r == -EREMOTEIO;
}

int request_tell(const char *about, int r, const char *why)
{
	if (about && request_is_about(r))
		command_failed("%s: %s", about, why);
	else
		command_failed("%s", why);
	return request_status(r);
}

int request_do(const char *path, const char *about, const char *words, struct answer *ret)
{
	char why[REQUEST_WHY_MAX];
	int r = request_try(path, words, ret, why);

	return r < 0 ? request_tell(about, r, why) : COMMAND_DONE;
}

int request_service(
	const char *path, const char *service, struct answer *ret, char why[REQUEST_WHY_MAX])
{
	char words[REQUEST_LINE_MAX];

	snprintf(words, sizeof words, "list %s", service);
	return request_try(path, words, ret, why);
}

static struct json_value member(const struct answer *answer, const char *key)
{
	return answer->n_lines > 0 ? json_get(answer->lines[0], key)
	                           : (struct json_value){NULL, NULL};
}

uint64_t request_number(const struct answer *answer, const char *key)
{
	return json_to_number(member(answer, key));
}

char *request_text(const struct answer *answer, const char *key)
{
	return json_to_string(member(answer, key));
}
