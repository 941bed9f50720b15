/*
 * Sections: what may be opened where, under which name, and how often.
 */
#include "conf/scan-internal.h"

#include <string.h>

const char *scan_label(
	const struct scanner *s, const struct frame *frame, char buf[SCAN_LABEL_MAX])
{
	char name[DIAG_SHOWN_MAX], title[DIAG_SHOWN_MAX];

	scanner_shown(s, &frame->name, name);
	scanner_shown(s, &frame->title, title);
	if (frame->title.kind == TOKEN_END)
		snprintf(buf, SCAN_LABEL_MAX, "%s", name);
	else
		snprintf(buf, SCAN_LABEL_MAX, "%s %s", name, title);
	return buf;
}

void scan_fail_inside(struct scanner *s, const struct token *name)
{
	const struct frame *frame = scanner_frame(s);
	char inner[DIAG_SHOWN_MAX], outer[SCAN_LABEL_MAX];

	scanner_fail(s, &name->origin, "'%s' inside '%s'; is a '}' missing before it?",
		scanner_shown(s, name, inner), scan_label(s, frame, outer));
	diag_note(s->diags, &frame->name.origin, "'%s' begins here", outer);
}

/* A new service or `defaults`: its options have not been given yet. */
static void forget_options(struct scanner *s)
{
	size_t n = conf_options_count();

	for (size_t i = 0; i < n; i++) {
		if (conf_options[i].flags & OPTION_GLOBAL)
			continue;
		s->options[i] = (struct first){0};
		s->nested[i] = (struct first){0};
	}
}

/* False, and told, if no service may be called so. */
static bool judge_name(struct scanner *s, const struct name *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	const char *why = NULL;

	if (name->len == 0)
		why = "is empty";
	else if (name->len > CONF_NAME_MAX)
		why = "is longer than 64 characters";
	else if (memchr("_.-", name->text[0], 3))
		why = "must begin with a letter or digit";
	for (size_t i = 0; !why && i < name->len; i++) {
		if (!memchr(letters, name->text[i], sizeof letters - 1))
			why = "may hold letters, digits, '_', '.' and '-' only";
	}
	if (why)
		diag_error(s->diags, &name->origin, "the name of a service %s", why);
	return !why;
}

/* False, and told, if there is a service of that name, here or in another file. */
static bool judge_unique(struct scanner *s, const struct name *name)
{
	const struct known_service *known;
	int r;

	if (s->names->n_services == CONF_SERVICES_MAX) {
		scanner_fail(s, &name->origin, "more than %d services", CONF_SERVICES_MAX);
		return false;
	}
	r = scan_names_add(s->names, name, &known);
	if (r == 0)
		return true;
	if (r == -ENOMEM) {
		s->error = r;
		return false;
	}

	if (name_is(name, known->name))
		diag_error(s->diags, &name->origin, "service '%s' already exists", known->name);
	else
		diag_error(s->diags, &name->origin,
			"service '%.*s' differs only by case from '%s'", (int)name->len,
			name->text, known->name);
	diag_note(s->diags, &known->origin, "'%s' is defined here", known->name);
	return false;
}

static void open_service(struct scanner *s, struct frame *frame)
{
	struct name name = scanner_name(s, &frame->title);

	frame->scope.kind = SCOPE_SERVICE;
	forget_options(s);
	if (frame->title.kind == TOKEN_END) {
		diag_error(s->diags, &frame->name.origin,
			"this service has no name; write 'service NAME { ... }'");
		frame->dropped = true;
	} else if (frame->title.bad) {
		frame->dropped = true;
	} else if (judge_name(s, &name)) {
		frame->dropped = !judge_unique(s, &name);
	}
	scanner_push(s, SCAN_SERVICE, &frame->title, NULL);
}

/* A name where none belongs. */
static void judge_untitled(struct scanner *s, struct frame *frame)
{
	char shown[DIAG_SHOWN_MAX];

	if (frame->title.kind == TOKEN_END)
		return;
	if (!frame->title.bad)
		diag_error(s->diags, &frame->title.origin, "'%s' takes no name",
			scanner_shown(s, &frame->name, shown));
	frame->dropped = true;
}

