/*
 * pump: the bytes between a client who speaks TLS and a program that does not: it has the
 * other end of a stream pair.
 *
 *	ends      who has said everything says so: the client by close_notify (RFC 8446, 6.1),
 *	          and then the program finds the end of its input; the program by its end, and
 *	          then the client gets a close_notify, behind all bytes, and the end of his
 *	          connection.  The other one may go on for as long as he likes
 *	breaks    a client who ends his connection without close_notify has not said everything,
 *	          or somebody else has ended it: that is a reset.  The pair is ended at once in
 *	          both directions: the program finds the end of its input, as a socket of UNIX
 *	          has no other word for it, and EPIPE when it writes.  A program that ends
 *	          without having read everything breaks off: its client gets what it wrote,
 *	          but no close_notify, by which he knows
 *	deaf      a program that has gone, or reads no more, goes on speaking if it still does;
 *	          what its client says is thrown away, PUMP_WASTE_MAX bytes at most after the
 *	          program has gone.  Of a client whose connection takes nothing any more what
 *	          he has said before is passed on, and writing fails for his program (EPIPE)
 *	orphans   a client whose program has gone gets what it wrote, and may then end in peace;
 *	          but who takes nothing of it for PUMP_LEAVE_TIME is left, and so is who has
 *	          got everything and stays, after PUMP_PEACE_TIME.  A program that has ended
 *	          only what it says, and may still read, is waited for as long as it likes
 *	keys      a client who wants new keys again and again (KeyUpdate; RFC 8446, 4.6.3), more
 *	          often than PUMP_UPDATES allows, is a reset
 *	pressure  a direction reads when it has nothing to write
 *
 * A machine that never waits, as workers/relay/relay.
 *
 * Memory: sizeof(struct pump); bytes that somebody does not take, PUMP_CHUNK of the
 * client's, a record and TUBE_ROOM of what comes behind them; of the program's PUMP_CHUNK
 * as records.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_TLS_PUMP_H
#define HATCHD_WORKERS_TLS_PUMP_H

#include "os/channel.h"
#include "policy/limit.h"
#include "workers/tls/context.h"
#include "workers/tls/tube.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* Moved at once: a record at first, then as much as this of who has much to say. */
#define PUMP_RECORD (16 * 1024)
#define PUMP_CHUNK  (64 * 1024)

/* In one step, in each direction, so that somebody fast holds up nobody. */
#define PUMP_SHARE (256 * 1024)

/* As those of workers/relay/relay: bytes, and usec. */
#define PUMP_WASTE_MAX  (64 * 1024 * 1024)
#define PUMP_LEAVE_TIME (UINT64_C(60) * 1000 * 1000)

/* Usec, for a client who has got everything to end as well. */
#define PUMP_PEACE_TIME (UINT64_C(2) * 1000 * 1000)

/* New keys that a client may want, at once and in each second: they are the work of many
 * records, and asked for with one. */
#define PUMP_UPDATES_BURST 128
#define PUMP_UPDATES       10

enum pump_side {
	PUMP_CLIENT,
	PUMP_PROGRAM,
};

struct pump {
	SSL *ssl;          /* borrowed, as is the tube */
	struct tube *tube; /* what `ssl` reads and writes */
	int pair;          /* owned */

	struct bucket updates; /* new keys */
	uint32_t n_updates;    /* that it knows of */

	uint64_t in, out;  /* the program's bytes: from the client, and to him */
	uint64_t due;      /* usec; USEC_INFINITY: never */
	uint64_t leave_at; /* USEC_INFINITY: not yet */
	uint64_t taken;    /* bytes, by the tube and by his machine, when that was set */
	uint64_t wasted;   /* bytes thrown away since the program has gone */
	uint8_t *held;     /* owned: what the pair has not taken; NULL: nothing */
	uint32_t held_at, held_len;

	bool spares_program; /* which hears from somebody else that he was cut off */
	bool said_all[2];    /* nothing more comes from there */
	bool told[2];        /* that the other one has said everything */
	bool deaf;           /* the program */
	bool has_all;        /* what was written for the client, when that was set */
	bool left;           /* the same, and nothing more comes but what is there */
	bool broken;         /* it has not read everything */
	bool lost;           /* the client has not got all of the program's bytes */
	bool cut;            /* the client's bytes, before he has said their end */
	bool gone;           /* the client: only what he said before is there */
	bool stopped;        /* there is more to be done at once */
	bool over;
	enum channel_result result; /* when it is over */
};

/* The pair is the pump's from now on. */
void pump_init(struct pump *pump, SSL *ssl, struct tube *tube, int pair);
void pump_done(struct pump *pump);

/* Go on; `events` are those that epoll(7) has reported of that side, or 0.  False: it is
 * over.  Ends a step of the tube. */
bool pump_go(struct pump *pump, enum pump_side side, uint32_t events, uint64_t now);

/* What it waits for, level-triggered; 0: nothing, and not even an error. */
uint32_t pump_events(const struct pump *pump, enum pump_side side);

/* When pump_go() is to be called if nothing happens before. */
uint64_t pump_due(const struct pump *pump);

#endif
