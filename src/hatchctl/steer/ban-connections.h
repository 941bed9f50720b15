/*
 * ban-connections: end the connections of those who are banned, which a ban alone does not.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_BAN_CONNECTIONS_H
#define HATCHD_HATCHCTL_STEER_BAN_CONNECTIONS_H

#include "base/addr-net.h"
#include "hatchctl/ask/request.h"

/* Whom `peer` of the line of a connection is about: "192.0.2.1:4711", "[2001:db8::1]:4711",
 * "uid 1000 pid 4712", "vsock:3:80".  False: that is nobody who could be banned. */
bool ban_peer_parse(const char *peer, struct addr_net *ret);

/*
 * Tell all connections from there to end, of that service or, if it is NULL, of all, but those
 * that have been told already.  0 with their number in *ret_n; else as request_try(), and some
 * may have been told.
 */
int ban_connections_kill(const char *path, const struct addr_net *who, const char *service,
	size_t *ret_n, char why[REQUEST_WHY_MAX]);

#endif
