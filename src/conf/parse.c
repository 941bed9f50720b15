/*
 * libconfuse is never given the text of a file: it gets one written anew from
 * what conf/scan found to be right, every word and string byte for byte and
 * on its line, so that neither comments nor blanks nor mistakes reach it.  The
 * values come back in the order in which the scan has their places.  Should
 * the two ever disagree, that is told as a mistake of the file.
 */
#include "conf/parse.h"

#include "conf/conf.h"
#include "conf/source.h"

#include <confuse.h>
#include <stdarg.h>
#include <string.h>

/* A hidden option in every section carries our context to the callbacks, which
 * get no pointer of their own.  No file can name it: names have no blanks. */
#define CONTEXT_NAME "hatchd context"

struct context {
	struct source *source;
	const struct scan *scan;
	size_t at; /* the next item that libconfuse has to come up with */
	struct raw_conf *raw;
	struct include_list *includes;
	bool used[CONF_OPTIONS_MAX]; /* options that the file assigns */
	bool nested;                 /* it has nested sections */
	int error;                   /* 0 or -ENOMEM */
	bool disagree;               /* libconfuse understands something else */
	char complaint[128];         /* what it said */
};

static struct context *context_of(cfg_t *cfg)
{
	return (struct context *)(void *)cfg_getopt(cfg, CONTEXT_NAME)->simple_value.ptr;
}

/* Name of a nested section; libconfuse wants it terminated. */
struct prefix {
	char text[32];
};

/*
 * The option table in libconfuse's form.  cfg_init() copies all of it, and each
 * section is another copy, so it is told only of what occurs in the file.
 */
struct tables {
	cfg_opt_t *root;
	cfg_opt_t *section; /* of a service or of `defaults` */
	cfg_opt_t *nested;  /* sections one after the other, each with its end */
	cfg_opt_t *nested_end;
	struct prefix *prefixes; /* their names */
	struct prefix *prefix;   /* behind the last */
};

static void tables_done(struct tables *tables)
{
	free(tables->root);
	free(tables->section);
	free(tables->nested);
	free(tables->prefixes);
}

/* The ends of a table: the hidden context and what libconfuse ends with. */
static cfg_opt_t *add_end(cfg_opt_t *opt, struct context *context)
{
	cfg_opt_t hidden = CFG_SIMPLE_STR((char *)CONTEXT_NAME, NULL), end = CFG_END();

	hidden.simple_value.ptr = (void *)context;
	*opt++ = hidden;
	*opt++ = end;
	return opt;
}

static cfg_opt_t *add_option(cfg_opt_t *opt, const struct conf_option *option, const char *name)
{
	cfg_opt_t list = CFG_STR_LIST((char *)name, NULL, CFGF_NODEFAULT);
	cfg_opt_t single = CFG_STR((char *)name, NULL, CFGF_NODEFAULT);

	*opt++ = conf_option_is_list(option) ? list : single;
	return opt;
}

static cfg_opt_t *add_section(
	cfg_opt_t *opt, const char *name, cfg_opt_t *options, cfg_flag_t flags)
{
	cfg_opt_t section = CFG_SEC((char *)name, options, flags);

	*opt++ = section;
	return opt;
}

/* Length of the part before the dot; 0 if there is none. */
static size_t prefix_length(const struct conf_option *option)
{
	const char *dot = strchr(option->name, '.');

	return dot ? (size_t)(dot - option->name) : 0;
}

static void note_used(struct context *context)
{
	for (size_t i = 0; i < context->scan->n_items; i++) {
		const struct scan_item *item = &context->scan->items[i];

		if (item->kind == SCAN_NESTED)
			context->nested = true;
		else if (item->kind == SCAN_ASSIGN)
			context->used[conf_option_index(item->option)] = true;
	}
}

/* Nested sections may be empty, so it is all of their options or none. */
static bool is_used(const struct context *context, const struct conf_option *option)
{
	return context->used[conf_option_index(option)] ||
	       (context->nested && prefix_length(option) > 0);
}

static bool same_prefix(const struct conf_option *a, const struct conf_option *b)
{
	size_t len = prefix_length(a);

	return len == prefix_length(b) && strncmp(a->name, b->name, len) == 0;
}

/*
 * The nested section that `first` begins, from all options with its prefix.
 */
static cfg_opt_t *add_nested(
	cfg_opt_t *opt, const struct conf_option *first, struct context *context)
{
	for (const struct conf_option *o = first; o->name; o++) {
		if (same_prefix(first, o))
			opt = add_option(opt, o, o->name + prefix_length(o) + 1);
	}
	return add_end(opt, context);
}

