/*
 * account_file: a file that lines are added to, and that is put aside when it is large.
 *
 * There are whole lines in it, whatever happens: what finds no room is taken back, and where
 * another process has left half a line, it is ended first.  Its name leads to nothing but a
 * regular file, in a folder where nobody else may put anything.
 *
 *	FILE -> FILE.1 -> FILE.2 -> ... -> FILE.keep, which is no more
 *
 * Layer: os, for hatchd-account alone.
 */
#ifndef HATCHD_OS_ACCOUNT_FILE_H
#define HATCHD_OS_ACCOUNT_FILE_H

#include "os/account_wire.h"

#include <stdbool.h>
#include <sys/stat.h>

struct account_file {
	int folder; /* owned */
	char name[NAME_MAX + 1];
	uint64_t limit;
	unsigned keep;
	int fd;                 /* owned; -EBADF: it is not open */
	struct stat st;         /* of it, as it was opened */
	uint64_t size;          /* bytes in it */
	uint64_t looked;        /* usec: when it was last seen to have its name */
	enum account_step step; /* at which the last call has failed; ACCOUNT_FINE */
	int error;              /* a negative errno; 0 */
};

#define ACCOUNT_FILE_NONE ((struct account_file){.folder = -EBADF, .fd = -EBADF})

/* Find the folder of `path`, absolute; the file itself is opened when there is something to
 * write.  0; else a negative errno, and the step. */
int account_file_init(
	struct account_file *file, const char *path, uint64_t limit, unsigned keep);
void account_file_done(struct account_file *file);

/* Open the file that has its name now, and no other one.  0, or a negative errno and the step.
 */
int account_file_reopen(struct account_file *file);

/*
 * Add whole lines.  0; else a negative errno and the step, with *ret_done, which counts up in
 * any case, at what is in the file.  `now` in usec, monotonic.  That an old file cannot be put
 * aside is no failure of it: the step says so, and the file grows on.
 */
int account_file_add(struct account_file *file, const char *lines, size_t len, uint64_t now,
	size_t *ret_done);

#endif
