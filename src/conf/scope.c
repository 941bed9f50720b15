#include "conf/scope.h"

#include "base/text.h"
#include "conf/conf.h"

#include <string.h>

/* Most candidates for "did you mean": every option and a few words more. */
#define CANDIDATES_MAX (CONF_OPTIONS_MAX + 8)

/* Longer words are near to none of ours. */
#define NEAR_MAX 64

bool name_is(const struct name *name, const char *word)
{
	return strlen(word) == name->len && memcmp(name->text, word, name->len) == 0;
}

/* The option's name inside of its section. */
static const char *own_name(const struct conf_option *option)
{
	const char *dot = strchr(option->name, '.');

	return dot ? dot + 1 : option->name;
}

static bool is_nested(const struct conf_option *option)
{
	return own_name(option) != option->name;
}

static bool has_prefix(const struct conf_option *option, const char *prefix, size_t len)
{
	return strncmp(option->name, prefix, len) == 0 && option->name[len] == '.';
}

static bool stands_here(const struct scope *scope, const struct conf_option *option)
{
	bool global = option->flags & OPTION_GLOBAL;
	bool defaults = scope->kind == SCOPE_DEFAULTS || scope->outer == SCOPE_DEFAULTS;

	if (defaults && (option->flags & OPTION_NO_DEFAULTS))
		return false;

	switch (scope->kind) {
	case SCOPE_MAIN:
		return global && !is_nested(option);
	case SCOPE_DEFAULTS:
	case SCOPE_SERVICE:
		return !global && !is_nested(option);
	case SCOPE_NESTED:
		return has_prefix(option, scope->prefix, scope->prefix_len);
	default:
		return false;
	}
}

const struct conf_option *scope_find_anywhere(const struct name *name)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (name_is(name, own_name(o)))
			return o;
	}
	return NULL;
}

const struct conf_option *scope_find_nested(const struct name *name)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (is_nested(o) && has_prefix(o, name->text, name->len))
			return o;
	}
	return NULL;
}

/* "; did you mean 'x'?" in *buf, if anything is near enough. */
static void suggest(
	const struct name *name, const char *const *candidates, char *buf, size_t size)
{
	char word[NEAR_MAX + 1];
	const char *near;

	if (name->len > NEAR_MAX)
		return;
	memcpy(word, name->text, name->len);
	word[name->len] = '\0';

	near = text_nearest(word, candidates);
	if (near)
		snprintf(buf, size, "; did you mean '%s'?", near);
}

static void tell_unknown(const char *what, const struct name *name,
	const char *const *candidates, struct diag_list *diags)
{
	char hint[NEAR_MAX + 32] = "", shown[DIAG_SHOWN_MAX];

	/* A suggestion takes time, and a file may have a million mistakes. */
	if (!diag_list_full(diags))
		suggest(name, candidates, hint, sizeof hint);
	diag_error(diags, &name->origin, "unknown %s '%s'%s", what,
		diag_shown(name->text, name->len, shown), hint);
}

