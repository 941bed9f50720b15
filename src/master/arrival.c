#include "master/arrival.h"

#include "master/service.h"

#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

/*
 * UNIX sockets are not looked at: receiving from one takes a lock that a
 * program may hold for as long as it likes (I2), and there is no time stamp.
 */
static bool is_exact(const struct listener *listener)
{
	return addr_is_datagram(&listener->addr) && addr_is_ip(&listener->addr);
}

/*
 * The first question for a time stamp has the kernel keep them from then on,
 * for the socket alone: the program that gets it sees no difference.
 */
void arrival_prepare(struct listener *listener)
{
	struct timespec stamp;

	if (is_exact(listener))
		ioctl(listener->fd, SIOCGSTAMPNS, &stamp);
}

static void look(const struct listener *listener, struct arrival *ret)
{
	struct iovec nothing = {.iov_base = NULL, .iov_len = 0};
	struct msghdr message = {
		.msg_name = &ret->sender,
		.msg_namelen = sizeof ret->sender,
		.msg_iov = &nothing,
		.msg_iovlen = 1,
	};

	memset(ret, 0, sizeof *ret);
	ret->length = recvmsg(listener->fd, &message, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	ret->sender_len = message.msg_namelen;
	ret->known = ret->length >= 0;
	ret->stamped = ret->known && ioctl(listener->fd, SIOCGSTAMPNS, &ret->stamp) == 0;
}

void arrival_note(struct listener *listener)
{
	listener->arrival.known = false;
	if (is_exact(listener))
		look(listener, &listener->arrival);
}

static bool readable(const struct listener *listener)
{
	struct pollfd p = {.fd = listener->fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

bool arrival_untouched(const struct listener *listener)
{
	const struct arrival *was = &listener->arrival;
	struct arrival now;

	if (!is_exact(listener))
		return readable(listener);

	look(listener, &now);
	return now.known && was->known && now.stamped == was->stamped &&
	       memcmp(&now.stamp, &was->stamp, sizeof now.stamp) == 0 &&
	       now.length == was->length && now.sender_len == was->sender_len &&
	       memcmp(&now.sender, &was->sender, sizeof now.sender) == 0;
}

bool arrival_is_exact(const struct listener *listener)
{
	return is_exact(listener) && listener->arrival.stamped;
}
