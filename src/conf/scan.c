#include "conf/scan-internal.h"

#include <stdarg.h>
#include <string.h>

void scanner_next(struct scanner *s)
{
	lex_next(&s->lex, &s->token);
	if (s->token.kind == TOKEN_BROKEN)
		s->scan->broken = true;
}

bool scanner_stopped(const struct scanner *s)
{
	return s->scan->broken || s->error < 0;
}

void scanner_fail(struct scanner *s, const struct origin *origin, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	s->scan->broken = true;
	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		s->error = -ENOMEM;
		return;
	}
	diag_error(s->diags, origin, "%s", text);
}

static int grow(struct scan *scan)
{
	size_t size = scan->size ? scan->size * 2 : 64;
	struct scan_item *items = reallocarray(scan->items, size, sizeof *items);

	if (!items)
		return -ENOMEM;
	scan->items = items;
	scan->size = size;
	return 0;
}

void scanner_push(struct scanner *s, enum scan_kind kind, const struct token *token,
	const struct conf_option *option)
{
	struct scan *scan = s->scan;

	if (scan->n_items == scan->size && grow(scan) < 0) {
		s->error = -ENOMEM;
		return;
	}
	scan->items[scan->n_items++] = (struct scan_item){
		.kind = kind,
		.start = token->start,
		.end = token->end,
		.line = token->origin.line,
		.column = token->origin.column,
		.width = token->origin.width,
		.option = option,
	};
}

struct name scanner_name(const struct scanner *s, const struct token *token)
{
	size_t quotes = token->kind == TOKEN_STRING ? 1 : 0;

	return (struct name){
		.text = s->source->text + token->start + quotes,
		.len = token->end - token->start - 2 * quotes,
		.origin = token->origin,
	};
}

const char *scanner_shown(
	const struct scanner *s, const struct token *token, char buf[DIAG_SHOWN_MAX])
{
	return diag_shown(s->source->text + token->start, token->end - token->start, buf);
}

bool scanner_repeats(
	struct scanner *s, struct first *first, const struct token *token, const char *what)
{
	const struct origin *origin = &token->origin;
	struct origin before = {s->source->path, first->line, first->column, first->width};
	char shown[DIAG_SHOWN_MAX];

	if (first->line == 0) {
		*first = (struct first){origin->line, origin->column, origin->width};
		return false;
	}
	diag_error(s->diags, origin, "%s '%s' is given twice", what,
		scanner_shown(s, token, shown));
	diag_note(s->diags, &before, "first given here");
	return true;
}

static bool is_minus(const struct scanner *s, const struct token *token)
{
	const struct name name = scanner_name(s, token);

	return name_is(&name, "-");
}

static bool is_behind_value(const struct scanner *s, const struct token *token)
{
	return s->value_line == token->origin.line;
}

static void fail_behind_value(struct scanner *s, const struct token *token)
{
	const struct conf_option *option = s->value_option;
	char shown[DIAG_SHOWN_MAX];

	scanner_shown(s, token, shown);
	if (option && !conf_option_is_list(option))
		scanner_fail(s, &token->origin,
			"'%s' after a value; '%s' takes one, and one with blanks stands in "
			"quotes",
			shown, option->name);
	else
		scanner_fail(s, &token->origin,
			"'%s' after a value; several values stand in braces, with commas: { a, "
			"b }; one with blanks stands in quotes",
			shown);
}

/* A name with nothing behind it that makes sense. */
static void fail_after_name(
	struct scanner *s, const struct token *token, const struct token *title)
{
	struct name name = scanner_name(s, token);
	bool known = scope_find_anywhere(&name) || scope_find_nested(&name);
	char shown[DIAG_SHOWN_MAX];