/* What other super-servers call it, where no name of ours is near. */
static bool tell_foreign(const struct name *name, struct diag_list *diags)
{
	static const struct {
		const char *word, *ours;
	} words[] = {
		{"server", "write exec = { PROGRAM, ARGUMENT, ... }"},
		{"server_args", "write exec = { PROGRAM, ARGUMENT, ... }"},
		{"port", "write listen = tcp:PORT"},
		{"protocol", "write listen = tcp:PORT or udp:PORT"},
		{"socket_type", "write listen = tcp:PORT or udp:PORT"},
		{"interface", "write listen = tcp:ADDRESS:PORT"},
		{"bind", "write listen = tcp:ADDRESS:PORT"},
		{"type", "for INTERNAL write builtin = echo, discard, chargen, daytime or "
			 "time; for "
			 "TCPMUX tcpmux = yes"},
		{"id", "it is the name behind 'service'"},
		{"flags", "write sensor, nodelay, keepalive or reuse_port = yes; NAMEINARGS is "
			  "argv0, IDONLY ident = required"},
		{"cps", "write rate = COUNT/s; who comes too early waits"},
		{"deny_time", "write ban_time = TIME; it was in minutes, so 60 is 60min"},
		{"libwrap", "write hosts_access = yes"},
		{"log_type", "every connection is logged, see hatchd(8)"},
		{"rlimit_as", "write rlimit { as = SIZE }"},
		{"rlimit_cpu", "write rlimit { cpu = TIME }"},
		{"rlimit_data", "write rlimit { data = SIZE }"},
		{"rlimit_files", "write rlimit { nofile = COUNT }"},
		{"rlimit_rss", "write rlimit { rss = SIZE }"},
		{"rlimit_stack", "write rlimit { stack = SIZE }"},
		{"accept_max", "write instances = COUNT"},
		{"service_max", "write rate = COUNT/min"},
		{"ip_max", "write per_source_rate = COUNT/min"},
		{"IPAddressAllow", "write only_from = ADDRESS"},
		{"IPAddressDeny", "write no_access = ADDRESS"},
		{"MaxConnections", "write instances = COUNT"},
		{"MaxConnectionsPerSource", "write per_source = COUNT"},
		{"PollLimitBurst", "write rate = COUNT/TIME"},
		{"PollLimitIntervalSec", "write rate = COUNT/TIME"},
		{"TriggerLimitBurst", "write rate = COUNT/TIME"},
		{"TriggerLimitIntervalSec", "write rate = COUNT/TIME"},
		{"RuntimeMaxSec", "write time_limit = TIME"},
		{"TimeoutStartSec", "write ready_timeout = TIME, with notify = yes"},
		{"TimeoutStopSec", "write kill_after = TIME"},
		{"allow", "write only_from = ADDRESS"},
		{"deny", "write no_access = ADDRESS"},
		{"max_connections", "write instances = COUNT"},
		{"rate_limit", "write rate = COUNT/TIME"},
		{"timeout", "write time_limit, first_byte_timeout or idle_timeout = TIME"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!name_is(name, words[i].word))
			continue;
		diag_error(diags, &name->origin, "unknown option '%s'; %s", words[i].word,
			words[i].ours);
		return true;
	}
	return false;
}

static void tell_unknown_option(
	const struct scope *scope, const struct name *name, struct diag_list *diags)
{
	const char *candidates[CANDIDATES_MAX];
	size_t n = 0;

	if (tell_foreign(name, diags))
		return;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (stands_here(scope, o))
			candidates[n++] = own_name(o);
	}
	candidates[n] = NULL;

	/* Where next to nothing may stand, any option is what was meant. */
	if (scope->kind == SCOPE_MAIN || scope->kind == SCOPE_FILE) {
		n = 0;
		for (const struct conf_option *o = conf_options; o->name; o++) {
			if (!is_nested(o))
				candidates[n++] = o->name;
		}
		candidates[n] = NULL;
	}
	tell_unknown("option", name, candidates, diags);
}

/* Its section is there, in a place where that cannot be. */
static bool is_of_section(const struct scope *scope, const struct conf_option *option)
{
	return scope->kind == SCOPE_NESTED && is_nested(option) &&
	       has_prefix(option, scope->prefix, scope->prefix_len);
}

/* It exists, but not here: say where. */
static void tell_misplaced(const struct scope *scope, const struct conf_option *option,
	const struct origin *origin, struct diag_list *diags)
{
	const char *name = own_name(option);
	int prefix_len = (int)(name - option->name) - 1;

	if (is_of_section(scope, option))
		diag_error(diags, origin,
			"section '%.*s' has no defaults; it belongs in each service",
			prefix_len, option->name);
	else if (is_nested(option))
		diag_error(diags, origin, "option '%s' belongs in '%.*s { }'", name, prefix_len,
			option->name);
	else if (option->flags & OPTION_GLOBAL)
		diag_error(diags, origin,
			"option '%s' belongs in the main file, outside of sections", name);
	else if (scope->kind == SCOPE_NESTED)
		diag_error(diags, origin,
			"option '%s' does not belong in '%.*s { }'; put it outside", name,
			(int)scope->prefix_len, scope->prefix);
	else if (option->flags & OPTION_NO_DEFAULTS)
		diag_error(diags, origin,
			"option '%s' has no default; it belongs in each service", name);
	else
		diag_error(diags, origin,
			"option '%s' belongs in a service or in 'defaults { }'", name);
}

