/*
 * source: files, read whole and only if they may be trusted.
 *
 * Never blocks on what is not a regular file.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_SOURCE_H
#define HATCHD_CONF_SOURCE_H

#include "conf/diag.h"

#include <sys/types.h>

/* Which file it is, whatever its name. */
struct source_id {
	dev_t dev;
	ino_t ino;
};

/* A source without text, appended to the list.  NULL without memory. */
struct source *source_add(struct source ***tail, const char *path);

/*
 * Read the file `name`, below the open directory `at` or AT_FDCWD, into
 * `source`.  0, or a negative errno with a text for people
 * in *reterr (a literal, to follow "unable to read FILE: "): -EISDIR, -ENOTSUP
 * (not a file), -EFBIG, -EPERM (others may write to it) and what open(2) and
 * read(2) say.
 */
int source_read(struct source *source, int at, const char *name, struct source_id *ret_id,
	const char **reterr);

#endif
