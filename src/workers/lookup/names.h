/*
 * names: what name servers say (DNS, through c-ares), and hosts(5) before them.
 *
 * A lane is room for one question at a time, with sockets of its own: so each question has
 * source ports and numbers of its own (RFC 5452), and can be given up without touching
 * another one.  A lane that waits costs nobody anything but the lane.
 *
 * What is asked and what is believed:
 *
 *	NAME_OF       hosts(5), else PTR of the address.  Of the names that come, up to
 *	              NAMES_TRIED, the first whose own addresses, in hosts(5) or else A or AAAA,
 *	              have the one that was asked about among them; the others are what
 *	              somebody says who has that address, and mean nothing.
 *	ADDRESSES_OF  hosts(5), else A and AAAA, with the search list of resolv.conf(5): IPv6
 *	              and IPv4 by turns, each in the order in which they came
 *
 * Everything that c-ares reads from files it reads in lane_new(), so that must come before
 * the sandbox; changes of resolv.conf(5) are for the next process.
 *
 * The only includer of <ares.h>.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_LOOKUP_NAMES_H
#define HATCHD_WORKERS_LOOKUP_NAMES_H

#include "os/lookup.h"
#include "workers/lookup/hosts.h"

#include <stdbool.h>
#include <stdint.h>

/* Names that one address may lead to. */
#define NAMES_TRIED 8

/* Milliseconds for each try (c-ares waits longer for later ones), and how many there are. */
#define NAMES_TRY_MSEC 1500
#define NAMES_TRIES    2

/* Where names are looked up, in this order. */
enum names_source {
	NAMES_FILES = 1 << 0,
	NAMES_DNS = 1 << 1,
};

struct lane;

struct lane_setup {
	unsigned sources;          /* of enum names_source */
	const struct hosts *hosts; /* borrowed */
	/* "192.0.2.1:53,[2001:db8::1]:53"; NULL: those of resolv.conf(5). */
	const char *servers;
	int try_msec; /* NAMES_TRY_MSEC */
	/* From now on these events (EPOLLIN, EPOLLOUT) of a socket of the lane are waited for;
	 * 0: it is about to be closed.  Called while the lane is worked on. */
	void (*watch)(void *arg, int fd, uint32_t events);
	void *arg;
};

/* Once, before the first and after the last lane; *ret_sources is what nsswitch.conf(5)
 * wants to be looked at, or all with servers that are given.  0 or a negative errno. */
int names_init(const char *servers, unsigned *ret_sources);
void names_done(void);

/* 0 or a negative errno. */
int lane_new(const struct lane_setup *setup, struct lane **ret);

/* Returns NULL. */
struct lane *lane_free(struct lane *lane);

/* A new one, while none is open: NAME_OF or ADDRESSES_OF.  It may be over at once. */
void lane_ask(struct lane *lane, const struct lookup_question *question);

/* These events have come on that socket of the lane; -1: the time has. */
void lane_go(struct lane *lane, int fd, uint32_t events);

/* It is to end: nothing of it is left open. */
void lane_stop(struct lane *lane);

bool lane_is_over(const struct lane *lane);

/* In so many usec lane_go() is to be called if nothing happens before; USEC_INFINITY: never. */
uint64_t lane_due(const struct lane *lane);

/* When it is over: what was found, and for how many seconds that is true; CACHE_TTL_NONE
 * (workers/lookup/cache) where nobody has said. */
const struct lookup_facts *lane_facts(const struct lane *lane);
uint32_t lane_ttl(const struct lane *lane);

#endif
