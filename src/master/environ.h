/*
 * environ: what a child's environment says about its connection.
 *
 * The names of every world that programs for super-servers come from (UCSPI,
 * CGI and systemd, on request socat and ncat), as hatchd(8) lists them.
 * Everything is a number, a numeric address, or a word that was checked: nothing the peer has
 * written gets in as he wrote it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ENVIRON_H
#define HATCHD_MASTER_ENVIRON_H

#include "master/conn.h"
#include "master/service.h"
#include "os/spawn_plan.h"

/*
 * Fill the plan's environment: the prepared part of the service, then what is
 * known about this connection.  -E2BIG when it does not fit.
 */
int environ_fill(
	const struct conn *conn, const struct service_conf *service, struct spawn_plan *plan);

#endif