static bool is_first_of_prefix(const struct conf_option *option)
{
	for (const struct conf_option *o = conf_options; o < option; o++) {
		if (same_prefix(o, option))
			return false;
	}
	return true;
}

/* Options of one level, and the sections in it; where there is room for more. */
static cfg_opt_t *add_level(
	struct tables *tables, cfg_opt_t *opt, unsigned global, struct context *context)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		cfg_opt_t *begin = tables->nested_end;
		size_t len;

		if ((o->flags & OPTION_GLOBAL) != global || !is_used(context, o))
			continue;
		len = prefix_length(o);
		if (len == 0) {
			opt = add_option(opt, o, o->name);
			continue;
		}
		if (len >= sizeof tables->prefix->text || !is_first_of_prefix(o))
			continue;
		memcpy(tables->prefix->text, o->name, len);
		tables->nested_end = add_nested(begin, o, context);
		opt = add_section(opt, tables->prefix->text, begin, CFGF_NODEFAULT);
		tables->prefix++;
	}
	return opt;
}

static int take_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv);

static void fill_root(struct tables *tables, struct context *context)
{
	cfg_opt_t file = CFG_FUNC((char *)"include", take_include);
	cfg_opt_t directory = CFG_FUNC((char *)"include_dir", take_include);
	cfg_opt_t *opt = add_level(tables, tables->root, OPTION_GLOBAL, context);

	opt = add_section(opt, "service", tables->section, CFGF_MULTI | CFGF_TITLE);
	opt = add_section(opt, "defaults", tables->section, CFGF_NODEFAULT);
	*opt++ = file;
	*opt++ = directory;
	add_end(opt, context);
}

static size_t count_used(const struct context *context)
{
	size_t n = 0;

	for (const struct conf_option *o = conf_options; o->name; o++)
		n += is_used(context, o);
	return n;
}

/* A parser with our options, or NULL without memory. */
static cfg_t *make_parser(struct context *context)
{
	_cleanup_(tables_done) struct tables tables = {0};
	size_t n = count_used(context);

	/* Every option may have a section of its own, with its two ends. */
	tables.root = calloc(n + 6, sizeof *tables.root);
	tables.section = calloc(n + 2, sizeof *tables.section);
	tables.nested = calloc(3 * n + 1, sizeof *tables.nested);
	tables.prefixes = calloc(n + 1, sizeof *tables.prefixes);
	if (!tables.root || !tables.section || !tables.nested || !tables.prefixes)
		return NULL;

	tables.nested_end = tables.nested;
	tables.prefix = tables.prefixes;
	add_end(add_level(&tables, tables.section, 0, context), context);
	fill_root(&tables, context);
	return cfg_init(tables.root, CFGF_NONE);
}

/* The next item if it is of that kind; else the two disagree. */
static const struct scan_item *expect(struct context *context, enum scan_kind kind)
{
	const struct scan *scan = context->scan;

	if (!context->disagree && context->at < scan->n_items &&
		scan->items[context->at].kind == kind)
		return &scan->items[context->at++];
	context->disagree = true;
	return NULL;
}

static bool next_is(const struct context *context, enum scan_kind kind)
{
	return !context->disagree && context->at < context->scan->n_items &&
	       context->scan->items[context->at].kind == kind;
}

static void take_value(struct context *context, struct raw_assign *assign, const char *text)
{
	const struct scan_item *item = expect(context, SCAN_VALUE);
	struct origin origin;

	if (!item)
		return;
	if (!text) {
		context->disagree = true;
		return;
	}
	origin = scan_origin(context->source, item);
	if (!raw_add_value(assign, text, &origin))
		context->error = -ENOMEM;
}

/* The assignment that is next, whose values stand in `cfg`. */
static void take_assign(struct context *context, cfg_t *cfg, struct raw_section *section)
{
	const struct scan_item *item = expect(context, SCAN_ASSIGN);
	struct origin origin = scan_origin(context->source, item);
	size_t prefix = prefix_length(item->option);
	struct raw_assign *assign;
	cfg_opt_t *opt;

	opt = cfg_getopt(cfg, item->option->name + (prefix ? prefix + 1 : 0));
	if (!opt) {
		context->disagree = true;
		return;
	}
	assign = raw_add_assign(section, item->option, item->append, &origin);
	if (!assign) {
		context->error = -ENOMEM;
		return;
	}
	for (unsigned i = 0; i < cfg_opt_size(opt) && context->error == 0; i++)
		take_value(context, assign, cfg_opt_getnstr(opt, i));
	if (next_is(context, SCAN_VALUE))
		context->disagree = true;
}

