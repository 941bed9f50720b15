#include "workers/udp/onward.h"

#include "base/own.h"
#include "workers/pktinfo.h"

#include <string.h>

struct onward {
	struct targets *targets;
	struct redirect redirect;
	struct addr all[];
};

int onward_new(struct targets *targets, const struct redirect *redirect, struct onward **ret)
{
	size_t len = redirect->n_targets * sizeof *redirect->targets;
	struct onward *onward = malloc(sizeof *onward + len);

	if (!onward)
		return -ENOMEM;
	onward->targets = targets;
	onward->redirect = *redirect;
	memcpy(onward->all, redirect->targets, len);
	onward->redirect.targets = onward->all;
	*ret = onward;
	return 0;
}

struct onward *onward_free(struct onward *onward)
{
	free(onward);
	return NULL;
}

/* Of addresses that are local to a link, the interface is somebody else's word for it. */
bool onward_is_target(const struct onward *onward, const struct endpoint *endpoint)
{
	for (uint32_t i = 0; i < onward->redirect.n_targets; i++) {
		const struct addr *addr = &onward->all[i];
		struct endpoint target;

		if (endpoint_from_sockaddr(&addr->sa, addr->len, &target) &&
			target.port == endpoint->port &&
			memcmp(&target.ip, &endpoint->ip, sizeof target.ip) == 0)
			return true;
	}
	return false;
}

static void free_search(struct search **search)
{
	search_free(*search);
}

/* To connect such a socket takes no time; that no port is free for it is told as EAGAIN, for
 * which a search would wait. */
int onward_open(struct onward *onward, struct onward_way *ret, uint64_t now)
{
	_cleanup_(free_search) struct search *search = NULL;
	int r = search_new(onward->targets, &onward->redirect, &search);

	if (r < 0)
		return r;
	switch (search_go(search, 0, now)) {
	case SEARCH_FOUND:
		*ret = (struct onward_way){.target = *search_target(search)};
		ret->fd = search_take(search);
		return 0;
	case SEARCH_FAILED:
		return search_is_unreachable(search) ? -EHOSTUNREACH : -search_error(search);
	default:
		return -EAGAIN;
	}
}

/* ------------------------------------------------------------------- there and back */

/* What passes is the loss of that one only. */
static int tell_error(int error)
{
	switch (error) {
	case EINTR:
	case ENOMEM:
	case ENOBUFS:
		return -ENOBUFS;
	default:
		return -error;
	}
}

int onward_send(const struct onward_way *way, const void *bytes, size_t len, int hops)
{
	bool v6 = addr_family(&way->target) == AF_INET6;
	struct iovec piece = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	union pktinfo_out control;

	message.msg_control = &control;
	pktinfo_put_hops(&message, v6 ? AF_INET6 : AF_INET, hops - 1);
	if (sendmsg(way->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return tell_error(errno);
}

ssize_t onward_receive(struct onward *onward, struct onward_way *way, void *bytes, size_t size)
{
	ssize_t n = recv(way->fd, bytes, size, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (!way->heard)
		targets_answered(onward->targets, onward->redirect.service, &way->target);
	way->heard = true;
	return (size_t)n > size ? -EMSGSIZE : n;
}

void onward_failed(struct onward *onward, const struct onward_way *way, int error, uint64_t now)
{
	targets_failed(onward->targets, onward->redirect.service, &way->target, error, now);
}