/* Names that look like options but are something else. */
static bool tell_no_option(const struct name *name, struct diag_list *diags)
{
	const char *dot = memchr(name->text, '.', name->len);

	if (name_is(name, "service") || name_is(name, "defaults") || scope_find_nested(name)) {
		diag_error(diags, &name->origin,
			"'%.*s' is a section, not an option; write '%.*s%s { ... }'",
			(int)name->len, name->text, (int)name->len, name->text,
			name_is(name, "service") ? " NAME" : "");
		return true;
	}
	if (name_is(name, "include") || name_is(name, "include_dir")) {
		diag_error(diags, &name->origin, "write '%.*s(\"NAME\")'", (int)name->len,
			name->text);
		return true;
	}
	for (const struct conf_option *o = conf_options; dot && o->name; o++) {
		if (!name_is(name, o->name))
			continue;
		diag_error(diags, &name->origin, "write '%.*s { %s = ... }'",
			(int)(dot - name->text), name->text, own_name(o));
		return true;
	}
	return false;
}

/* Outside of nested sections options have the names of the table. */
static const struct conf_option *find_exactly(const struct name *name)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		/* Most names differ at once. */
		if (o->name[0] == name->text[0] && name_is(name, o->name))
			return o;
	}
	return NULL;
}

const struct conf_option *scope_find_option(
	const struct scope *scope, const struct name *name, struct diag_list *diags)
{
	const struct conf_option *elsewhere = NULL, *exact = find_exactly(name);

	if (exact && !is_nested(exact) && stands_here(scope, exact))
		return exact;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!name_is(name, own_name(o)))
			continue;
		if (stands_here(scope, o))
			return o;
		if (is_of_section(scope, o)) {
			elsewhere = o;
			break;
		}
		/* `rlimit.nice` is not what a misplaced `nice` means. */
		if (!elsewhere || is_nested(elsewhere))
			elsewhere = o;
	}

	if (elsewhere)
		tell_misplaced(scope, elsewhere, &name->origin, diags);
	else if (!tell_no_option(name, diags))
		tell_unknown_option(scope, name, diags);
	return NULL;
}

/* Names of nested sections that services have, each once; the table keeps a section together.
 */
static size_t add_nested(char names[][NEAR_MAX + 1], const char **candidates, size_t max)
{
	const struct conf_option *last = NULL;
	size_t n = 0;

	for (const struct conf_option *o = conf_options; o->name && n < max; o++) {
		size_t len = (size_t)(own_name(o) - o->name);

		if (o->flags & OPTION_GLOBAL || len == 0 || len > NEAR_MAX ||
			(last && has_prefix(last, o->name, len - 1)))
			continue;
		memcpy(names[n], o->name, len - 1);
		names[n][len - 1] = '\0';
		candidates[n] = names[n];
		last = o;
		n++;
	}
	return n;
}

/* It exists, but not here: say where. */
static void tell_misplaced_section(
	const struct conf_option *first, const struct name *name, struct diag_list *diags)
{
	diag_error(diags, &name->origin, "section '%.*s' belongs in %s", (int)name->len,
		name->text,
		first->flags & OPTION_GLOBAL ? "the main file, outside of other sections"
					     : "a service or in 'defaults { }'");
}

void scope_tell_section(
	const struct scope *scope, const struct name *name, struct diag_list *diags)
{
	enum { NESTED_MAX = 16 };
	static const char *const outside[] = {"service", "defaults", "accounting", NULL};
	const struct conf_option *first = scope_find_nested(name);
	const char *candidates[NESTED_MAX + 1];
	char names[NESTED_MAX][NEAR_MAX + 1];

	if (first && scope->kind != SCOPE_NESTED) {
		tell_misplaced_section(first, name, diags);
		return;
	}
	switch (scope->kind) {
	case SCOPE_MAIN:
	case SCOPE_FILE:
		tell_unknown("section", name, outside, diags);
		break;
	case SCOPE_DEFAULTS:
	case SCOPE_SERVICE:
		candidates[add_nested(names, candidates, NESTED_MAX)] = NULL;
		tell_unknown("section", name, candidates, diags);
		break;
	default:
		diag_error(diags, &name->origin, "there are no sections in '%.*s { }'",
			(int)scope->prefix_len, scope->prefix);
		break;
	}
}

void scope_tell_call(const struct name *name, struct diag_list *diags)
{
	static const char *const calls[] = {"include", "include_dir", NULL};

	tell_unknown("command", name, calls, diags);
}
