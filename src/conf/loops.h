/*
 * loops: services that pass their clients on to themselves, by way of each other or at once.
 * Each client would make another one, until nothing is left.
 *
 * What can be seen from here are addresses that are the same, and those of this machine
 * itself (127.0.0.0/8, ::1) where a service listens on all.  Other addresses of this machine,
 * and what others do with clients that they are passed, cannot.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_LOOPS_H
#define HATCHD_CONF_LOOPS_H

#include "conf/conf.h"
#include "conf/report.h"

/* A mistake for each service that closes a loop.  Time grows with the number of addresses and
 * targets.  0 or -ENOMEM. */
int loops_check(const struct conf *conf, struct report *report);

#endif
