/*
 * addresses: what is written after `listen`, to addresses that can be bound.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ADDRESSES_H
#define HATCHD_CONF_ADDRESSES_H

#include "base/addr.h"
#include "conf/build.h"
#include "conf/memo.h"
#include "conf/raw.h"
#include "conf/report.h"

/* Parse the values, look up names of ports, expand ranges; mistakes go to the
 * report.  0 or -ENOMEM. */
int addresses_resolve(
	struct service_conf *service, const struct raw_assign *listen, struct report *report);

/* Parse one value, and look up the name of its port.  The name of a host is left in *ret for
 * the caller to look up or refuse; the address then is none.  0, -EINVAL after a mistake, or
 * -ENOMEM. */
int addresses_read(const struct raw_value *value, struct report *report, struct addr_spec *ret);

/*
 * Find addresses that exclude one another, within and between services.  Those
 * of disabled services are free.  Linear in the number of addresses.  0 or
 * -ENOMEM.
 */
int addresses_check_overlaps(const struct conf *conf, struct report *report);

/* Say which interfaces that addresses or bind_to_device name are not there.
 * Not a condition of the service: hatchd tries such sockets again by itself. */
void addresses_check_interfaces(const struct service_conf *service, struct report *report);

/* That the directories of UNIX sockets and of links to them are there.  0 or -ENOMEM. */
int addresses_check_directories(
	struct service_conf *service, struct memo *memo, struct report *report);

/* That nobody can put something else in the place of a UNIX socket but root and
 * the socket's owner, who is known by now.  0 or -ENOMEM. */
int addresses_check_writers(const struct service_conf *service,
	const struct build_context *context, struct memo *memo, struct report *report);

#endif
