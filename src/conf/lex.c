#include "conf/lex.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* What letters, digits and bytes above ASCII are not. */
enum char_class {
	CHAR_PLAIN, /* may stand in a word */
	CHAR_BLANK, /* ends a word */
	CHAR_MARK,  /* ends a word: a token, a quote or a comment begins */
	CHAR_QUOTED_ONLY,
};

static enum char_class classify(char c)
{
	switch (c) {
	case 'a' ... 'z':
	case 'A' ... 'Z':
	case '0' ... '9':
	case '.':
	case ':':
	case '/':
	case '-':
	case '_':
	case '@':
	case '%':
	case '[':
	case ']':
	case '~':
	case '^':
	case '!':
		return CHAR_PLAIN;
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		return CHAR_BLANK;
	case '\0':
	case '{':
	case '}':
	case '(':
	case ')':
	case '=':
	case ',':
	case '#':
	case ';':
	case '"':
	case '\'':
		return CHAR_MARK;
	default:
		return CHAR_QUOTED_ONLY;
	}
}

/* The character `ahead` of the current one; NUL behind the end. */
static char peek(const struct lex *lex, uint32_t ahead)
{
	size_t at = (size_t)lex->at + ahead;

	return at < lex->source->len ? lex->source->text[at] : '\0';
}

static bool at_end(const struct lex *lex)
{
	return lex->at >= lex->source->len;
}

static void step(struct lex *lex)
{
	char c = lex->source->text[lex->at++];

	if (c == '\n') {
		lex->line++;
		lex->column = 1;
	} else if (!origin_same_column(peek(lex, 0))) {
		lex->column++;
	}
}

static void steps(struct lex *lex, unsigned n)
{
	while (n-- > 0)
		step(lex);
}

static struct origin here(const struct lex *lex, uint32_t width)
{
	return (struct origin){lex->source->path, lex->line, lex->column, width};
}

/* A mistake inside `token`: the first is told, more of them would be noise. */
#define spoil(lex, token, width, ...)                                    \
	do {                                                             \
		struct origin origin_ = here(lex, width);                \
		if (!(token)->bad)                                       \
			diag_error((lex)->diags, &origin_, __VA_ARGS__); \
		(token)->bad = true;                                     \
	} while (0)

static void tell_dos(struct lex *lex)
{
	struct origin origin = here(lex, 1);

	if (lex->told_dos)
		return;
	lex->told_dos = true;
	diag_error(lex->diags, &origin,
		"this file has DOS line ends; remove the carriage returns (dos2unix)");
}

/*
 * Control characters and bytes that are not UTF-8 are mistakes in quotes, too.
 * Returns the bytes of the character, which the caller steps over.
 */
static unsigned judge_quoted_char(struct lex *lex, struct token *token)
{
	const struct source *source = lex->source;
	uint32_t code;
	size_t n;

	if (peek(lex, 0) == '\r' && peek(lex, 1) == '\n') {
		tell_dos(lex);
		return 1;
	}
	n = text_utf8(source->text + lex->at, source->len - lex->at, &code);
	if (n == 0)
		spoil(lex, token, 1, "byte \\x%02x is not UTF-8", (unsigned char)peek(lex, 0));
	else if (text_is_control(code) && code != '\t' && code != '\n')
		spoil(lex, token, 1, "control character \\x%02x in a string", code);
	return n > 0 ? (unsigned)n : 1;
}

static void skip_line(struct lex *lex)
{
	while (!at_end(lex) && peek(lex, 0) != '\n')
		step(lex);
}

/* False if it has no end. */
static bool skip_block_comment(struct lex *lex)
{
	struct origin origin = here(lex, 2);

	steps(lex, 2);
	while (!at_end(lex)) {
		if (peek(lex, 0) == '*' && peek(lex, 1) == '/') {
			steps(lex, 2);
			return true;
		}
		step(lex);
	}
	diag_error(lex->diags, &origin, "comment is never closed; '*/' is missing");
	return false;
}

static void skip_semicolon(struct lex *lex)
{
	struct origin origin = here(lex, 1);

	diag_error(
		lex->diags, &origin, "semicolons are not used; an option ends with its value");
	step(lex);
}

static void skip_blank(struct lex *lex)
{
	struct origin origin = here(lex, 1);

	if (peek(lex, 0) == '\r' && peek(lex, 1) == '\n')
		tell_dos(lex);
	else if (peek(lex, 0) == '\r')
		diag_error(lex->diags, &origin, "control character \\x0d");
	step(lex);
}

