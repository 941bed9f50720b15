/*
 * orphans-end: end what an earlier hatchd has left running.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_ORPHANS_END_H
#define HATCHD_HATCHCTL_STEER_ORPHANS_END_H

#include <stdint.h>

/*
 * Have those of that service (NULL: all) end, by SIGTERM.  With `kill_after` other than
 * USEC_INFINITY wait until all have, and have those killed that are left after so long.  An
 * exit status: COMMAND_FAILED also if some are left then.
 */
int orphans_end(const char *path, const char *service, uint64_t kill_after);

#endif