/* What was left out; libconfuse knows nothing of it. */
static void take_mistaken(struct context *context, struct raw_section *section)
{
	const struct scan_item *item = expect(context, SCAN_MISTAKEN);
	struct origin origin = scan_origin(context->source, item);
	struct raw_assign *assign;

	if (!item->option) {
		section->unknown = true;
		return;
	}
	assign = raw_add_assign(section, item->option, false, &origin);
	if (assign)
		assign->mistaken = true;
	else
		context->error = -ENOMEM;
}

static bool going(const struct context *context)
{
	return context->error == 0 && !context->disagree;
}

static void take_nested(struct context *context, cfg_t *outer, struct raw_section *section)
{
	const struct scan_item *item = expect(context, SCAN_NESTED);
	char name[sizeof(struct prefix)] = "";
	cfg_t *cfg;

	if (item->end - item->start < sizeof name)
		memcpy(name, context->source->text + item->start, item->end - item->start);
	cfg = cfg_getsec(outer, name);
	if (!cfg) {
		context->disagree = true;
		return;
	}
	while (going(context)) {
		if (next_is(context, SCAN_ASSIGN))
			take_assign(context, cfg, section);
		else if (next_is(context, SCAN_MISTAKEN))
			take_mistaken(context, section);
		else
			break;
	}
	expect(context, SCAN_CLOSE);
}

static void take_body(struct context *context, cfg_t *cfg, struct raw_section *section)
{
	while (going(context)) {
		if (next_is(context, SCAN_ASSIGN))
			take_assign(context, cfg, section);
		else if (next_is(context, SCAN_MISTAKEN))
			take_mistaken(context, section);
		else if (next_is(context, SCAN_NESTED))
			take_nested(context, cfg, section);
		else
			break;
	}
	expect(context, SCAN_CLOSE);
}

static void skip_assigns(struct context *context)
{
	while (next_is(context, SCAN_ASSIGN) || next_is(context, SCAN_VALUE) ||
		next_is(context, SCAN_MISTAKEN))
		context->at++;
}

/*
 * Options outside of services and `defaults` are complete only when libconfuse has
 * come to the end, so their items are passed by and taken in a second round.
 */
static void skip_globals(struct context *context)
{
	skip_assigns(context);
	while (next_is(context, SCAN_NESTED)) {
		context->at++;
		skip_assigns(context);
		expect(context, SCAN_CLOSE);
		skip_assigns(context);
	}
}

static void take_section(
	struct context *context, cfg_t *cfg, enum scan_kind scan_kind, enum raw_kind raw_kind)
{
	const struct scan_item *item;
	struct raw_section *section;
	struct origin origin;

	skip_globals(context);
	item = expect(context, scan_kind);
	if (!item)
		return;
	origin = scan_origin(context->source, item);
	section = raw_add_section(context->raw, raw_kind, cfg_title(cfg), &origin);
	if (!section)
		context->error = -ENOMEM;
	else
		take_body(context, cfg, section);
}

/* Copied and dropped at once: libconfuse compares every name with all before. */
static int take_service(cfg_t *cfg, cfg_opt_t *opt)
{
	struct context *context = context_of(cfg);

	if (going(context))
		take_section(context, cfg_opt_getnsec(opt, 0), SCAN_SERVICE, RAW_SERVICE);
	cfg_opt_rmnsec(opt, 0);
	return 0;
}

static int take_defaults(cfg_t *cfg, cfg_opt_t *opt)
{
	struct context *context = context_of(cfg);

	if (going(context))
		take_section(context, cfg_opt_getnsec(opt, 0), SCAN_DEFAULTS, RAW_DEFAULTS);
	return 0;
}

static int add_include(struct include_list *list, const char *path, bool directory,
	const struct origin *origin)
{
	struct include *items;

	if ((list->n & (list->n - 1)) == 0) {
		items = reallocarray(list->items, list->n ? 2 * list->n : 1, sizeof *items);
		if (!items)
			return -ENOMEM;
		list->items = items;
	}
	list->items[list->n] = (struct include){strdup(path), directory, *origin};
	return list->items[list->n].path ? (list->n++, 0) : -ENOMEM;
}

static int take_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct context *context = context_of(cfg);
	bool directory = strcmp(opt->name, "include_dir") == 0;
	const struct scan_item *item;
	struct origin origin;

	skip_globals(context);
	item = expect(context, directory ? SCAN_INCLUDE_DIR : SCAN_INCLUDE);
	if (!item)
		return 0;
	if (argc != 1) {
		context->disagree = true;
		return 0;
	}
	origin = scan_origin(context->source, item);
	if (add_include(context->includes, argv[0], directory, &origin) < 0)
		context->error = -ENOMEM;
	return 0;
}