/* To the start of the next token; false if a comment has no end. */
static bool skip_to_token(struct lex *lex, struct token *token)
{
	while (!at_end(lex)) {
		char c = peek(lex, 0), next = peek(lex, 1);

		if (classify(c) == CHAR_BLANK) {
			skip_blank(lex);
		} else if (c == '#') {
			skip_line(lex);
		} else if (c == '/' && next == '/') {
			token->after_slashes = true;
			skip_line(lex);
		} else if (c == '/' && next == '*') {
			if (!skip_block_comment(lex))
				return false;
		} else if (c == ';') {
			skip_semicolon(lex);
		} else {
			break;
		}
	}
	return true;
}

static void spoil_variable(struct lex *lex, struct token *token)
{
	spoil(lex, token, 2, "'${' is not expanded; use single quotes to keep it as it is");
}

/* `${` and what belongs to it, so that its braces do not count as ours. */
static void skip_variable(struct lex *lex, struct token *token)
{
	spoil_variable(lex, token);
	steps(lex, 2);
	while (!at_end(lex) && !strchr("}\"'\n", peek(lex, 0)))
		step(lex);
	if (peek(lex, 0) == '}')
		step(lex);
}

/* A character that may stand in quotes only. */
static void skip_unquotable(struct lex *lex, struct token *token)
{
	char c = peek(lex, 0);
	uint32_t code;

	if (c > ' ' && c < 0x7f)
		spoil(lex, token, 1, "'%c' needs quotes; put the whole value in quotes", c);
	else if (text_utf8(&lex->source->text[lex->at], lex->source->len - lex->at, &code) == 0)
		spoil(lex, token, 1, "byte \\x%02x is not UTF-8", (unsigned char)c);
	else if (text_is_control(code))
		spoil(lex, token, 1, "control character \\x%02x", code);
	else
		spoil(lex, token, 1, "characters beyond ASCII need quotes");
	step(lex);
}

static bool begins_word(const struct lex *lex)
{
	char c = peek(lex, 0), next = peek(lex, 1);

	if (at_end(lex) || (c == '/' && (next == '/' || next == '*')) ||
		(c == '+' && next == '='))
		return false;
	return classify(c) == CHAR_PLAIN || classify(c) == CHAR_QUOTED_ONLY;
}

/*
 * What touches the end of a word or string.  True if it belongs to the same
 * (now bad) token, which the caller then reads on.
 */
static bool judge_glued(struct lex *lex, struct token *token)
{
	char c = peek(lex, 0);

	if (at_end(lex))
		return false;
	if (c == '"' || c == '\'' || (token->kind == TOKEN_STRING && begins_word(lex))) {
		spoil(lex, token, 1, "a blank or a comma is missing before this");
		return true;
	}
	if (c == '#')
		spoil(lex, token, 1,
			"'#' is glued to a word; put a blank before a comment, or the value in "
			"quotes");
	if (c == ';' && strchr(" \t\r\n}", peek(lex, 1)) == NULL) {
		spoil(lex, token, 1,
			"';' is glued to a word; put the value in quotes if it belongs to it");
		step(lex);
		return true;
	}
	return false;
}

/* Up to the first character that cannot belong to a word. */
static void read_word(struct lex *lex, struct token *token)
{
	while (!at_end(lex)) {
		char c = peek(lex, 0);
		enum char_class class = classify(c);

		if (class == CHAR_BLANK || class == CHAR_MARK)
			break;
		if (c == '+' && peek(lex, 1) == '=')
			break;
		if (c == '/' && peek(lex, 1) == '*') {
			spoil(lex, token, 2,
				"'/*' is glued to a word; put a blank before a comment, or the "
				"value in quotes");
			break;
		}
		if (c == '$' && peek(lex, 1) == '{')
			skip_variable(lex, token);
		else if (class == CHAR_QUOTED_ONLY)
			skip_unquotable(lex, token);
		else
			step(lex);
	}
}

static bool unterminated(struct lex *lex, struct token *token, const char *hint)
{
	struct origin origin = token->origin;

	diag_error(lex->diags, &origin, "string is never closed; %s", hint);
	token->kind = TOKEN_BROKEN;
	return false;
}

/* A backslash in double quotes. */
static void skip_escape(struct lex *lex, struct token *token)
{
	char c = peek(lex, 1);

	if (c == '\0' || !strchr("nt\"\\", c))
		spoil(lex, token, 2,
			"unknown escape in double quotes; there are \\n \\t \\\" and \\\\, "
			"and single quotes change nothing");
	step(lex);
	if (!at_end(lex))
		steps(lex, judge_quoted_char(lex, token));
}

static bool read_double_quoted(struct lex *lex, struct token *token)
{
	step(lex);
	for (;;) {
		char c = peek(lex, 0);

		if (at_end(lex) || c == '\n')
			return unterminated(lex, token, "'\"' is missing on this line");
		if (c == '"')
			break;
		if (c == '\\') {
			skip_escape(lex, token);
			continue;
		}
		if (c == '$' && peek(lex, 1) == '{')
			spoil_variable(lex, token);
		steps(lex, judge_quoted_char(lex, token));
	}
	step(lex);
	return true;
}

