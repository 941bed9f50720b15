#include "workers/front/tcpmux.h"

#include "base/text.h"

#include <string.h>

static const char *const fault_texts[_TCPMUX_FAULT_MAX] = {
	[TCPMUX_FAULTLESS] = "nothing is wrong",
	[TCPMUX_NO_LINE] = "no service is named",
	[TCPMUX_CUT_SHORT] = "the line is cut short",
	[TCPMUX_NO_NAME] = "the name is empty",
	[TCPMUX_LONG_NAME] = "the name is too long",
	[TCPMUX_BAD_NAME] = "the name has a character that no service has",
};

const char *tcpmux_fault_text(enum tcpmux_fault fault)
{
	return fault_texts[fault];
}

void tcpmux_init(struct tcpmux_parser *parser)
{
	memset(parser, 0, sizeof *parser);
}

static void refuse(struct tcpmux_parser *parser, enum tcpmux_fault fault)
{
	memset(parser->name, 0, sizeof parser->name);
	parser->fault = fault;
	parser->state = TCPMUX_REFUSED;
}

/* HELP is "reserved": no service can have that name. */
static void end_line(struct tcpmux_parser *parser)
{
	if (parser->len == 0) {
		refuse(parser, TCPMUX_NO_NAME);
	} else if (strcmp(parser->name, "help") == 0) {
		memset(parser->name, 0, sizeof parser->name);
		parser->state = TCPMUX_HELP;
	} else {
		parser->state = TCPMUX_NAMED;
	}
}

/* In ASCII, whatever the locale says. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_of_name(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return true;
	return !first && (c == '_' || c == '.' || c == '-');
}

static void take_byte(struct tcpmux_parser *parser, char c)
{
	if (c == '\n') {
		end_line(parser);
	} else if (parser->after_cr) {
		refuse(parser, TCPMUX_BAD_NAME);
	} else if (c == '\r') {
		parser->after_cr = true;
	} else if (!is_of_name(lower(c), parser->len == 0)) {
		refuse(parser, TCPMUX_BAD_NAME);
	} else if (parser->len == TCPMUX_NAME_MAX) {
		refuse(parser, TCPMUX_LONG_NAME);
	} else {
		parser->name[parser->len++] = lower(c);
	}
}

size_t tcpmux_wants(const struct tcpmux_parser *parser)
{
	if (parser->state != TCPMUX_MORE)
		return 0;
	return TCPMUX_LINE_MAX - parser->len - parser->after_cr;
}

enum tcpmux_state tcpmux_feed(
	struct tcpmux_parser *parser, const void *data, size_t len, size_t *ret_used)
{
	const char *bytes = data;
	size_t used = 0;

	while (parser->state == TCPMUX_MORE && used < len)
		take_byte(parser, bytes[used++]);
	*ret_used = used;
	return parser->state;
}

enum tcpmux_state tcpmux_end(struct tcpmux_parser *parser)
{
	bool started = parser->len > 0 || parser->after_cr;

	if (parser->state == TCPMUX_MORE)
		refuse(parser, started ? TCPMUX_CUT_SHORT : TCPMUX_NO_LINE);
	return parser->state;
}

size_t tcpmux_write_answer(bool positive, const char *text, char buf[TCPMUX_ANSWER_MAX])
{
	const size_t room = TCPMUX_ANSWER_MAX - strlen("+\r\n");
	char *end;

	buf[0] = positive ? '+' : '-';
	/* The NUL lies where the CR will be. */
	text_escape(text, strlen(text), buf + 1, room + 1);
	end = stpcpy(buf + strlen(buf), "\r");
	*end++ = '\n';
	return (size_t)(end - buf);
}

size_t tcpmux_write_help(const char *const *names, size_t n, size_t *at, char *buf, size_t size)
{
	size_t used = 0;

	for (; *at < n; ++*at) {
		size_t len = strnlen(names[*at], TCPMUX_NAME_MAX);

		if (size - used < len + strlen("\r\n"))
			break;
		memcpy(buf + used, names[*at], len);
		memcpy(buf + used + len, "\r\n", 2);
		used += len + 2;
	}
	return used;
}
