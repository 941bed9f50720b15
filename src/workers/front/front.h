/*
 * front: one connection before its service gets it.
 *
 *	[header of a proxy] -> [banner] -> [name of a service] -> passed
 *	                                                  \-> offered -> admitted -> passed
 *	                                                              \-> refused -> over
 *
 * A machine that never waits, as workers/builtin/stream: it goes on when its socket is
 * ready, says what it waits for next, and does a bounded amount of work each time.  It
 * knows no epoll and no clock; both are the caller's.
 *
 * The socket goes on to a program, whose first byte is the one behind header and line: none
 * of it is ever taken.  Nothing of the socket is changed either, since whoever gets it has
 * the same open file description: no O_NONBLOCK, no options.
 *
 * What stays on a socket that is only looked at reports itself for ever, so that reading is
 * waited for edge-triggered, and everything is read that is there.
 *
 * Whoever is refused gets to know why: after the text his side is read until its end, for
 * FRONT_LINGER_TIME and FRONT_LINGER_BYTES at most.  A close with bytes that nobody has
 * read is a reset, and many a system then throws away what its program has not read yet
 * (RFC 1122, 4.2.2.13).
 *
 * Memory: sizeof(struct front), and a parser from his first byte to the end of what it
 * parses, or the facts from then on.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_FRONT_FRONT_H
#define HATCHD_WORKERS_FRONT_FRONT_H

#include "os/channel.h"
#include "workers/front/words.h"

#include <stdbool.h>
#include <stdint.h>

/* After a refusal: usec, and bytes. */
#define FRONT_LINGER_TIME  (UINT64_C(2) * 1000 * 1000)
#define FRONT_LINGER_BYTES (64 * 1024)

struct front;

struct front_setup {
	unsigned what;       /* enum front_task (base/front) */
	struct words *words; /* what he is told; NULL: nothing */
	uint64_t patience;   /* usec for all up to the offer, and again for what is written
	                        after the verdict; 0: as long as he likes */
	uint64_t now;        /* usec, monotonic, here and below */
};

/* 0, and *ret owns `fd` and a user's share of the words; -ENOMEM, and both are still the
 * caller's.  Nothing is done yet. */
int front_new(const struct front_setup *setup, int fd, struct front **ret);

/* Closes the socket.  Returns NULL. */
struct front *front_free(struct front *front);

/* Go on.  `events` are those that epoll(7) has reported, or 0: it is due, or has just begun.
 * False: it is over. */
bool front_go(struct front *front, uint32_t events, uint64_t now);

/* It waits to be offered: now it is, and waits for the verdict.  Once; then, and before,
 * false. */
bool front_offer(struct front *front, struct channel_facts *ret);

/* What became of that; others than CHANNEL_ADMITTED are refusals.  `plus`: FRONT_PLUS.
 * Without an offer it is ignored.  False: it is over. */
bool front_verdict(struct front *front, enum channel_verdict verdict, bool plus, uint64_t now);

/* It is to end: CHANNEL_ENDED, unless it is over. */
void front_abort(struct front *front);

/* What it waits for, edge-triggered where it reads; 0 when it is over. */
uint32_t front_events(const struct front *front);

/* When front_go() is to be called if nothing happens before.  USEC_INFINITY: never. */
uint64_t front_due(const struct front *front);

/* How it has ended: CHANNEL_FINISHED, RESET, ENDED, REFUSED (no memory), PASSED,
 * BAD_HEADER or SILENT. */
enum channel_result front_result(const struct front *front);

/* What has been learned; all zero where nothing has. */
void front_facts(const struct front *front, struct channel_facts *ret);

int front_fd(const struct front *front);

/* Bytes taken from him, and written to him. */
uint64_t front_bytes_in(const struct front *front);
uint64_t front_bytes_out(const struct front *front);

#endif
