/*
 * prove: show that this program could take the place of a hatchd that serves.
 *
 * Before one image of hatchd executes the next, the next one is started as a child of its own,
 * with the same arguments, and with what it would be given (master/handover): it reads that,
 * says which version it is, and becomes its own loader, which reads the configuration.  So a
 * program that cannot be executed, crashes, hangs, is no hatchd, or does not like the files, is
 * found out while the old one still serves.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_PROVE_H
#define HATCHD_MASTER_PROVE_H

#include <stdint.h>

/* The first of its arguments: whoever does not know it refuses it. */
#define PROVE_OPTION "--prove"

/* Behind the two of every loader. */
#define PROVE_HANDOVER_FD 5
#define PROVE_ANSWER_FD   6

/* Which version it is, and which file: what is executed later has to be the same. */
struct prove_answer {
	char version[32]; /* with a NUL */
	uint64_t dev, ino;
	uint64_t changed; /* nsec of its last change, as stat(2) has it */
};

/* Of that file, but for the version.  0 or a negative errno. */
int prove_identify(int fd, struct prove_answer *ret);

/* Do so; `argv` is that of main().  Returns the exit status if it comes to no loader. */
int prove(char **argv);

#endif
