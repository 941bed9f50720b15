/*
 * merge: the options of `defaults` and those of a service to one service.
 *
 * `=` replaces what `defaults` gave, `+=` on a list adds to it.  Values are
 * converted and judged one by one; what must hold between them is conf/check.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_MERGE_H
#define HATCHD_CONF_MERGE_H

#include "conf/raw.h"
#include "conf/report.h"

/* What a service has before its own section is read; `defaults` may be NULL.
 * 0 or -ENOMEM. */
int merge_defaults(
	const struct raw_section *defaults, struct report *report, struct service_conf **ret);

/* 0 or -ENOMEM; mistakes go to the report, the option keeps its value and is
 * marked as mistaken. */
int merge_service(const struct service_conf *defaults, const struct raw_section *section,
	struct report *report, struct service_conf **ret);

/* Options that stand outside sections.  0 or -ENOMEM. */
int merge_globals(const struct raw_section *section, struct report *report, struct conf *conf);

/* Where the option was given, or else where the service begins. */
const struct origin *service_conf_origin(
	const struct service_conf *service, const char *option);

/* The option's name as the place spells it: "per_source", or "--per-source"
 * where nothing but a command line can be meant. */
const char *merge_label(const struct conf_option *option, const struct origin *origin,
	char buf[OPTION_FLAG_MAX + 2]);

#endif
