/*
 * scope: which names may stand where, and what to say about those that may not.
 *
 * All from the option table: a name with a dot, "rlimit.nofile", is the option
 * `nofile` in a section `rlimit { }` inside of a service or `defaults`.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_SCOPE_H
#define HATCHD_CONF_SCOPE_H

#include "conf/diag.h"
#include "conf/options.h"

enum scope_kind {
	SCOPE_MAIN, /* outside of sections, in the main file */
	SCOPE_FILE, /* outside of sections, in any other */
	SCOPE_DEFAULTS,
	SCOPE_SERVICE,
	SCOPE_NESTED,
	SCOPE_UNKNOWN, /* inside of a section that nobody knows: nothing is judged */
};

struct scope {
	enum scope_kind kind;
	enum scope_kind outer; /* SCOPE_NESTED: what it stands in */
	const char *prefix;    /* SCOPE_NESTED: name in the table, up to its dot; borrowed */
	size_t prefix_len;
};

/* A name as it stands in a file: not terminated. */
struct name {
	const char *text;
	size_t len;
	struct origin origin;
};

bool name_is(const struct name *name, const char *word);

/* An option of that name, whatever it belongs to; NULL if there is none. */
const struct conf_option *scope_find_anywhere(const struct name *name);

/* The option of that name that may stand here; else NULL, and it has been told. */
const struct conf_option *scope_find_option(
	const struct scope *scope, const struct name *name, struct diag_list *diags);

/* The first option of the table in a nested section of that name; NULL if
 * there is no such section. */
const struct conf_option *scope_find_nested(const struct name *name);

/* Tell that no section or no include of that name may stand here. */
void scope_tell_section(
	const struct scope *scope, const struct name *name, struct diag_list *diags);
void scope_tell_call(const struct name *name, struct diag_list *diags);

#endif
