/*
 * connect-internal: what the parts of hatchctl connect have in common: connect-options.c
 * reads the command line, connect.c talks.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_INTERNAL_H
#define HATCHD_HATCHCTL_CONNECT_INTERNAL_H

#include "base/addr.h"

#include <stdbool.h>
#include <stdint.h>

struct connect {
	const char *text; /* the address as the user wrote it */
	struct addr_spec spec;
	uint64_t wait; /* usec */
	bool verbose;
	bool helped; /* there is nothing left to do */
};

/* Read the command line into *c.  COMMAND_DONE, or COMMAND_USAGE after a message. */
int connect_parse(int argc, char **argv, struct connect *c);

#endif
