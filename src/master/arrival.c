#include "master/arrival.h"

#include "base/clock.h"
#include "master/service.h"

#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Errors taken out of a socket at once. */
#define CLEAR_MAX 64

/*
 * UNIX sockets are not looked at: receiving from one takes a lock that a
 * program may hold for as long as it likes (I2), and there is no time stamp.
 */
static bool is_exact(const struct listener *listener)
{
	return listener->is_datagram && listener->is_ip;
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

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/*
 * A datagram that was there before arrival_prepare() has no time of its own, and the
 * kernel answers with the present one, another each time.
 */
static bool read_stamp(
	const struct listener *listener, const struct timespec *asked, struct timespec *ret)
{
	struct timespec stamp;

	if (ioctl(listener->fd, SIOCGSTAMPNS, &stamp) < 0 || !is_before(&stamp, asked))
		return false;
	*ret = stamp;
	return true;
}

/* The head of the queue, with a buffer of no bytes: looked at, or taken out of it. */
static void receive(const struct listener *listener, int flags, struct arrival *ret)
{
	struct iovec nothing = {.iov_base = NULL, .iov_len = 0};
	struct msghdr message = {
		.msg_name = &ret->sender,
		.msg_namelen = sizeof ret->sender,
		.msg_iov = &nothing,
		.msg_iovlen = 1,
	};
	struct timespec asked = clock_wall();

	memset(ret, 0, sizeof *ret);
	ret->length = recvmsg(listener->fd, &message, flags | MSG_TRUNC | MSG_DONTWAIT);
	ret->sender_len = message.msg_namelen;
	ret->known = ret->length >= 0;
	ret->stamped = ret->known && read_stamp(listener, &asked, &ret->stamp);
}

static bool is_same(const struct arrival *a, const struct arrival *b)
{
	return a->known && b->known && a->stamped == b->stamped &&
	       memcmp(&a->stamp, &b->stamp, sizeof a->stamp) == 0 && a->length == b->length &&
	       a->sender_len == b->sender_len &&
	       memcmp(&a->sender, &b->sender, sizeof a->sender) == 0;
}

void arrival_note(struct listener *listener)
{
	struct arrival now;

	if (!is_exact(listener))
		return;
	receive(listener, MSG_PEEK, &now);
	if (!listener->arrival)
		listener->arrival = calloc(1, sizeof *listener->arrival);
	if (!listener->arrival)
		return;
	if (is_same(&now, listener->arrival))
		now.refused = listener->arrival->refused;
	*listener->arrival = now;
}

static bool readable(const struct listener *listener)
{
	struct pollfd p = {.fd = listener->fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

bool arrival_untouched(const struct listener *listener)
{
	struct arrival now;

	if (!is_exact(listener))
		return readable(listener);
	receive(listener, MSG_PEEK, &now);
	return listener->arrival && is_same(&now, listener->arrival);
}

/*
 * A process that the program has left behind may take it before we do; then the next
 * one is dropped and named here, which is that program's own mess.
 */
bool arrival_refused(struct listener *listener, struct addr *ret)
{
	struct arrival dropped;

	if (!arrival_is_exact(listener) || ++listener->arrival->refused < ARRIVAL_REFUSED_MAX)
		return false;
	listener->arrival->known = false;
	receive(listener, 0, &dropped);
	if (!dropped.known)
		return false;
	addr_from_sockaddr(
		ADDR_UDP, (const struct sockaddr *)&dropped.sender, dropped.sender_len, ret);
	return true;
}

bool arrival_has_sender(const struct listener *listener)
{
	return is_exact(listener);
}

bool arrival_sender(const struct listener *listener, struct addr *ret)
{
	struct arrival now;

	receive(listener, MSG_PEEK, &now);
	if (!now.known)
		return false;
	addr_from_sockaddr(ADDR_UDP, (const struct sockaddr *)&now.sender, now.sender_len, ret);
	return true;
}

void arrival_drop(const struct listener *listener)
{
	struct arrival dropped;

	receive(listener, 0, &dropped);
}

/* What lies in the error queue is not looked at either, and so much of it at a time. */
bool arrival_clear(const struct listener *listener)
{
	int error = 0, n = 0;
	socklen_t len = sizeof error;
	struct arrival dropped;

	getsockopt(listener->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	do
		receive(listener, MSG_ERRQUEUE, &dropped);
	while (dropped.known && ++n < CLEAR_MAX);
	return error != 0 || n > 0;
}

bool arrival_is_exact(const struct listener *listener)
{
	return is_exact(listener) && listener->arrival && listener->arrival->stamped;
}
