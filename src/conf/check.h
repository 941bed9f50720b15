/*
 * check: what must hold between the options of one service.
 *
 * Judges words only and asks nothing of the system, so that a file is found
 * right or wrong wherever it is read.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CHECK_H
#define HATCHD_CONF_CHECK_H

#include "conf/report.h"

/*
 * Mistakes and warnings go to the report.  An option that is mistaken by itself
 * is left out of account, all others are judged.  Also settles what follows from
 * them: stderr_kind, hours, and per_source when it is not given.  `defaults`
 * tells what the service has from there.  0 or -ENOMEM.
 */
int check_service(struct service_conf *service, const struct service_conf *defaults,
	struct report *report);

#endif
