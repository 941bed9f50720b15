#include "hatchctl/steer/reloading.h"

#include "base/text.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/run-hatchd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* hatchd may be upgraded again and again. */
#define TRIES 3

/* What the log of hatchd has as well, but whoever is here wants to see it. */
static void show_mistakes(const char *path)
{
	_cleanup_answer_ struct answer status = {0};
	_cleanup_free_ char *file = NULL, *said = NULL;
	char why[REQUEST_WHY_MAX];
	int result;

	if (request_try(path, "status", &status, why) == 0)
		file = request_text(&status, "config");
	if (file && run_hatchd((const char *const[]){"--check", "-f", file, NULL}, &said,
			    &result) == 0)
		fputs(said, stderr);
}

static int judge(const char *path, struct json_value reload)
{
	_cleanup_free_ char *last = json_to_string(json_get(reload, "last"));
	_cleanup_free_ char *reason = json_to_string(json_get(reload, "reason"));
	char shown[256];

	if (last && strcmp(last, "done") == 0)
		return COMMAND_DONE;
	if (reason && strcmp(reason, "the files have mistakes") == 0)
		show_mistakes(path);
	return command_failed("the reload failed, and nothing has changed: %s",
		reason ? text_escape(reason, strlen(reason), shown, sizeof shown) : "?");
}

/* An upgrade comes first, and disconnects whoever waits: the next one is asked again. */
static int ask(const char *path, struct answer *ret, char why[REQUEST_WHY_MAX])
{
	int r = -ECONNRESET;

	for (int i = 0; i < TRIES && r == -ECONNRESET; i++)
		r = request_try(path, "reload", ret, why);
	return r;
}

int reloading_do(const char *path)
{
	_cleanup_answer_ struct answer answer = {0};
	char why[REQUEST_WHY_MAX];
	int r = ask(path, &answer, why);

	if (r < 0)
		return request_tell(NULL, r, why);
	return judge(path, answer.n_lines > 0 ? json_get(answer.lines[0], "reload")
					      : (struct json_value){NULL, NULL});
}
