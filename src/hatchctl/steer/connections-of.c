#include "hatchctl/steer/connections-of.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int ask(
	const char *path, const char *service, struct answer *ret, char why[REQUEST_WHY_MAX])
{
	char words[REQUEST_LINE_MAX];

	snprintf(words, sizeof words, "connections %s", service);
	return request_try(path, words, ret, why);
}

size_t connections_count(const char *path, const char *service)
{
	_cleanup_answer_ struct answer answer = {0};
	char why[REQUEST_WHY_MAX];

	return ask(path, service, &answer, why) == 0 ? answer.n_lines : 0;
}

static bool is_ending(struct json_value connection)
{
	_cleanup_free_ char *state = json_to_string(json_get(connection, "state"));

	return state && strcmp(state, "ending") == 0;
}

static int kill_one(const char *path, uint64_t number, char why[REQUEST_WHY_MAX])
{
	char words[REQUEST_LINE_MAX];
	int r;

	snprintf(words, sizeof words, "kill %" PRIu64, number);
	r = request_try(path, words, NULL, why);
	return r == -ESRCH ? 0 : r;
}

int connections_kill(
	const char *path, const char *service, size_t *ret_n, char why[REQUEST_WHY_MAX])
{
	_cleanup_answer_ struct answer answer = {0};
	size_t n = 0;
	int r = ask(path, service, &answer, why);

	for (size_t i = 0; i < answer.n_lines && r == 0; i++) {
		if (is_ending(answer.lines[i]))
			continue;
		r = kill_one(
			path, json_to_number(json_get(answer.lines[i], "connection")), why);
		n++;
	}
	if (r == 0)
		*ret_n = n;
	return r;
}
