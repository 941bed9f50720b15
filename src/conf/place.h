/*
 * place: files and directories as a service will find them, inside its root
 * directory if it has one.
 *
 * Opens with O_PATH only: looking at a file must not start a tape drive.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_PLACE_H
#define HATCHD_CONF_PLACE_H

#include "conf/memo.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * Open `path` (absolute) below `root`; NULL or "/" for the real one.  Symbolic
 * links cannot lead out of it.  A descriptor owned by the caller, or a
 * negative errno.
 */
int place_open(const char *root, const char *path);

/* Open `path` for reading if it is a regular file: nothing else is opened, that could start a
 * tape drive.  A descriptor owned by the caller; -EISDIR, -ENOTSUP for what is neither, or
 * another negative errno. */
int place_open_regular(const char *path);

/*
 * What is asked of a place of a service, for a memo: fresh memory, or NULL
 * without.  `what` says what is asked, in one word.
 */
char *place_question(const char *what, const char *root, const char *path);

/* 0 if there is a directory, else a negative errno.  Asked once per memo. */
int place_check_directory(struct memo *memo, const char *root, const char *path);

/* The directory that holds `path` (absolute): fresh memory, or NULL without. */
char *place_parent(const char *path);

/* Who may change what a service runs without being asked for. */
struct place_owners {
	uid_t uid; /* besides root */
	gid_t gid; /* besides group 0, unless uid is 0 */
};

/*
 * Look for somebody else who could put other bytes where `path` is: as owner,
 * by its permissions, or by those of a directory above it.  Symbolic links are
 * followed one by one, and each is judged with the directories on its way.
 * True with the first writable file or directory in *ret (to be freed; NULL
 * without memory).  Where the path ends early, so does the judgement.  Asked
 * once per memo.
 */
bool place_writable_by_others(struct memo *memo, const char *root, const char *path,
	const struct place_owners *owners, char **ret);

#endif
