/*
 * no_rights: a process of the master's gives up everything that it was started with.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_NO_RIGHTS_H
#define HATCHD_OS_NO_RIGHTS_H

#include <sys/types.h>

/*
 * Become user and group `id`, if this is root, without capabilities and without a way to
 * any; nobody may look into it.  In a user name space that has no such user it stays who it
 * is, without rights.  Negative errno on failure.
 */
int no_rights(id_t id);

#endif
