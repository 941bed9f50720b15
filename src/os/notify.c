#include "os/notify.h"

#include "base/fd.h"
#include "os/rights.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MESSAGE_MAX 256
#define QUEUE_MAX   4

struct notify {
	struct sockaddr_un to;
	socklen_t to_len; /* 0: nobody listens */
	char queue[QUEUE_MAX][MESSAGE_MAX];
	unsigned n;
	int error; /* negative errno for which the last message was lost; 0: it was not */
};

static int parse_name(const char *name, struct notify *notify)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof notify->to.sun_path)
		return -EINVAL;
	notify->to.sun_family = AF_UNIX;
	memcpy(notify->to.sun_path, name, len);
	if (name[0] == '@')
		notify->to.sun_path[0] = '\0';
	notify->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	notify->error = 0;
	return 0;
}

int notify_new(const char *name, struct notify **ret)
{
	struct notify *notify = calloc(1, sizeof *notify);
	int r;

	if (!notify)
		return -ENOMEM;
	notify->error = -ENOTCONN;
	r = name ? parse_name(name, notify) : 0;
	if (r < 0) {
		free(notify);
		return r;
	}
	*ret = notify;
	return 0;
}

struct notify *notify_free(struct notify *notify)
{
	free(notify);
	return NULL;
}

/* Too much of ours may be on its way to others for another descriptor, as well. */
static bool is_passing(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS;
}

/* False: its queue is full.  A manager that is gone gets nothing more. */
static bool send_now(struct notify *notify, const char *message, int passed)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct iovec text = {.iov_base = (void *)message, .iov_len = strlen(message)};
	struct msghdr header = {
		.msg_name = &notify->to,
		.msg_namelen = notify->to_len,
		.msg_iov = &text,
		.msg_iovlen = 1,
	};
	union rights_room room;

	if (fd < 0)
		return false;
	rights_put(&header, &room, &passed, passed >= 0);
	notify->error = 0;
	if (sendmsg(fd, &header, MSG_NOSIGNAL) >= 0)
		return true;
	if (is_passing(errno))
		return false;
	notify->error = -errno;
	return true;
}

bool notify_pass(struct notify *notify, const char *message, int fd)
{
	if (notify->to_len == 0)
		return false;
	return notify->n == 0 && send_now(notify, message, fd) && notify->error == 0;
}

int notify_error(const struct notify *notify)
{
	return notify->error;
}

static void drop_first(struct notify *notify)
{
	notify->n--;
	memmove(notify->queue[0], notify->queue[1], notify->n * sizeof notify->queue[0]);
}

bool notify_flush(struct notify *notify)
{
	while (notify->n > 0 && send_now(notify, notify->queue[0], -EBADF))
		drop_first(notify);
	return notify->n > 0;
}

bool notify_pending(const struct notify *notify)
{
	return notify->n > 0;
}

void notify_send(struct notify *notify, const char *format, ...)
{
	va_list ap;

	if (notify->to_len == 0)
		return;
	if (notify->n == QUEUE_MAX)
		drop_first(notify);
	va_start(ap, format);
	vsnprintf(notify->queue[notify->n++], MESSAGE_MAX, format, ap);
	va_end(ap);
	notify_flush(notify);
}
