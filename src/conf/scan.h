/*
 * scan: what stands in a configuration file, and where.
 *
 * Goes through a text once and finds every mistake of spelling, names, places,
 * doubles and shape.  The result is a list of items with their places, in the
 * order of the file, and holds only what is right: a mistaken assignment,
 * include or section is left out, so that the rest can still be understood
 * and judged; of a mistaken assignment it is known that there was one, so that
 * nobody misses it.  It holds no values: that is libconfuse's work (conf/parse).
 *
 * After a mistake that makes the structure unsure the file is `broken`: the
 * rest of it is not judged and its items are of no use.
 *
 * Close to linear in the length of the text.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_SCAN_H
#define HATCHD_CONF_SCAN_H

#include "conf/diag.h"
#include "conf/lex.h"
#include "conf/options.h"

/* Bounds (I9): each is an error with a message of its own when passed. */
#define CONF_VALUES_MAX   1000000 /* values in one file */
#define CONF_SERVICES_MAX 65536   /* services of all files */
#define CONF_NAME_MAX     64      /* characters of a service's name */

enum scan_kind {
	SCAN_SERVICE,  /* token: its name */
	SCAN_DEFAULTS, /* token: the word */
	SCAN_NESTED,   /* token: its name; in one of the two above */
	SCAN_CLOSE,    /* of the innermost of the three */
	SCAN_ASSIGN,   /* token: the option's name; its values follow */
	SCAN_MISTAKEN, /* token: a name in a section; what it assigns is mistaken */
	SCAN_VALUE,
	SCAN_INCLUDE, /* token: the name in parentheses */
	SCAN_INCLUDE_DIR,
};

struct scan_item {
	enum scan_kind kind;
	bool append;    /* SCAN_ASSIGN: += */
	uint32_t start; /* bytes of the token, quotes included */
	uint32_t end;
	uint32_t line;
	uint32_t column;
	uint32_t width;
	const struct conf_option *option; /* SCAN_ASSIGN; SCAN_MISTAKEN: NULL if unknown */
};

struct scan {
	struct scan_item *items;
	size_t n_items;
	size_t size; /* room for that many */
	bool broken;
};

/* What must be unique over all files. */
struct scan_names {
	void *services; /* tree of names, without regard to case */
	size_t n_services;
	struct origin defaults; /* of the first `defaults`; no file: none yet */
};

void scan_names_init(struct scan_names *names);
void scan_names_done(struct scan_names *names);

/*
 * Scan the text of `source` into *ret, to be released with scan_done();
 * mistakes go to `diags`.  0 or -ENOMEM.
 */
int scan_source(const struct source *source, struct scan_names *names, struct diag_list *diags,
	struct scan *ret);
void scan_done(struct scan *scan);

/*
 * The items as a text in the same language, each on its line, without
 * comments or anything else that needs judgement: what libconfuse is given.
 * Fresh memory in *ret_text.  0 or -ENOMEM.
 */
int scan_write(
	const struct source *source, const struct scan *scan, char **ret_text, size_t *ret_len);

struct origin scan_origin(const struct source *source, const struct scan_item *item);

#endif
