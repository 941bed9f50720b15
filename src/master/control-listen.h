/*
 * control-listen: the control socket itself, which is opened at the start, and again after a
 * reload where somebody has removed it.
 *
 * To have none is no reason not to serve.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONTROL_LISTEN_H
#define HATCHD_MASTER_CONTROL_LISTEN_H

#include <stdint.h>

struct master;

/* Open the socket if there is to be one.  A failure is logged. */
void control_open(struct master *master);

/* The same with one that the image of hatchd before us had open, if it had (-EBADF: no), with
 * its path and whoever is in its queue. */
void control_resume(struct master *master, int fd, uint64_t dev, uint64_t ino);

/* After a reload: open it if it is not there, or no longer; give it to the group of now. */
void control_refresh(struct master *master);

/* Another hatchd answers at the path from now on; whoever is connected stays. */
void control_leave_path(struct master *master);

#endif
