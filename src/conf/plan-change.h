/*
 * plan-change: what is different about a service, in words, for conf/plan.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_PLAN_CHANGE_H
#define HATCHD_CONF_PLAN_CHANGE_H

#include "conf/diff.h"

/*
 * Append one phrase for each change: "instances 512 -> 100", "user 'www' has
 * another number now: 33 (was 1000)".  `listen` is left to the addresses, and
 * a change of state to whoever heads the lines.  0 or -ENOMEM.
 */
int plan_changes(const struct service_conf *old, const struct service_conf *new,
	const struct diff_service *diff, char ***phrases);

/* The same for options outside of services. */
int plan_global_changes(const struct conf *old, const struct conf *new, char ***phrases);

#endif
