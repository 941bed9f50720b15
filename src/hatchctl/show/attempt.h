/*
 * attempt: be a client of a service at one of its addresses, and hear from hatchd what became
 * of that.
 *
 * Nothing is said there: a connection is closed as soon as it is served, a datagram is empty.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_SHOW_ATTEMPT_H
#define HATCHD_HATCHCTL_SHOW_ATTEMPT_H

#include "hatchctl/ask/watch.h"

#include <stdbool.h>

enum attempt_result {
	ATTEMPT_SERVED,
	ATTEMPT_PENDING, /* taken in, and something is waited for that was not said */
	ATTEMPT_UNTOLD,  /* nothing is wrong, and nothing tells that it was taken */
	ATTEMPT_REFUSED,
	ATTEMPT_FAILED,
};

/* The service; all of it borrowed. */
struct attempt_at {
	struct watch *watch; /* of it */
	const char *path;    /* of the control socket */
	const char *service;
	bool has_pending; /* connections begin with a header, a handshake or a question */
	bool has_tls;
	uint64_t after; /* connections up to this number are not this one's */
};

struct attempt {
	enum attempt_result result;
	uint64_t usec;       /* that it took; 0: nothing was tried */
	uint64_t connection; /* its number; 0: hatchd has told none */
	char detail[512];    /* who serves it, or what is wrong; any byte can be in it */
};

/* "served", "pending" ... */
const char *attempt_word(enum attempt_result result);

/* At that address, as hatchd writes it.  0 with *ret, or a negative errno if hatchd does not
 * answer any more. */
int attempt_make(const struct attempt_at *at, const char *address, struct attempt *ret);

#endif