void include_list_done(struct include_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].path);
	free(list->items);
	*list = (struct include_list){0};
}

static bool is_global(const struct scan_item *item)
{
	return item->kind == SCAN_ASSIGN || item->kind == SCAN_NESTED;
}

/* `*section` has them all. */
static void take_global(struct context *context, cfg_t *cfg, struct raw_section **section,
	const struct origin *origin)
{
	if (!*section)
		*section = raw_add_section(context->raw, RAW_GLOBAL, NULL, origin);
	if (!*section)
		context->error = -ENOMEM;
	else if (next_is(context, SCAN_NESTED))
		take_nested(context, cfg, *section);
	else
		take_assign(context, cfg, *section);
}

/* The items of the outermost level, once more, for the options among them. */
static void take_globals(struct context *context, cfg_t *cfg)
{
	struct raw_section *section = NULL;
	size_t depth = 0;

	context->at = 0;
	while (going(context) && context->at < context->scan->n_items) {
		const struct scan_item *item = &context->scan->items[context->at];
		struct origin origin = scan_origin(context->source, item);

		if (depth == 0 && is_global(item)) {
			take_global(context, cfg, &section, &origin);
			continue;
		}
		if (item->kind == SCAN_SERVICE || item->kind == SCAN_DEFAULTS ||
			item->kind == SCAN_NESTED)
			depth++;
		depth -= item->kind == SCAN_CLOSE;
		context->at++;
	}
}

static void _printf_(2, 0) keep_complaint(cfg_t *cfg, const char *format, va_list ap)
{
	struct context *context = context_of(cfg);

	vsnprintf(context->complaint, sizeof context->complaint, format, ap);
}

/* True if libconfuse has understood the text just as the scan did. */
static bool understand(struct context *context, cfg_t *cfg, char *text, size_t len)
{
	FILE *file;
	int r;

	/* There may be nothing at all, which not every fmemopen() takes. */
	if (len == 0)
		return true;
	file = fmemopen(text, len, "r");
	if (!file) {
		context->error = -ENOMEM;
		return false;
	}

	cfg_set_error_function(cfg, keep_complaint);
	cfg_set_validate_func(cfg, "service", take_service);
	cfg_set_validate_func(cfg, "defaults", take_defaults);
	r = cfg_parse_fp(cfg, file);
	fclose(file);
	if (r != CFG_SUCCESS)
		return false;

	skip_globals(context);
	if (going(context) && context->at != context->scan->n_items)
		context->disagree = true;
	take_globals(context, cfg);
	return going(context);
}

static int take_items(struct context *context, struct diag_list *diags)
{
	const struct origin origin = {.file = context->source->path};
	_cleanup_free_ char *text = NULL;
	cfg_t *cfg;
	size_t len;
	int r;

	r = scan_write(context->source, context->scan, &text, &len);
	if (r < 0)
		return r;
	note_used(context);
	cfg = make_parser(context);
	if (!cfg)
		return -ENOMEM;

	if (!understand(context, cfg, text, len) && context->error == 0)
		diag_error(diags, &origin,
			"unable to understand this file the same way twice (%s); please report "
			"this",
			context->complaint[0] ? context->complaint : "other items");

	/* The scanner of libconfuse is one for all: this also resets it. */
	cfg_free(cfg);
	return context->error;
}

int parse_source(struct source *source, struct scan_names *names, struct raw_conf *raw,
	struct include_list *includes, struct diag_list *diags)
{
	size_t n_errors = diags->n_by_severity[DIAG_ERROR];
	_cleanup_(scan_done) struct scan scan;
	struct context context = {
		.source = source,
		.scan = &scan,
		.raw = raw,
		.includes = includes,
	};
	int r;

	r = scan_source(source, names, diags, &scan);
	if (r < 0)
		return r;
	if (!scan.broken)
		r = take_items(&context, diags);
	if (diags->n_by_severity[DIAG_ERROR] > n_errors)
		source->refused = true;
	return r;
}

int parse_text(const char *name, const char *text, size_t len, struct raw_conf *raw,
	struct source **sources, struct diag_list *diags)
{
	_cleanup_(include_list_done) struct include_list includes = {0};
	_cleanup_(scan_names_done) struct scan_names names;
	struct source *source;
	char *copy;

	scan_names_init(&names);
	while (*sources)
		sources = &(*sources)->next;
	source = source_add(&sources, name);
	copy = malloc(len + 1);
	if (!source || !copy) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';

	free(source->text);
	source->text = copy;
	source->len = len;
	source->main = true;
	return parse_source(source, &names, raw, &includes, diags);
}