	scanner_shown(s, token, shown);
	if (scanner_stopped(s))
		return;
	if (is_behind_value(s, token) && !known)
		fail_behind_value(s, token);
	else if (s->token.kind == TOKEN_SET && title->kind == TOKEN_WORD && is_minus(s, title))
		scanner_fail(
			s, &title->origin, "there is no '-='; write the list anew with '='");
	else if (name_is(&name, "service") && title->kind == TOKEN_END)
		scanner_fail(s, &token->origin,
			"this service has no name; write 'service NAME { ... }'");
	else if (name_is(&name, "service"))
		scanner_fail(s, &title->origin, "'{' is missing after 'service %s'",
			scanner_shown(s, title, shown));
	else if (name_is(&name, "defaults") || scope_find_nested(&name))
		scanner_fail(s, &token->origin, "'{' is missing after '%s'", shown);
	else if (name_is(&name, "include") || name_is(&name, "include_dir"))
		scanner_fail(s, &token->origin, "write '%s(\"NAME\")'", shown);
	else if (name.len > 1 && name.text[name.len - 1] == ':')
		scanner_fail(s, &token->origin, "write '=' instead of ':' after an option");
	else
		scanner_fail(s, &token->origin, "'=' is missing after '%s'", shown);
}

/* The second value of an option that nobody knows, which has been told: "cps = 25 30". */
static bool is_surplus(const struct scanner *s, const struct token *token)
{
	if (!is_behind_value(s, token) || s->value_option)
		return false;
	switch (s->token.kind) {
	case TOKEN_WORD:
	case TOKEN_CLOSE:
	case TOKEN_END:
		return true;
	default:
		return false;
	}
}

static void after_name(struct scanner *s, const struct token *name)
{
	struct token title = {.kind = TOKEN_END};

	if (is_surplus(s, name))
		return;

	switch (s->token.kind) {
	case TOKEN_SET:
	case TOKEN_APPEND:
		scan_assignment(s, name);
		return;
	case TOKEN_CALL:
		scan_call(s, name);
		return;
	case TOKEN_WORD:
	case TOKEN_STRING:
		title = s->token;
		scanner_next(s);
		break;
	default:
		break;
	}

	if (s->token.kind == TOKEN_OPEN)
		scan_open(s, name, &title);
	else
		fail_after_name(s, name, &title);
}

/* Something that no statement begins with. */
static void fail_statement(struct scanner *s)
{
	char shown[DIAG_SHOWN_MAX];

	scanner_shown(s, &s->token, shown);
	if (s->token.kind == TOKEN_STRING)
		scanner_fail(s, &s->token.origin,
			"the name of an option or section is missing here; names have no "
			"quotes");
	else
		scanner_fail(s, &s->token.origin,
			"unexpected '%s'; the name of an option or section is missing here",
			shown);
}

static void scan_statement(struct scanner *s)
{
	struct token name = s->token;

	switch (name.kind) {
	case TOKEN_WORD:
		scanner_next(s);
		after_name(s, &name);
		break;
	case TOKEN_CLOSE:
		scan_close(s);
		break;
	default:
		fail_statement(s);
		break;
	}
}

static void scan_file(struct scanner *s)
{
	const struct frame *frame;
	char label[SCAN_LABEL_MAX];

	scanner_next(s);
	while (!scanner_stopped(s) && s->token.kind != TOKEN_END)
		scan_statement(s);

	frame = scanner_frame(s);
	if (!scanner_stopped(s) && s->depth > 1)
		scanner_fail(s, &frame->brace, "section '%s' is never closed; '}' is missing",
			scan_label(s, frame, label));
}

int scan_source(const struct source *source, struct scan_names *names, struct diag_list *diags,
	struct scan *ret)
{
	_cleanup_free_ struct first *firsts = NULL;
	size_t n = conf_options_count();
	struct scanner s = {
		.source = source,
		.diags = diags,
		.names = names,
		.scan = ret,
		.depth = 1,
	};

	*ret = (struct scan){0};
	firsts = calloc(2 * n, sizeof *firsts);
	if (!firsts)
		return -ENOMEM;
	s.options = firsts;
	s.nested = firsts + n;
	s.frames[0].scope.kind = s.frames[0].scope.outer =
		source->main ? SCOPE_MAIN : SCOPE_FILE;

	if (lex_init(&s.lex, source, diags))
		scan_file(&s);
	else
		ret->broken = true;

	if (s.error < 0)
		scan_done(ret);
	return s.error;
}

void scan_done(struct scan *scan)
{
	free(scan->items);
	*scan = (struct scan){0};
}

struct origin scan_origin(const struct source *source, const struct scan_item *item)
{
	return (struct origin){source->path, item->line, item->column, item->width};
}
