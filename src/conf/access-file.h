/*
 * access-file: the lists of addresses that only_from and no_access name with file:PATH.
 *
 * One element in a line, as access-word reads it; blanks, empty lines and comments
 * count for nothing, and a list names no other one.  Each file is read once, however many
 * services name it, and only if it may be trusted, as all files of a configuration are.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ACCESS_FILE_H
#define HATCHD_CONF_ACCESS_FILE_H

#include "conf/access-word.h"
#include "conf/report.h"

/* The name in an element that names a file, which may be ""; NULL if it names none. */
const char *access_names_file(const char *word);

/* Where the file of that name is, as seen from the file that `origin` is in: fresh memory.
 * NULL without. */
char *access_file_path(const char *name, const struct origin *origin);

/* One file, read. */
struct access_file {
	struct access_rules rules; /* lines only; they allow */
	struct origin name_at;     /* of the first name among them */
	struct origin cert_at;     /* of the first rule about certificates */
	bool mistaken;             /* and that was told */
	char *condition;           /* the first of its lines; NULL: none */
	struct access_file *next;
};

/* All that were read while one configuration is built. */
struct access_files {
	struct textmap known; /* path to struct access_file */
	struct access_file *list;
	struct source **sources;
};

/* Files that diagnostics speak of go to the end of `sources`, for their lines to be shown;
 * its owner frees them. */
void access_files_init(struct access_files *files, struct source **sources);
void access_files_done(struct access_files *files);

/*
 * What the file says, read when it is asked for first.  `origin` is who names it, and is
 * told of if the file cannot be read or lists nobody.  Borrowed; NULL without memory.
 */
const struct access_file *access_files_get(struct access_files *files,
	struct identities *identities, struct report *report, const char *path,
	const struct origin *origin);

#endif
