#include "os/journal_stream.h"

#include "base/fd.h"
#include "base/own.h"

#include <stdio.h>
#include <sys/socket.h>

/* The name of a unit has up to 255 bytes: systemd.unit(5). */
#define HEAD_MAX 512

static int send_head(int fd, const char *identifier, const char *unit, int priority)
{
	char head[HEAD_MAX];
	int len = snprintf(head, sizeof head, "%s\n%s\n%d\n1\n0\n0\n0\n", identifier,
		unit ? unit : "", priority);

	if (len < 0 || (size_t)len >= sizeof head)
		return -EINVAL;
	/* Into an empty buffer: all of it or nothing. */
	return send(fd, head, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int journal_stream_open(
	const char *path, const char *identifier, const char *unit, int priority)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_connect_unix(fd, path);
	if (r < 0)
		return r;
	r = send_head(fd, identifier, unit, priority);
	if (r < 0)
		return r;
	shutdown(fd, SHUT_RD);
	r = fd_set_nonblock(fd, false);
	return r < 0 ? r : take_fd(&fd);
}
