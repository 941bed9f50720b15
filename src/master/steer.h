/*
 * steer: what an operator does with a service until there is a reload.
 *
 * A service that is disabled lets nobody in: its sockets are closed, so that clients are
 * refused and go elsewhere, and those it has go on.  A limit that is set is the limit from
 * then on; who is above it already stays.  A reload puts in force what the configuration
 * says, whether it has changed or not.
 *
 * Where others are chosen at its sockets (tls_name) these stay open for them, and who chooses
 * this one is refused after the handshake.
 *
 * Sockets that were handed over are kept, since they cannot be had again; the service manager
 * has them open as well, so clients wait there.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_STEER_H
#define HATCHD_MASTER_STEER_H

#include "policy/limit.h"

#include <stdbool.h>
#include <stdint.h>

struct master;
struct service;

/* What is set, and what was configured.  Counts as in service_conf. */
struct steered {
	bool has_instances, has_rate, has_per_source, has_per_source_rate;
	uint32_t per_source;
	struct limit per_source_rate;
	uint32_t old_instances;
	struct limit old_rate;
};

/* False: it serves nobody anyway, because it waits for a condition, or hatchd stops. */
bool steer_disable(struct service *service, uint64_t now);

/* Only what was disabled; what else it lacks is tried as always. */
void steer_enable(struct service *service, uint64_t now);

/* 0 or -ENOMEM. */
int steer_set_instances(struct service *service, uint32_t instances);
int steer_set_per_source(struct service *service, uint32_t per_source);
int steer_set_rate(struct service *service, const struct limit *rate);
int steer_set_per_source_rate(struct service *service, const struct limit *rate);

/* What is in force; the setup of the service is in memory. */
uint32_t steer_per_source(const struct service *service);
const struct limit *steer_per_source_rate(const struct service *service);

/* The service gets another configuration: what was set is forgotten, and limits are what that
 * one says. */
void steer_drop(struct service *service);

/* After a reload: all services are as they are configured. */
void steer_forget_all(struct master *master, uint64_t now);

#endif
