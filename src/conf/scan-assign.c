/*
 * Assignments, their values, and includes.
 */
#include "conf/scan-internal.h"

struct assignment {
	struct token name;
	struct token op;
	const struct conf_option *option; /* NULL: mistaken, and told */
	bool bad;                         /* to be left out */
	bool again;                       /* it is there already, so nobody misses it */
};

static void fail_missing_value(struct scanner *s, const struct token *op)
{
	scanner_fail(s, &op->origin, "the value is missing after '%s'%s",
		op->kind == TOKEN_APPEND ? "+=" : "=",
		s->token.after_slashes ? "; '//' begins a comment, quotes are needed" : "");
}

static void fail_needs_quotes(struct scanner *s)
{
	char shown[DIAG_SHOWN_MAX];

	scanner_fail(s, &s->token.origin, "'%s' needs quotes; put the whole value in quotes",
		scanner_shown(s, &s->token, shown));
}

static void read_value(struct scanner *s, struct assignment *a)
{
	a->bad |= s->token.bad;
	if (s->n_values++ == CONF_VALUES_MAX) {
		scanner_fail(s, &s->token.origin, "more than %d values in one file",
			CONF_VALUES_MAX);
		return;
	}
	s->value_line = s->token.origin.line;
	scanner_push(s, SCAN_VALUE, &s->token, NULL);
	scanner_next(s);
}

/*
 * What stands behind a value without braces.  If the value was the name of
 * the next option or section, its own is what is missing.
 */
static void judge_after_value(struct scanner *s, const struct assignment *a, uint32_t line)
{
	bool list = a->option && conf_option_is_list(a->option);

	switch (s->token.kind) {
	case TOKEN_SET:
	case TOKEN_APPEND:
	case TOKEN_OPEN:
	case TOKEN_CALL:
		if (line > a->op.origin.line)
			fail_missing_value(s, &a->op);
		else
			fail_needs_quotes(s);
		break;
	case TOKEN_COMMA:
		if (list)
			scanner_fail(s, &s->token.origin,
				"several values stand in braces: { a, b }; between options "
				"there is no comma");
		else
			scanner_fail(s, &s->token.origin,
				"one value only; if the ',' belongs to it, put all of it in "
				"quotes; between options there is no comma");
		break;
	case TOKEN_STRING:
		scanner_fail(s, &s->token.origin,
			list ? "several values stand in braces, with commas: { a, b }"
			     : "one value only; put all of it in one pair of quotes");
		break;
	case TOKEN_RETURN:
		fail_needs_quotes(s);
		break;
	default:
		break;
	}
}

static void read_single(struct scanner *s, struct assignment *a)
{
	uint32_t line = s->token.origin.line;

	switch (s->token.kind) {
	case TOKEN_WORD:
	case TOKEN_STRING:
		read_value(s, a);
		if (!scanner_stopped(s))
			judge_after_value(s, a, line);
		break;
	case TOKEN_BROKEN:
		break;
	default:
		fail_missing_value(s, &a->op);
		break;
	}
}

static void fail_unclosed_list(struct scanner *s, const struct token *open)
{
	scanner_fail(s, &open->origin, "this list is never closed; '}' is missing");
}

/* Neither a comma nor the end follows an element. */
static void fail_after_element(struct scanner *s, const struct token *open)
{
	switch (s->token.kind) {
	case TOKEN_BROKEN:
		return;
	case TOKEN_END:
		fail_unclosed_list(s, open);
		return;
	case TOKEN_WORD:
	case TOKEN_STRING:
		scanner_fail(s, &s->token.origin, "',' or '}' is missing before this");
		break;
	default:
		fail_needs_quotes(s);
		break;
	}
	if (s->token.origin.line != open->origin.line)
		diag_note(s->diags, &open->origin, "the list begins here");
}

/* True if there is one more element or comma to come. */
static bool read_element(struct scanner *s, struct assignment *a, const struct token *open)
{
	switch (s->token.kind) {
	case TOKEN_WORD:
	case TOKEN_STRING:
		break;
	case TOKEN_BROKEN:
	case TOKEN_CLOSE:
		return false;
	case TOKEN_END:
		fail_unclosed_list(s, open);
		return false;
	case TOKEN_COMMA:
		scanner_fail(s, &s->token.origin, "a value is missing before ','");
		return false;
	case TOKEN_OPEN:
		scanner_fail(s, &s->token.origin, "a list cannot stand in a list");
		return false;
	default:
		fail_needs_quotes(s);
		return false;
	}

	read_value(s, a);
	if (scanner_stopped(s) || s->token.kind == TOKEN_CLOSE)
		return false;
	if (s->token.kind != TOKEN_COMMA) {
		fail_after_element(s, open);
		return false;
	}
	scanner_next(s);
	return true;
}

