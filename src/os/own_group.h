/*
 * own_group: who is in our control group besides us.
 *
 * Only systemd's hierarchy is looked at, or the unified one: a service manager puts each unit
 * into a group of its own there.  Files are read: not for who must not wait.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_OWN_GROUP_H
#define HATCHD_OS_OWN_GROUP_H

#include <stdbool.h>

/* Somebody who is neither us nor a child of ours.  What cannot be read is nobody. */
bool own_group_has_others(void);

/* The folder that a line of /proc/PID/cgroup names, below the place where such file systems
 * are; of the line's text up to its end.  False: it is another hierarchy's, or too long. */
bool own_group_parse(const char *line, char *ret, unsigned long size);

#endif
