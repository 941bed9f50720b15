/*
 * run: a hatchd that serves, from the start of the process to its end.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_RUN_H
#define HATCHD_MASTER_RUN_H

#include "conf/cmdline.h"

/*
 * "shared memory, clone3": how children would start on this machine.  To be freed
 * by the caller; NULL when it cannot be found out.
 */
char *master_describe_spawning(const struct cmdline *cmdline);

/* Serve until told to stop.  Returns the exit status, as hatchd(8) lists them. */
int master_run(const struct cmdline *cmdline, char **argv);

/* There is no command line to do that by: let the image of hatchd go on that has executed us in
 * its place, if there is one (master/resume). */
void master_decline(char **argv);

#endif
