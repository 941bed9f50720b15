/*
 * mux: services that can be had by their names (RFC 1078), and those that have them to give.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_MUX_H
#define HATCHD_CONF_MUX_H

#include "conf/conf.h"
#include "conf/report.h"

/*
 * Give each service with builtin = tcpmux what it answers to HELP: the names of all services
 * that can be had, in small letters and in order, each with a line feed behind it.  Names
 * that there is no room for are left out, with a warning.  Services that nobody can reach
 * are warned of.  To be called when it is known which services there are.  0 or -ENOMEM.
 */
int mux_prepare(struct conf *conf, struct report *report);

#endif