/* Between braces; a comma may follow the last element. */
static void read_list(struct scanner *s, struct assignment *a)
{
	struct token open = s->token;

	scanner_next(s);
	while (read_element(s, a, &open))
		;
	if (scanner_stopped(s))
		return;

	s->value_line = s->token.origin.line;
	scanner_next(s);
	if (a->option && !conf_option_is_list(a->option)) {
		diag_error(s->diags, &open.origin, "option '%s' takes one value, not a list",
			a->option->name);
		a->bad = true;
	}
}

static const struct conf_option *find_option(struct scanner *s, const struct token *token)
{
	const struct frame *frame = scanner_frame(s);
	struct name name = scanner_name(s, token);

	if (token->bad || frame->scope.kind == SCOPE_UNKNOWN)
		return NULL;
	return scope_find_option(&frame->scope, &name, s->diags);
}

/* What is wrong with an assignment of an option that may stand here. */
static void judge_assignment(struct scanner *s, struct assignment *a)
{
	const struct frame *frame = scanner_frame(s);
	bool again = frame->dropped && frame->scope.kind == SCOPE_NESTED;

	if (a->op.kind == TOKEN_APPEND && !conf_option_is_list(a->option)) {
		diag_error(s->diags, &a->op.origin,
			"'+=' is for lists only; option '%s' takes '='", a->option->name);
		a->bad = true;
	}
	if (!again)
		a->again = scanner_repeats(
			s, &s->options[conf_option_index(a->option)], &a->name, "option");
	a->bad |= a->again;
}

void scan_assignment(struct scanner *s, const struct token *name)
{
	size_t first = s->scan->n_items;
	struct assignment a = {
		.name = *name,
		.op = s->token,
		.option = find_option(s, name),
	};

	a.bad = !a.option;
	scanner_push(s, SCAN_ASSIGN, name, a.option);
	if (s->error == 0)
		s->scan->items[first].append = a.op.kind == TOKEN_APPEND;
	if (a.option)
		judge_assignment(s, &a);

	scanner_next(s);
	if (s->token.kind == TOKEN_OPEN)
		read_list(s, &a);
	else
		read_single(s, &a);
	s->value_option = a.option;

	if (!a.bad || s->error < 0)
		return;
	s->scan->n_items = first;
	if (s->depth > 1 && !a.again)
		scanner_push(s, SCAN_MISTAKEN, name, a.option);
}

/* What stands between parentheses: exactly one name. */
static bool read_argument(struct scanner *s, const struct token *name, struct token *ret)
{
	char shown[DIAG_SHOWN_MAX];

	scanner_next(s);
	*ret = s->token;
	if (s->token.kind == TOKEN_WORD || s->token.kind == TOKEN_STRING) {
		scanner_next(s);
		if (s->token.kind == TOKEN_RETURN) {
			scanner_next(s);
			return true;
		}
	}
	if (!scanner_stopped(s))
		scanner_fail(s, &name->origin, "'%s' takes one name; write '%s(\"NAME\")'",
			scanner_shown(s, name, shown), shown);
	return false;
}

void scan_call(struct scanner *s, const struct token *token)
{
	struct name name = scanner_name(s, token);
	bool file = name_is(&name, "include"), directory = name_is(&name, "include_dir");
	struct token argument;
	char shown[DIAG_SHOWN_MAX];

	if (s->depth > 1 && (file || directory)) {
		scan_fail_inside(s, token);
		return;
	}
	if (!file && !directory && (s->depth > 1 || scope_find_anywhere(&name))) {
		scanner_fail(s, &token->origin, "'=' is missing after '%s'",
			scanner_shown(s, token, shown));
		return;
	}
	if (!file && !directory && !token->bad)
		scope_tell_call(&name, s->diags);

	s->value_line = 0;
	if (!read_argument(s, token, &argument))
		return;
	if ((file || directory) && !argument.bad)
		scanner_push(s, file ? SCAN_INCLUDE : SCAN_INCLUDE_DIR, &argument, NULL);
}
