/*
 * names: services of the master by what they are called, for many questions in a row.
 *
 * Mostly each is where it was, and is found without more; when one is not, all names are noted
 * once, so that ten thousand services are not compared with ten thousand.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_NAMES_H
#define HATCHD_MASTER_HANDOVER_NAMES_H

#include "conf/textmap.h"

#include <stdbool.h>

struct master;
struct service;

/* To be initialized with the master alone. */
struct names {
	const struct master *master;
	struct textmap map; /* places + 1 */
	bool noted;
};

/* The one of that name, which may be at that place; NULL: there is none. */
struct service *names_find(struct names *names, const char *name, size_t place);

void names_done(struct names *names);

#endif
