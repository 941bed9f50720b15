/*
 * ban-caution: whom a ban would hit that its author may not have meant.
 *
 * hatchd does what it is told.  A slip in the length of a prefix, or an IPv6 address without
 * one, could shut out the operator himself, this machine, or everybody.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_BAN_CAUTION_H
#define HATCHD_HATCHCTL_STEER_BAN_CAUTION_H

#include "base/addr-net.h"

/* Room for a reason. */
#define BAN_CAUTION_MAX 256

/*
 * Is there a reason to ask back?  Then it is in `why`, such as "10.0.0.0/8 holds 10.1.2.3, from
 * where you are logged in".  `of_all`: from all services; `login` is what SSH_CONNECTION says,
 * or NULL.
 */
bool ban_caution(
	const struct addr_net *who, bool of_all, const char *login, char why[BAN_CAUTION_MAX]);

#endif
