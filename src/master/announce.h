/*
 * announce: say where we listen, and who can reach it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ANNOUNCE_H
#define HATCHD_MASTER_ANNOUNCE_H

#include "master/master.h"

/* Ad-hoc mode: one line per address.  Else one line with counts. */
void announce(const struct master *master);

/* Tell the service manager how many are served, after `state`: lines as of
 * sd_notify(3), each with its line feed, or none. */
void announce_status(const struct master *master, const char *state);

#endif
