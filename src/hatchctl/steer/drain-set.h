/*
 * drain-set: services that let nobody in, and who is left of their clients.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_DRAIN_SET_H
#define HATCHD_HATCHCTL_STEER_DRAIN_SET_H

#include "hatchctl/ask/request.h"

struct drained {
	char *name;    /* owned */
	uint64_t left; /* connections, and clients about whom nothing is decided yet */
	bool disabled; /* by us: somebody may undo that */
};

struct drain_set {
	const char *path; /* of the socket; borrowed */
	struct drained *services;
	size_t n, room;
	char why[REQUEST_WHY_MAX]; /* after a failure: what is wrong, in words */
};

void drain_set_init(struct drain_set *set, const char *path);
void drain_set_done(struct drain_set *set);

#define _cleanup_drain_set_ _cleanup_(drain_set_done)

/*
 * Choose the services with these names (NULL at the end), or all that let clients in or have
 * some, if there are none.  0; -ESRCH, there is no such service; or another negative errno.
 */
int drain_set_choose(struct drain_set *set, char **names);

/* Let nobody in any more.  0, or a negative errno: some may be disabled then. */
int drain_set_disable(struct drain_set *set);

/* Look who is left.  0 or a negative errno; -ESTALE: a service is enabled again, or gone. */
int drain_set_look(struct drain_set *set);

/* Tell all that are left to end.  0 or a negative errno. */
int drain_set_kill(struct drain_set *set);

/* How many are left, of all. */
uint64_t drain_set_left(const struct drain_set *set);

/* "3 connections left: upper 2, web 1", cut at that size. */
const char *drain_set_describe(const struct drain_set *set, char *buf, size_t size);

#endif
