/*
 * Where the clients of arrivals go: tcp:HOST:PORT or udp:HOST:PORT, with HOST an IPv4 address,
 * unix:PATH or unix:@NAME.
 */
#ifndef HATCHD_ARRIVALS_PLACE_H
#define HATCHD_ARRIVALS_PLACE_H

#include <stdbool.h>
#include <sys/socket.h>

struct place {
	const char *text; /* as it was written */
	struct sockaddr_storage name;
	socklen_t len;
	int kind; /* SOCK_STREAM or SOCK_DGRAM */
};

/* False: it is none.  Keeps the text. */
bool place_parse(const char *text, struct place *ret);

#endif
