/*
 * budget: how many descriptors and children this machine lets us have.
 *
 * Computed once at start, so that every table has its final size and running
 * out is a limit that we chose and not an accident.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_BUDGET_H
#define HATCHD_MASTER_BUDGET_H

#include "conf/image.h"

#include <sys/resource.h>

/* Most children, whatever the machine allows: bounds the child table. */
#define BUDGET_CHILDREN_MAX 65536

/* Most callers. */
#define BUDGET_CALLERS_MAX 16384

struct budget {
	uint32_t total_instances; /* children that may live at once */
	uint32_t callers;         /* clients whose first words are read; see master/caller */
	int low_limit; /* descriptors below: connections, and what children need; above: ours */
	int fd_limit;  /* all of ours are below */
	uint64_t needed, allowed; /* descriptors; set when there are not enough */
};

/*
 * Work out what `image` needs and may have, raise the soft RLIMIT_NOFILE to it
 * (not further: a limit of 10^9 is no reason for a table of that size) and let
 * the kernel grow the descriptor table now, while no child shares it.
 *
 * Where the hard limit does not allow the listeners, the clients whose words are to be read,
 * or the total_instances that somebody has asked for, and we may (CAP_SYS_RESOURCE), that is
 * raised as well, up to fs.nr_open.  Children get back what was inherited (master/recipe).
 *
 * -EMFILE: there are not even enough for the listeners; ret->needed and ret->allowed
 * say how many would be.
 */
int budget_make(const struct image *image, struct budget *ret);

#endif
