/*
 * recipe: a service's configuration as the spawn path wants it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_RECIPE_H
#define HATCHD_MASTER_RECIPE_H

#include "conf/conf.h"
#include "master/inherited.h"
#include "os/spawn_plan.h"

/* Fill *ret, which points into `conf` and lives no longer than it. */
void recipe_make(const struct service_conf *conf, const struct inherited *inherited,
	struct spawn_recipe *ret);

#endif
