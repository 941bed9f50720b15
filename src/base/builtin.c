#include "base/builtin.h"

#include <string.h>

const char *const builtin_names[] = {
	[BUILTIN_NONE] = "none",
	[BUILTIN_ECHO] = "echo",
	[BUILTIN_DISCARD] = "discard",
	[BUILTIN_CHARGEN] = "chargen",
	[BUILTIN_DAYTIME] = "daytime",
	[BUILTIN_TIME] = "time",
	[BUILTIN_QOTD] = "qotd",
	[BUILTIN_TEXT] = "text",
	[BUILTIN_TCPMUX] = "tcpmux",
	[_BUILTIN_MAX] = NULL,
};

bool builtin_has_reply(enum service_builtin builtin)
{
	return builtin == BUILTIN_QOTD || builtin == BUILTIN_TEXT;
}

/* With its end. */
static size_t line_length(const char *at, size_t len)
{
	const char *newline = memchr(at, '\n', len);

	return newline ? (size_t)(newline - at) + 1 : len;
}

static bool is_separator(const char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	return len == 1 && line[0] == '%';
}

/* As the worker sees it (answer_qotd()): nothing to read. */
static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] > ' ')
			return false;
	return true;
}

/* Up to the next separator, which is left behind. */
static size_t take_lines(const char **rest, size_t *len)
{
	size_t taken = 0;

	while (*len > 0) {
		const char *line = *rest;
		size_t n = line_length(line, *len);

		*rest += n;
		*len -= n;
		if (is_separator(line, n))
			break;
		taken += n;
	}
	return taken;
}

bool builtin_next_quote(const char **rest, size_t *len, const char **ret, size_t *ret_len)
{
	while (*len > 0) {
		const char *start = *rest;
		size_t taken = take_lines(rest, len);

		if (is_blank(start, taken))
			continue;
		*ret = start;
		*ret_len = taken;
		return true;
	}
	return false;
}
