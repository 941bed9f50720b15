/*
 * master-state: what hatchd as a whole has counted and remembers, so that the next image goes
 * on with it: whom it keeps out and for how long, what sources have left of their rates, what
 * the log has been told, counts for whoever measures, numbers that are never given twice.
 *
 * What belongs to a service is in master/handover/service-state.  As there, it is read into
 * memory of its own first, and nothing that is read makes a limit worse than it can become.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_MASTER_STATE_H
#define HATCHD_MASTER_HANDOVER_MASTER_STATE_H

#include "base/wire.h"
#include "master/reload.h"
#include "master/stats.h"
#include "master/told.h"
#include "policy/bans.h"
#include "policy/sources.h"

#include <stdbool.h>
#include <stdint.h>

struct master;
struct refusals;

/* When it was last said that ..., usec; 0: never. */
struct saved_master_told {
	uint64_t full;          /* all is full */
	uint64_t shortage;      /* hatchd lacks something */
	uint64_t forgot;        /* sources were forgotten, ... */
	uint64_t forgot_before; /* ... how many by then */
	uint64_t operators;     /* somebody may not ask */
	uint64_t no_asker;      /* nobody can be asked after silent clients */
	uint64_t ask_full;      /* some keep others from being asked after */
	uint64_t tally;         /* bytes are not known */
	uint64_t lost;          /* records were lost */
};

struct saved_reload {
	uint64_t n_done, n_failed, finished; /* as in struct reload */
	bool failed, hindered;
	char reason[RELOAD_REASON_MAX];
};

struct saved_master {
	uint64_t started; /* usec, monotonic; 0: it is not known */
	uint64_t next_connection;
	uint32_t last_service;
	uint8_t address_key[16];
	uint32_t log_level;

	uint64_t refused[_ADMIT_MAX];
	uint64_t n_bans;
	struct stats stats;
	struct saved_reload reload;

	struct saved_master_told last_told;
	struct told told; /* owned */
	struct log_gate other_refusals;
	struct refusals *refusals, *bans; /* owned */
	uint64_t records_lost,
		records_untold; /* that the file, and the log, have to be told of */

	struct bans banned;             /* owned */
	uint64_t forgotten;             /* sources, since the beginning */
	struct source_memory *memories; /* owned */
	size_t n_memories;
};

/* What there is to keep.  0, or -ENOMEM: the writer is of no use then. */
int master_state_save(const struct master *master, uint64_t now, struct wire_writer *out);

/* 0, -EBADMSG or -ENOMEM; *ret is to be released in any case. */
int master_state_read(const void *data, size_t len, struct saved_master *ret);

/* Go on with it, but for sources.  The master has no services yet: those that are made from now
 * on have numbers above all that were given.  What is in the state is given away. */
void master_state_put(struct saved_master *state, struct master *master, uint64_t now);

/*
 * The same with sources, when services have their numbers, and their children have been
 * counted: these need no place among those who are remembered.  What is remembered of services
 * that are gone is dropped.  0, or -ENOMEM: nothing is remembered.
 */
int master_state_put_sources(
	const struct saved_master *state, struct master *master, uint64_t now);

void master_state_done(struct saved_master *state);

#endif
