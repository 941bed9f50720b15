/*
 * wrappers-file: hosts.allow and hosts.deny (hosts_access(5)) as words with their places.
 *
 * Splits a file into rules, and a rule into its lists and options; what the words mean is not
 * judged here.  Lines are joined and split as tcp_wrappers does it.  A line that it would skip
 * is a mistake: nobody can know what it was for.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_WRAPPERS_FILE_H
#define HATCHD_CONF_WRAPPERS_FILE_H

#include "conf/report.h"

/* Bytes of the largest file. */
#define WRAPPERS_FILE_MAX (UINT32_C(1) << 20)

struct wrappers_word {
	char *text; /* owned */
	struct origin origin;
};

struct wrappers_field {
	struct wrappers_word *words; /* owned */
	size_t n;
};

struct wrappers_entry {
	struct origin origin; /* where it begins */
	struct wrappers_field daemons, clients;
	struct wrappers_field options; /* each a word with what follows it, trimmed */
};

struct wrappers_file {
	struct wrappers_entry *entries; /* owned */
	size_t n;
	bool mistaken; /* and that was told */
};

/*
 * What the text says; it is as lex_find_fault() wants it or that is told.  Origins borrow the
 * name of the file from `source`.  0 or -ENOMEM, with which what there is stays to be freed.
 */
int wrappers_file_parse(
	const struct source *source, struct report *report, struct wrappers_file *ret);

void wrappers_file_done(struct wrappers_file *file);

/* Is it that word, in capital or small letters? */
bool wrappers_is_word(const char *text, const char *word);

#endif
