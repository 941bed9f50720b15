/*
 * parse: files to raw sections.
 *
 * The only includer of <confuse.h>.  libconfuse is given bytes that
 * conf/scan has already been through: it turns words and quotes into values,
 * the scan finds mistakes and places.  Reads the main file, then what it and
 * its `include()` and `include_dir()` name, in order: names of a directory
 * sorted bytewise, only those that end in ".conf" and do not begin with a dot.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_PARSE_H
#define HATCHD_CONF_PARSE_H

#include "conf/raw.h"
#include "conf/scan.h"

/* Bounds (I9): each is an error with a message of its own when passed. */
#define CONF_FILE_MAX      (16 * 1024 * 1024) /* bytes of one file */
#define CONF_FILES_MAX     20000              /* files altogether */
#define CONF_INCLUDE_DEPTH 16                 /* files that include one another */

/*
 * Read the file at `path` and all it includes into `raw`; every file read is
 * appended to *sources (owned by the caller, source_list_free()), and so is,
 * empty, a file that could not be read.  Mistakes go to `diags` and mark their
 * file `refused`.  What of a refused file could be understood stays in `raw`,
 * so that its values are judged in the same run; whoever builds leaves its
 * services out.  0 if the main file could be read, else a negative errno that
 * `diags` tells as well, or -ENOMEM.
 */
int parse_files(const char *path, struct raw_conf *raw, struct source **sources,
	struct diag_list *diags);

/* The same for one text, as if it were the main file; includes are judged but
 * not followed: tests and fuzzers. */
int parse_text(const char *name, const char *text, size_t len, struct raw_conf *raw,
	struct source **sources, struct diag_list *diags);

/* What include() and include_dir() of one file name, in order. */
struct include {
	char *path; /* as written; owned */
	bool directory;
	struct origin origin; /* of the name */
};

struct include_list {
	struct include *items;
	size_t n;
};

void include_list_done(struct include_list *list);

/*
 * One file that has been read: scan it, take its sections into `raw` and what
 * it includes into `includes`.  `names` remembers what must be unique over all
 * files.  0 or -ENOMEM.
 */
int parse_source(struct source *source, struct scan_names *names, struct raw_conf *raw,
	struct include_list *includes, struct diag_list *diags);

void source_list_free(struct source *sources);

#endif
