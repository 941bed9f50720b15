/*
 * plan: what a reload would do, for people.
 *
 *	upper: changed: instances 512 -> 100, user nobody -> www
 *	  kept     tcp:7777
 *	  opened   tcp:[::1]:7778
 *	old: removed (1 address closed; its children would finish)
 *	  closed   tcp:9999
 *	3 services unchanged
 *	1 kept, 1 opened, 1 closed
 *
 * Whatever texts the configurations hold, only what is harmless on a terminal
 * comes out.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_PLAN_H
#define HATCHD_CONF_PLAN_H

#include "conf/conf.h"

#include <stdio.h>

/* Print the way from `old`, which is in force, to `new`.  0, -ENOMEM or -EIO. */
int plan_print(const struct conf *old, const struct conf *new, FILE *out);

#endif
