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

/* Services whose sockets are open. */
size_t announce_served(const struct master *master);

#endif
