/*
 * starve: services that found no free slot, or no child record, for a client.
 *
 * Both come free when a child of any service has started or ended, or when a reload
 * allows more: so such a service does not wait for a time.  It looks away from its
 * sockets, which stay open (I3), until that happens (I6).  Then all of them look
 * again; who comes too late is back here.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_STARVE_H
#define HATCHD_MASTER_STARVE_H

struct master;
struct service;

/* A slot was missing: service_update() now, and again as soon as one is free. */
void service_starve(struct service *service);

/* It waits for none any longer; without service_update().  Nothing happens if it
 * does not wait. */
void service_unstarve(struct service *service);

/* A slot came free (master->slot_came_free): give it to those that lacked one. */
void services_feed(struct master *master);

#endif
