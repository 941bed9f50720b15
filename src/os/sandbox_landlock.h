/*
 * sandbox_landlock: the part of the sandbox that Landlock is: a domain in which nothing of
 * the file system, no port, and nobody outside can be reached.
 *
 * What was opened before stays open.  Processes of other domains can neither be traced
 * nor trace this one.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SANDBOX_LANDLOCK_H
#define HATCHD_OS_SANDBOX_LANDLOCK_H

/* Versions of the interface that we know what to ask of. */
#define SANDBOX_LANDLOCK_NEWEST 6

/* The newest version that both kernel and we know; 0: none, not built, or switched off. */
int sandbox_landlock_version(void);

/*
 * Enter such a domain, with what that version can refuse: 1 files, 2 and 3 also links and
 * truncating, 4 TCP ports, 5 devices, 6 signals and abstract UNIX sockets.  SANDBOX_CONNECT
 * of `groups` leaves connecting out of it, SANDBOX_ABSTRACT the latter, SANDBOX_INTERNET TCP
 * ports, SANDBOX_FOLDER regular files in `folder`.  Negative errno on failure; -E2BIG: the
 * process is in too many of them.
 */
int sandbox_landlock_enter(int version, unsigned groups, int folder);

#endif
