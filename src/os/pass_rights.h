/*
 * pass_rights: may descriptors come through a UNIX socket, and pairs that have none come.
 *
 * Whoever receives one closes it at the latest when he throws it away, and who has sent it
 * decides how long that takes.  From Linux 6.16 on a socket can refuse them, so that the
 * sender is told EPERM; an older kernel does not know the option, and that is no error.
 *
 * Layer: os.
 */
#ifndef HATCHD_OS_PASS_RIGHTS_H
#define HATCHD_OS_PASS_RIGHTS_H

#include <errno.h>
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

/* A pair of UNIX sockets of that type, close-on-exec, neither of which takes descriptors, where
 * the kernel has that.  0 or a negative errno. */
static inline int pair_without_rights(int type, int ret_ends[2])
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_ends) < 0)
		return -errno;
	pass_rights(ret_ends[0], false);
	pass_rights(ret_ends[1], false);
	return 0;
}

#endif