static bool read_single_quoted(struct lex *lex, struct token *token)
{
	step(lex);
	while (!at_end(lex) && peek(lex, 0) != '\'') {
		if (peek(lex, 0) == '\\')
			step(lex);
		if (!at_end(lex))
			steps(lex, judge_quoted_char(lex, token));
	}
	if (at_end(lex))
		return unterminated(lex, token, "\"'\" is missing");
	step(lex);
	return true;
}

/* A word or string, with whatever is wrongly glued to it. */
static void read_value(struct lex *lex, struct token *token)
{
	struct origin origin = token->origin;

	token->kind = TOKEN_WORD;
	do {
		char c = peek(lex, 0);

		if (c == '"' || c == '\'')
			token->kind = TOKEN_STRING;
		if (c == '"' && !read_double_quoted(lex, token))
			return;
		if (c == '\'' && !read_single_quoted(lex, token))
			return;
		if (c != '"' && c != '\'')
			read_word(lex, token);
	} while (judge_glued(lex, token));

	token->end = lex->at;
	if (!token->bad && token->end - token->start >
				   CONF_WORD_MAX + (token->kind == TOKEN_STRING ? 2 : 0)) {
		diag_error(lex->diags, &origin, "this value is longer than %d bytes",
			CONF_WORD_MAX);
		token->bad = true;
	}
}

static enum token_kind mark_kind(char c, char next)
{
	switch (c) {
	case '{':
		return TOKEN_OPEN;
	case '}':
		return TOKEN_CLOSE;
	case '(':
		return TOKEN_CALL;
	case ')':
		return TOKEN_RETURN;
	case ',':
		return TOKEN_COMMA;
	case '=':
		return TOKEN_SET;
	case '+':
		return next == '=' ? TOKEN_APPEND : TOKEN_WORD;
	default:
		return TOKEN_WORD;
	}
}

/* Characters from the token's start to here, for underlining its first line. */
static uint32_t width_of(const struct lex *lex, const struct token *token)
{
	const char *text = lex->source->text;
	uint32_t width = 0;

	if (lex->line == token->origin.line)
		return lex->column - token->origin.column;
	for (uint32_t at = token->start; at < token->end && text[at] != '\n'; at++)
		width += at == token->start || !origin_same_column(text[at]);
	return width;
}

void lex_next(struct lex *lex, struct token *ret)
{
	struct token token = {.start = lex->at};
	uint32_t before = lex->at;

	if (!skip_to_token(lex, &token)) {
		*ret = (struct token){.kind = TOKEN_BROKEN, .origin = here(lex, 1)};
		return;
	}
	token.start = token.end = lex->at;
	token.glued = lex->at == before;
	token.origin = here(lex, 1);
	if (!at_end(lex)) {
		token.kind = mark_kind(peek(lex, 0), peek(lex, 1));
		if (token.kind == TOKEN_WORD)
			read_value(lex, &token);
		else
			steps(lex, token.kind == TOKEN_APPEND ? 2 : 1);
		token.end = lex->at;
		token.origin.width = width_of(lex, &token);
	}
	*ret = token;
}

static bool begins_with(const struct source *source, const char *bytes)
{
	size_t len = strlen(bytes);

	return source->len >= len && memcmp(source->text, bytes, len) == 0;
}

static struct origin origin_of_byte(const struct source *source, size_t wanted)
{
	struct lex lex = {.source = source, .line = 1, .column = 1};

	while (lex.at < wanted)
		step(&lex);
	return here(&lex, 1);
}

bool lex_find_fault(const struct source *source, struct lex_fault *ret)
{
	struct lex_fault fault = {.origin = {source->path, 1, 1, 1}};
	const char *nul = memchr(source->text, '\0', source->len);

	if (begins_with(source, "\xff\xfe") || begins_with(source, "\xfe\xff")) {
		strcpy(fault.why, "this file is UTF-16; save it as UTF-8");
	} else if (nul) {
		fault.origin = origin_of_byte(source, (size_t)(nul - source->text));
		snprintf(fault.why, sizeof fault.why,
			"NUL byte at offset %td; this is not a text file", nul - source->text);
	} else if (begins_with(source, BYTE_ORDER_MARK)) {
		fault.skip = sizeof BYTE_ORDER_MARK - 1;
		strcpy(fault.why,
			"byte order mark at the start; save the file as UTF-8 without it");
	} else {
		return false;
	}
	*ret = fault;
	return true;
}

bool lex_init(struct lex *lex, const struct source *source, struct diag_list *diags)
{
	struct lex_fault fault;

	*lex = (struct lex){.source = source, .diags = diags, .line = 1, .column = 1};

	if (!lex_find_fault(source, &fault))
		return true;
	diag_error(diags, &fault.origin, "%s", fault.why);
	steps(lex, fault.skip);
	return fault.skip > 0;
}
