/*
 * spawn_probe: may a child share the master's memory on this machine?
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_SPAWN_PROBE_H
#define HATCHD_OS_SPAWN_PROBE_H

#include <stdbool.h>

/*
 * NULL if it may; else why not, a literal for messages:
 * - before Linux 5.16 a core-dumping signal to the child kills the master too;
 * - with fs.suid_dumpable 1 the child's new identity could trace it;
 * - a core limit that cannot be 1 would let the memory be dumped;
 * - an oom_score_adj of ours must be reset for children, and belongs to the memory.
 * Only a master that changes identities has anything to fear from the middle two.
 */
const char *spawn_probe_private_reason(void);

/*
 * May a process give up a shared descriptor table?  Old container profiles
 * refuse both ways.  Tried in a child of our own.
 */
bool spawn_probe_can_unshare(void);

/* Our own oom_score_adj; 0 where it cannot be read. */
int spawn_probe_oom_score(void);

#endif
