/*
 * connect-internal: what the parts of hatchctl connect have in common: connect-options.c
 * reads the command line, connect.c talks as it is, connect-tls.c in TLS, in a program of its
 * own (tls-main.c).
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_CONNECT_INTERNAL_H
#define HATCHD_HATCHCTL_CONNECT_CONNECT_INTERNAL_H

#include "base/addr.h"
#include "hatchctl/connect/dial.h"
#include "hatchctl/connect/pump.h"
#include "hatchctl/connect/tls.h"

#include <stdbool.h>
#include <stdint.h>

struct connect {
	const char *text; /* the address as the user wrote it */
	struct addr_spec spec;
	uint64_t wait; /* usec */
	bool verbose;
	bool helped; /* there is nothing left to do */

	bool is_tls;
	struct tls_wish tls;
	const char *tls_option;     /* one that only TLS has, as it was given; NULL: none */
	char server[ADDR_TEXT_MAX]; /* what the certificate has to be for */
};

/* Read the command line into *c, which must stay where it is.  COMMAND_DONE, or
 * COMMAND_USAGE after a message. */
int connect_parse(int argc, char **argv, struct connect *c);

/*
 * Look the address up, and connect to the first place that can be had; *next moves behind
 * it.  COMMAND_DONE with the list and *ret_fd, which is non-blocking, both the caller's; or
 * COMMAND_FAILED after a message.
 */
int connect_dial(const struct connect *c, struct dial_list *list, size_t *next, int *ret_fd);

/* Say what has broken, with a positive errno: the status of the command. */
int connect_report(const struct connect *c, enum pump_place where, int error);

/* One line on standard error. */
void connect_narrate_event(const char *event);

/* The whole of it in TLS: the status of the command.  In hatchctl-tls alone. */
int connect_tls(const struct connect *c);

#endif
