/*
 * expiry: the log is told of certificates that end soon, as long as they are in force.
 *
 * What the loader says of one is said when it is loaded, and a daemon may run for months
 * after that.  So from 14 days before the end (policy/validity) a line is told about each
 * service whose certificate it is, once a day, until there is another one.
 *
 * The image has the first end of all, so that nothing is looked at before that is near; then
 * services are, some in each turn, and of those that speak TLS only.  The wall's clock, by
 * which certificates end, may jump, so that it is looked at every hour; a day goes by on the
 * one that does not.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_EXPIRY_H
#define HATCHD_MASTER_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Services that are told by name in one day; of the others only how many they are. */
#define EXPIRY_LINES_MAX 16

struct master;

/* All 0 before the first turn, which looks at what is in force. */
struct expiry {
	uint64_t due;        /* usec, monotonic: when to look; USEC_INFINITY: never */
	uint64_t told_until; /* usec, monotonic: for so long enough has been said */
	uint32_t generation; /* master->generation that was looked at */
	uint64_t reloaded;   /* reload.finished as of then */
	bool telling;        /* services are looked at, from `next` on */
	size_t next;         /* in the image */
	uint32_t n_told;     /* of today, those beyond EXPIRY_LINES_MAX as well */
};

/* Look at the clock if it is time, and tell of some services. */
void expiry_turn(struct master *master, uint64_t now);

#endif
