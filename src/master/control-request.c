#include "master/control-request.h"

#include <errno.h>
#include <string.h>

/* The longest request has two. */
#define WORDS_MAX 2

struct word {
	const char *at;
	size_t len;
};

int control_request_line(const char *text, size_t len, bool ended)
{
	const char *newline =
		memchr(text, '\n', len < CONTROL_LINE_MAX ? len : CONTROL_LINE_MAX);

	if (newline)
		return (int)(newline - text) + 1;
	if (len >= CONTROL_LINE_MAX)
		return -EMSGSIZE;
	return ended ? (int)len : 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* How many there are: more than WORDS_MAX are counted as one more. */
static size_t split(const char *line, size_t len, struct word words[WORDS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		size_t start = i;

		while (i < len && !is_blank(line[i]))
			i++;
		if (i == start)
			continue;
		if (n == WORDS_MAX)
			return n + 1;
		words[n++] = (struct word){line + start, i - start};
	}
	return n;
}

static bool is(const struct word *word, const char *text)
{
	return word->len == strlen(text) && memcmp(word->at, text, word->len) == 0;
}

/* Only what can be a name is looked for. */
static bool take_service(const struct word *word, struct control_request *ret)
{
	if (word->len > SERVICE_NAME_MAX || memchr(word->at, '\0', word->len))
		return false;
	memcpy(ret->service, word->at, word->len);
	ret->service[word->len] = '\0';
	return service_name_valid(ret->service);
}

static int refuse(const char *why, const char **reterr_why)
{
	*reterr_why = why;
	return -EINVAL;
}

int control_request_parse(
	const char *line, size_t len, struct control_request *ret, const char **reterr_why)
{
	struct control_request request = {.question = CONTROL_STATUS};
	struct word words[WORDS_MAX];
	size_t n = split(line, len, words), wanted = 1;

	if (n == 0)
		return refuse("the request is empty", reterr_why);
	if (is(&words[0], "list")) {
		request.question = CONTROL_LIST;
		wanted = 2;
	} else if (!is(&words[0], "status")) {
		return refuse("unknown request", reterr_why);
	}
	if (n > wanted)
		return refuse("too many words", reterr_why);
	if (n == 2 && !take_service(&words[1], &request))
		return refuse("not the name of a service", reterr_why);
	*ret = request;
	return 0;
}