static void open_defaults(struct scanner *s, struct frame *frame, enum scope_kind outer)
{
	struct origin *first = &s->names->defaults;

	frame->scope.kind = SCOPE_DEFAULTS;
	forget_options(s);
	judge_untitled(s, frame);
	if (outer != SCOPE_MAIN) {
		diag_error(
			s->diags, &frame->name.origin, "'defaults' belongs in the main file");
		frame->dropped = true;
	} else if (first->file) {
		diag_error(s->diags, &frame->name.origin, "'defaults' is given twice");
		diag_note(s->diags, first, "first given here");
		frame->dropped = true;
	} else {
		*first = frame->name.origin;
	}
	scanner_push(s, SCAN_DEFAULTS, &frame->name, NULL);
}

static void open_nested(struct scanner *s, struct frame *frame, const struct name *name,
	const struct conf_option *option)
{
	frame->scope.kind = SCOPE_NESTED;
	frame->scope.prefix = option->name;
	frame->scope.prefix_len = name->len;
	judge_untitled(s, frame);
	if (scanner_repeats(s, &s->nested[conf_option_index(option)], &frame->name, "section"))
		frame->dropped = true;
	scanner_push(s, SCAN_NESTED, &frame->name, NULL);
}

static void open_unknown(struct scanner *s, struct frame *frame, const struct scope *outer,
	const struct name *name)
{
	if (outer->kind != SCOPE_UNKNOWN && !frame->name.bad)
		scope_tell_section(outer, name, s->diags);
	frame->scope.kind = SCOPE_UNKNOWN;
	frame->dropped = true;
}

/* Whether the nested section that the option begins may stand there. */
static bool stands_in(const struct conf_option *option, const struct scope *outer)
{
	if (option->flags & OPTION_GLOBAL)
		return outer->kind == SCOPE_MAIN;
	return outer->kind == SCOPE_SERVICE || outer->kind == SCOPE_DEFAULTS;
}

/* Decide what is being opened; false if that ends the scan. */
static bool open_frame(struct scanner *s, struct frame *frame, const struct scope *outer)
{
	struct name name = scanner_name(s, &frame->name);
	bool service = name_is(&name, "service"), defaults = name_is(&name, "defaults");
	const struct conf_option *option =
		service || defaults ? NULL : scope_find_nested(&name);
	char shown[DIAG_SHOWN_MAX];

	if (service || defaults) {
		if (s->depth > 1)
			scan_fail_inside(s, &frame->name);
		else if (service)
			open_service(s, frame);
		else
			open_defaults(s, frame, outer->kind);
	} else if (option && stands_in(option, outer)) {
		open_nested(s, frame, &name, option);
	} else if (!option && outer->kind != SCOPE_UNKNOWN && scope_find_anywhere(&name)) {
		scanner_fail(s, &frame->name.origin, "'=' is missing after '%s'",
			scanner_shown(s, &frame->name, shown));
	} else {
		open_unknown(s, frame, outer, &name);
	}
	return !scanner_stopped(s);
}

void scan_open(struct scanner *s, const struct token *name, const struct token *title)
{
	const struct scope *outer = &scanner_frame(s)->scope;
	struct frame frame = {
		.scope.outer = outer->kind,
		.name = *name,
		.title = *title,
		.brace = s->token.origin,
		.first = s->scan->n_items,
	};

	s->value_line = 0;
	if (!open_frame(s, &frame, outer))
		return;
	if (s->depth == SCAN_DEPTH_MAX) {
		scanner_fail(s, &frame.brace, "sections are nested too deeply");
		return;
	}
	s->frames[s->depth++] = frame;
	scanner_next(s);
}

/* Who wrote it believes that TLS is spoken, and nothing is known that says otherwise. */
static void judge_empty(struct scanner *s, const struct frame *frame)
{
	struct name name = scanner_name(s, &frame->name);

	if (frame->scope.kind == SCOPE_NESTED && !frame->dropped && name_is(&name, "tls") &&
		s->scan->n_items == frame->first + 1)
		diag_error(s->diags, &frame->name.origin,
			"section 'tls' is empty; write tls { certificate = FILE }");
}

void scan_close(struct scanner *s)
{
	const struct frame *frame = scanner_frame(s);

	if (s->depth == 1) {
		scanner_fail(s, &s->token.origin, "'}' closes nothing; is it one too many?");
		return;
	}
	s->value_line = 0;
	judge_empty(s, frame);
	scanner_push(s, SCAN_CLOSE, &s->token, NULL);
	if (frame->dropped)
		s->scan->n_items = frame->first;
	s->depth--;
	if (frame->scope.kind == SCOPE_UNKNOWN && s->depth > 1)
		scanner_push(s, SCAN_MISTAKEN, &frame->name, NULL);
	scanner_next(s);
}
