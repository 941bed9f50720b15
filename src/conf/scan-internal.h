/*
 * scan-internal: what the files of conf/scan share, and nobody else.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_SCAN_INTERNAL_H
#define HATCHD_CONF_SCAN_INTERNAL_H

#include "conf/scan.h"
#include "conf/scope.h"

/* Sections in sections, known or not. */
#define SCAN_DEPTH_MAX 8

/* An open section; the outermost is the file itself. */
struct frame {
	struct scope scope;
	struct token name;  /* its keyword */
	struct token title; /* TOKEN_END: it has none */
	struct origin brace;
	size_t first; /* its own item, from which on items go if it is dropped */
	bool dropped; /* has been told to be mistaken as a whole */
};

/* Where something stood first in the current section; line 0: not yet. */
struct first {
	uint32_t line;
	uint32_t column;
	uint32_t width;
};

struct scanner {
	const struct source *source;
	struct diag_list *diags;
	struct scan_names *names;
	struct scan *scan;
	struct lex lex;
	struct token token; /* the one to be looked at next */
	struct frame frames[SCAN_DEPTH_MAX];
	size_t depth;
	size_t n_values;
	uint32_t value_line; /* where the last value stood; 0: a section came since */
	/* The option that it was of; NULL: mistaken, and told. */
	const struct conf_option *value_option;
	struct first *options; /* by table index */
	struct first *nested;  /* by table index of the section's first option */
	int error;             /* 0 or -ENOMEM; like a broken text, it ends the scan */
};

static inline struct frame *scanner_frame(struct scanner *s)
{
	return &s->frames[s->depth - 1];
}

/* Go to the next token. */
void scanner_next(struct scanner *s);

bool scanner_stopped(const struct scanner *s);

/* A mistake after which the structure is unsure: tell it and stop. */
void scanner_fail(struct scanner *s, const struct origin *origin, const char *format, ...)
	_printf_(3, 4);

/* Append an item for the token; `option` for SCAN_ASSIGN and SCAN_MISTAKEN only. */
void scanner_push(struct scanner *s, enum scan_kind kind, const struct token *token,
	const struct conf_option *option);

struct name scanner_name(const struct scanner *s, const struct token *token);

/* The text of a token for a message. */
const char *scanner_shown(
	const struct scanner *s, const struct token *token, char buf[DIAG_SHOWN_MAX]);

/*
 * Remember a first occurrence.  True if it is a repetition: told with `what`
 * and a note.
 */
bool scanner_repeats(
	struct scanner *s, struct first *first, const struct token *token, const char *what);

/* What follows a name; the current token is the one after it. */
void scan_assignment(struct scanner *s, const struct token *name);
void scan_call(struct scanner *s, const struct token *name);
void scan_open(struct scanner *s, const struct token *name, const struct token *title);

/* The current token is the closing brace. */
void scan_close(struct scanner *s);

/* "service upper" or "defaults": the section as a message names it. */
#define SCAN_LABEL_MAX (2 * DIAG_SHOWN_MAX)
const char *scan_label(
	const struct scanner *s, const struct frame *frame, char buf[SCAN_LABEL_MAX]);

/* Something that cannot stand in the section around it: its '}' will be missing. */
void scan_fail_inside(struct scanner *s, const struct token *name);

/* A service that is known by its name. */
struct known_service {
	struct origin origin;
	char name[];
};

/* 0, -EEXIST with the one that is there already in *ret, or -ENOMEM. */
int scan_names_add(
	struct scan_names *names, const struct name *name, const struct known_service **ret);

#endif
