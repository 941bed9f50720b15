/*
 * setup: one version of a service's configuration, in force for somebody.
 *
 * The service holds the version that its next child will be started with;
 * each child holds the one it was started with, for as long as it lives.  So a
 * reload changes nothing under a running program, and nothing goes away under
 * a child that still reads its plan.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_SETUP_H
#define HATCHD_MASTER_SETUP_H

#include "conf/conf.h"
#include "master/inherited.h"
#include "os/spawn_plan.h"

struct setup {
	struct service_conf *conf;  /* owned, immutable */
	struct spawn_recipe recipe; /* points into conf */
	unsigned n_holders;
};

/* A version with one holder, the caller, that takes over `conf`.  Without memory
 * NULL, and `conf` is still the caller's. */
struct setup *setup_new(struct service_conf *conf, const struct inherited *inherited);

struct setup *setup_hold(struct setup *setup);

/* Let go; the last one to do so frees it.  NULL is nobody's. */
struct setup *setup_release(struct setup *setup);

#endif
