/*
 * raw: a configuration as written: sections, options and their values as text,
 * each with its place, names known to exist but values not yet judged.
 *
 * Files (conf/parse) and the command line (conf/cmdline) both end here, so
 * everything after it is one path.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_RAW_H
#define HATCHD_CONF_RAW_H

#include "conf/diag.h"

struct raw_value {
	char *text; /* unquoted, escapes resolved */
	struct origin origin;
};

/* NAME = VALUE or NAME = { VALUE, ... } or NAME += ... */
struct raw_assign {
	const struct conf_option *option; /* what it assigns; never NULL */
	bool append;                      /* += */
	bool mistaken;                    /* it has no values, and that has been told */
	struct origin origin;             /* of the name */
	struct raw_value *values;
	size_t n_values;
};

enum raw_kind {
	RAW_GLOBAL, /* options outside any section, of the main file */
	RAW_DEFAULTS,
	RAW_SERVICE,
};

/* Options of nested sections (rlimit { nofile = 100 }) stand in the section
 * around them: the option table knows each as "rlimit.nofile". */
struct raw_section {
	enum raw_kind kind;
	char *title;          /* RAW_SERVICE: its name; else NULL */
	struct origin origin; /* of the title, or of the word `defaults` */
	struct raw_assign *assigns;
	size_t n_assigns;
	bool unknown; /* there are names in it that nobody knows */
};

struct raw_conf {
	struct raw_section *sections;
	size_t n_sections;
};

void raw_conf_init(struct raw_conf *raw);
void raw_conf_done(struct raw_conf *raw);

/* The new last element, zeroed and owned by its parent, or NULL without memory. */
struct raw_section *raw_add_section(struct raw_conf *raw, enum raw_kind kind, const char *title,
	const struct origin *origin);
struct raw_assign *raw_add_assign(struct raw_section *section, const struct conf_option *option,
	bool append, const struct origin *origin);
struct raw_value *raw_add_value(
	struct raw_assign *assign, const char *text, const struct origin *origin);

#endif
