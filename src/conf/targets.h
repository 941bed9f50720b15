/*
 * targets: what is written after `redirect`, to addresses that can be connected to.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_TARGETS_H
#define HATCHD_CONF_TARGETS_H

#include "conf/conf.h"
#include "conf/raw.h"
#include "conf/report.h"

/* Parse the values, look up names of ports; names of hosts are left for the time when a
 * client comes.  Mistakes go to the report.  0 or -ENOMEM. */
int targets_resolve(
	struct service_conf *service, const struct raw_assign *redirect, struct report *report);

/* Then: which of them is what stands after `ready` of a backend.  0 or -ENOMEM. */
int targets_find_ready(
	struct service_conf *service, const struct raw_assign *ready, struct report *report);

#endif
