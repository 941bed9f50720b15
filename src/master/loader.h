/*
 * loader: run hatchd-load, which reads the files so that we need not.
 *
 * libconfuse and the name service live in that process only (I2).  It gets our
 * own arguments and up to four descriptors: an empty memfd to write the configuration
 * into, the one in force to compare with, and the same two of secrets.  Nobody waits for it
 * while somebody is served: loading_start() returns at once, and the pidfd becomes readable
 * when there is an answer.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_LOADER_H
#define HATCHD_MASTER_LOADER_H

#include "conf/image.h"

#include <sys/types.h>

/* Exit status of a loader that could not be run at all; one that it never has. */
#define LOADER_NOT_RUN 120

/* The same of another program that has to prove that it can take our place, and finds that it
 * cannot read what would be handed over: it is of another version, or damaged. */
#define LOADER_OTHER_HANDOVER 121
#define LOADER_BAD_HANDOVER   122

/* Replace this process by the loader, which gets the same arguments (--check).
 * Returns only if that fails, a negative errno. */
int loader_exec(char **argv);

/*
 * Where the loader lies, to be freed by the caller.  Looked up once, before anybody
 * is served: the file system may not answer later (I2).  -ENOENT, -ENOMEM and so on.
 */
int loader_find(char **ret_path);

/* The same of hatchd itself, for an upgrade: the path by which it was executed, from that
 * folder, where that still leads to it.  NULL: it cannot be found out. */
char *loader_find_self(const char *cwd);

/* Open another program that lies where the loader does, to be run by its descriptor
 * (O_PATH): what an upgrade puts in its place is not for us.  Negative errno on failure. */
int loader_open_other(const char *name);

struct loading {
	pid_t pid;
	int pidfd;   /* owned; readable when the loader has ended; -EBADF: none runs */
	int image;   /* owned: what it writes into */
	int secrets; /* owned: and what must not be in there (conf/secrets) */
};

#define LOADING_NONE ((struct loading){.pidfd = -EBADF, .image = -EBADF, .secrets = -EBADF})

struct loading_request {
	const char *path; /* from loader_find(), or of another hatchd */
	char **argv;      /* the master's own */
	const char *cwd;  /* where it was started: relative names count from there */
	const struct image *in_force; /* NULL: there is none yet */
	bool strict;                  /* a mistake in any file is refused */
	bool to_log;     /* standard error leads nowhere: diagnostics go to the log */
	bool conditions; /* the one in force, but for conditions that are others now */
	const struct loading_proof *proof; /* NULL: it is only about the configuration */
};

/* Not our own loader is run at `path`, but another hatchd, which says whether it could take our
 * place and then has its own loader read the configuration. */
struct loading_proof {
	int handover; /* what it would be given (master/handover); borrowed, as is ... */
	int answer;   /* ... a pipe, for who it is */
};

/*
 * Start a loader.  Negative errno on failure; ret->pid is then one that has been killed
 * and is still to be reaped, which may take as long as its exec; 0 or below: there is none.
 */
int loading_start(const struct loading_request *request, struct loading *ret);

/* Wait for its end, so long at most.  -ETIME: not in time. */
int loading_wait(const struct loading *loading, int timeout_ms);

/*
 * Take the answer of a loader that has ended: 0 with *ret, the caller's; a positive
 * exit status; -ECHILD if it was killed, -EBADMSG if what it wrote is not
 * valid; other negative errno.  Nothing is left of *loading in any case.
 */
int loading_finish(struct loading *loading, struct image **ret);

/* The same of one with a proof, whose image may be of another version: both memfds are sealed,
 * there is something in the first, and they are the caller's. */
int loading_finish_proof(struct loading *loading, int *ret_image, int *ret_secrets);

/* Give up: it will end soon, and still has to be finished. */
void loading_kill(const struct loading *loading);

/* Let go of what is left; a loader that runs stays a child of ours. */
void loading_done(struct loading *loading);

/* What a result of loading_finish() means, for "unable to load ...: %s". */
const char *loading_explain(int result);

#endif
