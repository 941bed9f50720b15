/*
 * connections-of: count the connections of a service, or end them.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_CONNECTIONS_OF_H
#define HATCHD_HATCHCTL_STEER_CONNECTIONS_OF_H

#include "hatchctl/ask/request.h"

/* How many there are; 0 also where that cannot be asked, or there is no such service. */
size_t connections_count(const char *path, const char *service);

/*
 * Tell all connections of that service to end, but those that have been told already.  0 with
 * their number in *ret_n; one that has ended meanwhile counts.  Else as request_try(), and
 * some may have been told.
 */
int connections_kill(
	const char *path, const char *service, size_t *ret_n, char why[REQUEST_WHY_MAX]);

#endif
