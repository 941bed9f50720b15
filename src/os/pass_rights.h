/*
 * pass_rights: may descriptors come through a UNIX socket?
 *
 * Whoever receives one closes it at the latest when he throws it away, and who has sent it
 * decides how long that takes.  From Linux 6.16 on a socket can refuse them, so that the
 * sender is told EPERM; an older kernel does not know the option, and that is no error.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_PASS_RIGHTS_H
#define HATCHD_OS_PASS_RIGHTS_H

#include <stdbool.h>
#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static inline void pass_rights(int fd, bool pass)
{
	int value = pass;

	(void)!setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof value);
}

#endif
