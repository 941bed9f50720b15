#include "workers/lookup/ident.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* Of the words of an answer that are compared, and of a port. */
#define WORD_MAX 8

static const char *const fault_texts[_IDENT_FAULT_MAX] = {
	[IDENT_FAULTLESS] = "nothing is wrong",
	[IDENT_CUT_SHORT] = "the line is cut short",
	[IDENT_TOO_LONG] = "the line is too long",
	[IDENT_BAD_LINE] = "the line is malformed",
	[IDENT_OTHER_PORTS] = "the ports are those of another connection",
	[IDENT_BAD_USER] = "the user's name is empty or too long",
};

/* A field of the line: it is looked at where it lies. */
struct field {
	const char *at;
	size_t len;
};

const char *ident_fault_text(enum ident_fault fault)
{
	return fault_texts[fault];
}

void ident_init(struct ident_parser *parser, uint16_t theirs, uint16_t ours)
{
	memset(parser, 0, sizeof *parser);
	parser->theirs = theirs;
	parser->ours = ours;
}

static void refuse(struct ident_parser *parser, enum ident_fault fault)
{
	parser->fault = fault;
	parser->state = IDENT_REFUSED;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct field trim(struct field field)
{
	while (field.len > 0 && is_blank(field.at[0])) {
		field.at++;
		field.len--;
	}
	while (field.len > 0 && is_blank(field.at[field.len - 1]))
		field.len--;
	return field;
}

/* What is before the first `c`, which is taken from *rest with it.  False: there is none. */
static bool cut(struct field *rest, char c, struct field *ret)
{
	const char *end = memchr(rest->at, c, rest->len);

	if (!end)
		return false;
	*ret = trim((struct field){rest->at, (size_t)(end - rest->at)});
	rest->len -= (size_t)(end - rest->at) + 1;
	rest->at = end + 1;
	return true;
}

static bool is_port(struct field field, uint16_t port)
{
	char digits[WORD_MAX];
	uint32_t value;

	if (field.len == 0 || field.len >= sizeof digits)
		return false;
	memcpy(digits, field.at, field.len);
	digits[field.len] = '\0';
	return text_parse_u32(digits, &value) == 0 && value == port;
}

static bool is_word(struct field field, const char *word)
{
	return field.len == strlen(word) && memcmp(field.at, word, field.len) == 0;
}

static void take_user(struct ident_parser *parser, struct field user)
{
	if (user.len == 0 || user.len > IDENT_USER_MAX) {
		refuse(parser, IDENT_BAD_USER);
		return;
	}
	for (size_t i = 0; i < user.len; i++) {
		unsigned char c = (unsigned char)user.at[i];

		parser->user[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	parser->user_len = user.len;
	parser->state = IDENT_NAMED;
}

/* The line is there, without CR LF. */
static void read_line(struct ident_parser *parser)
{
	struct field rest = {parser->line, parser->len}, theirs, ours, kind, system;

	if (!cut(&rest, ',', &theirs) || !cut(&rest, ':', &ours) || !cut(&rest, ':', &kind))
		return refuse(parser, IDENT_BAD_LINE);
	if (!is_port(theirs, parser->theirs) || !is_port(ours, parser->ours))
		return refuse(parser, IDENT_OTHER_PORTS);
	if (is_word(kind, "ERROR") && trim(rest).len > 0)
		parser->state = IDENT_UNKNOWN;
	else if (is_word(kind, "USERID") && cut(&rest, ':', &system) && system.len > 0)
		take_user(parser, trim(rest));
	else
		refuse(parser, IDENT_BAD_LINE);
}

static bool is_after_cr(const struct ident_parser *parser)
{
	return parser->len > 0 && parser->line[parser->len - 1] == '\r';
}

static void take_byte(struct ident_parser *parser, char c)
{
	if (c == '\n' && is_after_cr(parser)) {
		parser->len--;
		read_line(parser);
	} else if (c == '\n' || c == '\0' || is_after_cr(parser)) {
		refuse(parser, IDENT_BAD_LINE);
	} else if (c != '\r' && parser->len == IDENT_LINE_MAX) {
		refuse(parser, IDENT_TOO_LONG);
	} else {
		parser->line[parser->len++] = c;
	}
}

enum ident_state ident_feed(struct ident_parser *parser, const void *data, size_t len)
{
	const char *bytes = data;

	for (size_t i = 0; i < len && parser->state == IDENT_MORE; i++)
		take_byte(parser, bytes[i]);
	return parser->state;
}

enum ident_state ident_end(struct ident_parser *parser)
{
	if (parser->state == IDENT_MORE)
		refuse(parser, IDENT_CUT_SHORT);
	return parser->state;
}

size_t ident_write(uint16_t theirs, uint16_t ours, char buf[IDENT_QUESTION_MAX])
{
	return (size_t)snprintf(buf, IDENT_QUESTION_MAX, "%u , %u\r\n", theirs, ours);
}
