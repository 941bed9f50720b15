/*
 * no_rights: a process of the master's gives up everything that it was started with.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_NO_RIGHTS_H
#define HATCHD_OS_NO_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Become user and group `id`, if this is root, without capabilities and without a way to
 * any; nobody may look into it.  In a user name space that has no such user it stays who it
 * is, without rights.  Negative errno on failure.
 */
int no_rights(id_t id);

/* The same, but keep those of these capabilities, as bits, that it has. */
int few_rights(id_t id, uint64_t capabilities);

/* Whether this process has that capability. */
bool have_right(int capability);

#endif
