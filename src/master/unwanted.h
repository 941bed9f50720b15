/*
 * unwanted: sockets that the service manager has handed over, and that no service of the
 * configuration in force has a use for.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_UNWANTED_H
#define HATCHD_MASTER_UNWANTED_H

struct master;

/* Close them, with a warning for each. */
void close_unwanted(struct master *master);

#endif
