/*
 * proc: what the kernel tells in /proc of one process.
 *
 * It is that process alone, with all its threads, but without children: what those of a shell
 * use is theirs.  A number may be that of another process by now; `started` tells them apart.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_MEASURE_PROC_H
#define HATCHD_HATCHCTL_MEASURE_PROC_H

#include "base/own.h"

#include <stdint.h>
#include <sys/types.h>

/* The kernel keeps 15 bytes of a name, with its NUL here, and more of its own threads. */
#define PROC_NAME_MAX 64

struct proc {
	char name[PROC_NAME_MAX]; /* of its program; any byte can be in it */
	pid_t parent;
	uint64_t cpu;     /* usec, its own code and the kernel for it */
	uint64_t started; /* usec since the machine was */
	uint64_t memory;  /* bytes that are resident, those shared with others too */
};

/* 0; -ENOENT or -ESRCH: there is no such process (any more); another negative errno. */
int proc_read(pid_t pid, struct proc *ret);

/* The same of a child of that process: -ESRCH if it is none, but somebody else by that number,
 * be it that numbers are others where it was told. */
int proc_read_child(pid_t pid, pid_t parent, struct proc *ret);

/* The same from the text of /proc/PID/stat, which ends with a NUL.  0, or -EBADMSG. */
int proc_parse(const char *text, struct proc *ret);

#endif
