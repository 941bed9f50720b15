/*
 * setup: one version of a service's configuration, in force for somebody.
 *
 * Each child holds the version it was started with, for as long as it lives: a
 * reload changes nothing under a running program, and nothing goes away under
 * a child that still reads its plan.
 *
 * A service holds the version that its next child will be started with, but only
 * while it is in use: that of thousands of services that nobody calls is
 * read from the image when somebody does (some microseconds), and given up again
 * when SETUPS_MAX others have been read since.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_SETUP_H
#define HATCHD_MASTER_SETUP_H

#include "conf/conf.h"
#include "master/inherited.h"
#include "os/spawn_plan.h"

struct service;

struct setup {
	struct service_conf *conf;  /* owned, immutable */
	struct spawn_recipe recipe; /* points into conf */
	unsigned n_holders;
	uint8_t *record; /* owned; what `conf` was read from, once only children have it, or
	                    an upgrade was begun (master/upgrade); NULL: not so, or without
	                    memory */
	size_t record_len;
	int front_text; /* what hatchd-front tells its clients (master/introduce), a file in
	                   memory; owned; negative: not made yet, or there is nothing */
};

struct setup *setup_hold(struct setup *setup);

/* Let go; the last one to do so frees it.  NULL is nobody's. */
struct setup *setup_release(struct setup *setup);

/* Services that hold theirs because it was in use, not because it must be held. */
#define SETUPS_MAX 128

/* Place of one that must be held. */
#define SETUP_PINNED UINT16_MAX

struct setups {
	struct service *users[SETUPS_MAX]; /* NULL: a place that is free */
	unsigned hand;                     /* of the clock that looks for the next to give up */
};

/*
 * The version that is in force for a service, read from the image if need be; the
 * service's, and to be used within one event.  NULL: it cannot be read now, for
 * which the log has a line, or the service is configured no longer.
 */
struct setup *service_setup(struct service *service);

/* Of a service that no configuration has: that is its version from now on, which stays in
 * memory.  `conf` is its own then.  0 or -ENOMEM. */
int service_pin_setup(struct service *service, struct service_conf *conf);

/* The same with one that another service has: both hold it. */
void service_share_setup(struct service *service, struct setup *setup);

/* It is not in force any more, or not needed now.  Children may hold it; the image that it was
 * read from is still open. */
void service_drop_setup(struct service *service);

/*
 * One that says nothing of anybody, for children that another image of hatchd has started and
 * of which nothing better is known; with one holder, the caller.  NULL without memory.
 */
struct setup *setup_of_nothing(const struct service *service, const char *name);

/* Keep what it was read from in its setup, which is in memory and in force: for an upgrade. */
void setup_keep_record(const struct service *service);

/*
 * One that children hold who were started by another image of hatchd (master/resume), with one
 * holder, the caller: from the record that image_copy_record() gave.  0; -EBADMSG, -ENOMEM.
 */
int setup_from_record(const struct inherited *inherited, const uint8_t *record, size_t len,
	struct setup **ret);

#endif
