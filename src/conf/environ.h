/*
 * environ: the part of a child's environment that is the same for every
 * connection of its service.
 *
 *	PATH HOME USER LOGNAME SHELL	of the service's user
 *	what pass_env names		from hatchd's own environment, where set there
 *	what env sets			over all before it
 *	HATCHD_SERVICE			the service's name
 *
 * Everything else that a child sees is about its connection, and its names are
 * not for configuration files.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ENVIRON_H
#define HATCHD_CONF_ENVIRON_H

#include "conf/build.h"
#include "conf/identity.h"
#include "conf/report.h"

/* What is wrong with one value of `env` or of `pass_env`, as a constant
 * phrase, or NULL. */
const char *environ_check_assignment(const char *text);
const char *environ_check_name(const char *text);

/* Prepare service->base_env for `account`, who the service runs as.  0 or -ENOMEM. */
int environ_prepare(struct service_conf *service, const struct account *account,
	const struct build_context *context, struct report *report);

#endif
