/*
 * pause: services that look away from their sockets for a while.
 *
 * A service whose children cannot be started, or that finds no free slot, is not
 * switched off: its sockets stay open (I3), clients wait in the kernel's queue, and
 * after a while it tries again (I6).
 *
 * However many services are paused, a turn of the master looks at one number,
 * and the list is walked at most once per PAUSE_GRID.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_PAUSE_H
#define HATCHD_MASTER_PAUSE_H

#include <stdint.h>

struct master;
struct service;

/* Look away from its sockets for a while: 0.1 s, doubling up to 30 s as long as
 * service_recovered() is not called. */
void service_pause(struct service *service, const char *reason);
void service_recovered(struct service *service);

/* Have it looked at again in 0.1 s, without a word: for service_update(). */
void service_look_away(struct service *service, uint64_t now);

/* A slot was missing: service_update() again as soon as one is free. */
void service_starve(struct service *service);

/* Forget what there was against it, and do not look away any longer. */
void service_forgive(struct service *service);

/* It is going to be freed: take it off the lists of the paused and the starved. */
void service_unlink(struct service *service);

/* The time has come, master->paused_due: resume paused services. */
void services_resume(struct master *master, uint64_t now);

/* A slot came free: give it to those that lacked one. */
void services_feed(struct master *master);

#endif
