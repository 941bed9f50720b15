/*
 * desk: where the master's questions come in and get their answers.
 *
 *	question -> in the cache? -> is the same one being asked? -> a flight of its own
 *
 * A flight asks outside: name servers on a lane (workers/lookup/names), or an identd
 * (workers/lookup/talk).  There are DESK_FLIGHTS of them, and a new one always finds room:
 * where there is none, policy/pending says whose oldest is given up.  That is one of the
 * source that has the most, so a client whose name servers never answer is in nobody's way
 * but his own.  The names of ADDRESSES_OF are the configuration's, and each is a source.
 *
 * Each question is answered when its patience is over at the latest.  A flight after names
 * goes on then, for DESK_FLIGHT_TIME in all: who asks next finds the answer in the cache.
 *
 * One thread, one epoll set, and nothing waits for anything else.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_LOOKUP_DESK_H
#define HATCHD_WORKERS_LOOKUP_DESK_H

#include "workers/lookup/names.h"

#include <stdint.h>

#define DESK_FLIGHTS            64
#define DESK_FLIGHTS_PER_SOURCE 16

/* usec; no question has more patience. */
#define DESK_FLIGHT_TIME (UINT64_C(10) * 1000 * 1000)

/* Answers that are kept. */
#define DESK_CACHE 1024

/* Descriptors at most: a flight has a UDP and a TCP socket for a name server or two, or one
 * to an identd; and what every worker has. */
#define DESK_OWN_FDS 16
#define DESK_FDS     (DESK_OWN_FDS + DESK_FLIGHTS * 8)

struct desk;

struct desk_setup {
	uint32_t places;           /* of questions; at least 1 */
	unsigned sources;          /* of enum names_source */
	const struct hosts *hosts; /* borrowed */
	const char *servers;       /* as of struct lane_setup */
	int try_msec;              /* NAMES_TRY_MSEC */
	uint16_t ident_port;       /* TALK_PORT */
	uint64_t flight_time;      /* DESK_FLIGHT_TIME */
	uint8_t key[16];           /* random: for tables that strangers fill */
};

/* The ends of the channel are at their numbers.  All that is read from files is read here,
 * which names_init() comes before.  0 or a negative errno. */
int desk_new(const struct desk_setup *setup, struct desk **ret);

/* Returns NULL. */
struct desk *desk_free(struct desk *desk);

/* Tell the master that all is set up, and answer until nothing will be asked any more.  0,
 * or the negative errno of what cannot go on. */
int desk_run(struct desk *desk);

#endif
