/*
 * process: what the kernel tells of a process in /proc.
 *
 * A process is held by its folder there.  Whatever is read through that is of the one process
 * that had the number when the folder was opened, or fails with ESRCH; and a signal that is
 * sent by it (process_signal()) reaches that one, or nobody.  So no number that has changed
 * hands meanwhile does harm.
 *
 * What is read was written by the kernel, but names, and the environment, are the process's
 * own: bytes of any kind.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_PROCESS_H
#define HATCHD_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Room for its name and a NUL, as in PR_SET_NAME. */
#define PROCESS_NAME_MAX 16

struct process_stat {
	char name[PROCESS_NAME_MAX]; /* any bytes but NUL */
	char state;                  /* 'Z': it has ended, and only its number is left */
	pid_t parent;                /* 0: it has none here */
	pid_t session;               /* the same of one that is not seen here */
	uint64_t start;              /* ticks since the machine was */
};

/* Its folder, the caller's.  Negative errno; -ENOENT: there is none of that number. */
int process_open(pid_t pid);

/*
 * Read that file of its folder, as much as there is room for, with a NUL behind it.  Returns
 * the length, or a negative errno: -ESRCH, it has ended; -EACCES, it is somebody else's.
 * The environment is read from its memory, which it can delay.
 */
ssize_t process_read(int folder, const char *file, char *buf, size_t size);

/* 0 or a negative errno. */
int process_look(int folder, struct process_stat *ret);

/* The user that it is, from its file `status`.  0 or a negative errno. */
int process_user(int folder, uid_t *ret);

/* 0 or a negative errno. */
int process_signal(int folder, int signal);

/* How long it has lived, usec, at that time of clock_boot(). */
uint64_t process_age(const struct process_stat *stat, uint64_t boot);

/* What these files say.  -EBADMSG: it is not to be understood. */
int process_parse_stat(const char *text, struct process_stat *ret);
int process_parse_user(const char *status, uid_t *ret);

/* The value of the first entry of that name, with its NUL, in an environment of `len` bytes
 * and a NUL behind them; NULL: there is none. */
const char *process_find_env(const char *env, size_t len, const char *name);

#endif
