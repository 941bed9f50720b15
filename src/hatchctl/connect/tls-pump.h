/*
 * tls-pump: standard input to a TLS connection, and its answer to standard output, both at
 * once.
 *
 *	the end of the input     is said (close_notify), and reading goes on;
 *	the end of the answer    closes the output, while the input goes on;
 *	it is over               when both have ended.
 *
 * A connection that ends without the peer having said so is broken: what has come may be a
 * part of the answer.  Neither direction waits for the other one.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_TLS_PUMP_H
#define HATCHD_HATCHCTL_CONNECT_TLS_PUMP_H

#include "base/own.h"
#include "hatchctl/connect/flow.h"
#include "hatchctl/connect/output.h"
#include "hatchctl/connect/pump.h"
#include "hatchctl/connect/tls.h"

#include <stdbool.h>

struct tls_pump {
	/* Set by tls_pump_new(); borrowed, but for the output, which is closed. */
	int input;
	struct output output;
	struct tls *tls;
	int peer;

	/* To be set before it runs. */
	bool ends_with_answer;              /* a person would wait for nothing */
	void (*narrate)(const char *event); /* NULL: in silence */

	/* Result: what broke, and a negative errno that tls_explain() has words for if it is
	 * the peer; PUMP_NOWHERE and 0. */
	enum pump_place broken;
	int error;

	/* Private */
	bool over;
	struct flow sending;
	struct flow answer;
};

/* Of a connection whose handshake is done, over that socket.  NULL: no memory. */
struct tls_pump *tls_pump_new(int input, int output, struct tls *tls, int peer);
struct tls_pump *tls_pump_free(struct tls_pump *pump);

/* Until it is over; SIGPIPE has to be ignored.  0, or a negative errno and pump->broken. */
int tls_pump_run(struct tls_pump *pump);

static inline void own_tls_pump(struct tls_pump **pump)
{
	tls_pump_free(*pump);
}
#define _cleanup_tls_pump_ _cleanup_(own_tls_pump)

#endif
