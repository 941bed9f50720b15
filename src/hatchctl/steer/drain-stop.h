/*
 * drain-stop: have hatchd itself drain and stop, and wait until it has.
 *
 * It goes on by itself, whether somebody waits or not.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_DRAIN_STOP_H
#define HATCHD_HATCHCTL_STEER_DRAIN_STOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct drain_stop {
	const char *path;        /* of the socket; borrowed */
	const sigset_t *signals; /* that end the waiting; blocked */
	uint64_t timeout;        /* usec; USEC_INFINITY: none */
	bool kills;              /* those who are left then, whatever `stop` says */
	bool shows;              /* how it goes, on a terminal */
};

/* COMMAND_DONE: everybody had gone, and so has hatchd; else a status after a message. */
int drain_stop(const struct drain_stop *how);

#endif
