/*
 * lineage: which hatchd this is, so that the next one in its place knows what it has left.
 *
 * A family serves the same main file, by its path, in the same name spaces of processes and of
 * the network: there can hardly be two of them at a time.  Two files are two families, however
 * much they have in common, and so are two containers with a file of the same path.  An ad-hoc
 * hatchd has no family: nobody comes in its place.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_LINEAGE_H
#define HATCHD_MASTER_LINEAGE_H

#include "os/mark.h"
#include "os/spawn_plan.h"

struct lineage {
	bool known; /* else there is no mark */
	struct mark mark;
	char entry[MARK_ENTRY_MAX]; /* for the environment of children, of nobody's session */
	bool own_group; /* nobody is in our control group but for us: systemd has made it */
};

/* Learn it, before anybody is served: the file system of processes is read.  `main_file`
 * NULL: there is none.  What cannot be learnt is not known. */
void lineage_learn(const char *main_file, struct lineage *ret);

/* Whether others are in our control group, if it is our own: nobody that we have started is yet
 * but children of ours.  What cannot be learnt is not so. */
bool lineage_has_company(const struct lineage *lineage);

/* Add the mark to the environment of a child.  -E2BIG: there is no place for it. */
int lineage_mark(const struct lineage *lineage, struct spawn_plan *plan);

#endif
