/*
 * diag: what is wrong with a configuration, said like a compiler says it.
 *
 *	upper.conf:4:2: error: unknown option 'instance'; did you mean 'instances'?
 *	    4 |         instance = 40
 *	      |         ^~~~~~~~
 *
 * Mistakes are collected, never stopped at, and printed in the order of files
 * and lines.  The list is bounded: what does not fit is counted.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_DIAG_H
#define HATCHD_CONF_DIAG_H

#include "base/own.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where something was written.  `file` is borrowed from whoever keeps the
 * files (struct source, struct conf, or a literal such as "command line"). */
struct origin {
	const char *file; /* NULL: nowhere, made by the program itself */
	uint32_t line;    /* from 1; 0: the file as a whole */
	uint32_t column;  /* from 1, in characters; a tab is one; 0: the whole line */
	uint32_t width;   /* characters to underline, at least 1 */
};

/*
 * What counts as one column: a byte and the UTF-8 continuation bytes after it,
 * whether or not they are valid.  True for a byte that makes no column.
 */
static inline bool origin_same_column(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

enum diag_severity {
	DIAG_ERROR,     /* refuses the file it is in */
	DIAG_CONDITION, /* one service waits: the world is not as the file expects */
	DIAG_WARNING,   /* served, but look at it */
	DIAG_NOTE,      /* explains the one before it; stays attached to it */
};

/* The text of a file, kept while its lines may have to be shown. */
struct source {
	char *path; /* as shown in messages; owned */
	char *text; /* owned; NUL-terminated, but may hold NULs inside */
	size_t len;
	bool main;    /* the file given with -f, whose errors refuse everything */
	bool refused; /* has errors: its services are left out */
	struct source *next;
};

#define DIAG_MAX 200

struct diag {
	enum diag_severity severity;
	struct origin origin;
	char *text;
};

struct diag_list {
	struct diag items[DIAG_MAX];
	size_t n;
	size_t n_by_severity[4]; /* also counts those that did not fit */
};

void diag_list_init(struct diag_list *list);
void diag_list_done(struct diag_list *list);

/* Add one; the text is formatted at once.  Never fails: without memory only
 * the count grows. */
void diag_add(struct diag_list *list, enum diag_severity severity, const struct origin *origin,
	const char *format, ...) _printf_(4, 5);

/* The list takes no more: what costs time to say well need not be said. */
bool diag_list_full(const struct diag_list *list);

/*
 * Text out of a file as a message may show it: escaped, cut to a length that
 * can be read.  Returns buf.
 */
#define DIAG_SHOWN_MAX 72
const char *diag_shown(const char *text, size_t len, char buf[DIAG_SHOWN_MAX]);

#define diag_error(list, origin, ...)   diag_add(list, DIAG_ERROR, origin, __VA_ARGS__)
#define diag_warning(list, origin, ...) diag_add(list, DIAG_WARNING, origin, __VA_ARGS__)
#define diag_note(list, origin, ...)    diag_add(list, DIAG_NOTE, origin, __VA_ARGS__)

/*
 * Print all with the lines they speak of (from `sources`), sorted by file (in
 * the order of `sources`; others after them) and position.  `colour` uses
 * terminal colours.  Whatever bytes the files and messages hold, only text
 * that is harmless on a terminal comes out.
 */
void diag_print(
	const struct diag_list *list, const struct source *sources, bool colour, FILE *out);

#endif
