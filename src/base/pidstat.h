/*
 * pidstat: the line that the kernel has for a process in /proc/PID/stat, taken apart.
 *
 * The name in it is the process's own: any bytes, with brackets, blanks and newlines.  What
 * follows has none of these.  Pure: whoever reads the file says of which process it is.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_PIDSTAT_H
#define HATCHD_BASE_PIDSTAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pidstat {
	const char *name; /* in the text, without an end of its own ... */
	size_t name_len;  /* ... but for so long */
	char state;       /* 'Z': it has ended, and only its number is left */
	pid_t parent;     /* 0: it has none here */
	pid_t session;    /* 0: it has none here */
	uint64_t user;    /* ticks that its own code has taken, ... */
	uint64_t system;  /* ... and the kernel for it */
	uint64_t start;   /* ticks since the machine was */
	uint64_t pages;   /* that are resident, those shared with others too */
};

/* 0; -EBADMSG: it is not to be understood, and *ret is as it was. */
int pidstat_parse(const char *text, struct pidstat *ret);

/* So many ticks, in usec; UINT64_MAX where it would be more. */
uint64_t pidstat_usec(uint64_t ticks);

#endif
