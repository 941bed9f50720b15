/*
 * hatchd-bytes: hears from the kernel how many bytes went over connections that are over.
 *
 * The kernel tells of every TCP connection of the network name space, whoever had it, and
 * these may be many thousands in a second.  So it is this process that listens, and tells the
 * master of those that it has named.
 * It has no rights, no descriptors but one socket to the master and two to the kernel, and
 * ends when the first does.  It is in a sandbox as workers are: what it reads of the kernel's
 * strangers have a part in.
 *
 * What the kernel has told is kept in a buffer of its own.  When that is full, the rest is
 * lost; the master is told so, now and then, and what it is not told of it does not know.
 */
#include "base/clock.h"
#include "base/own.h"
#include "base/tcp-diag.h"
#include "base/tcp-end.h"
#include "os/bytes_wire.h"
#include "os/helper.h"
#include "os/no_rights.h"
#include "os/sandbox.h"
#include "os/watchlist.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* Of user and group, as hatchd-ask has one of its own. */
#define UNPRIVILEGED 65530

/* For some 50,000 ends that are not read yet; the kernel allows twice as much for them. */
#define ROOM (32 << 20)

/* The sockets, standard output and error. */
#define FDS_MAX 8

/* Taken from the kernel at once. */
#define BATCH 64

struct ends {
	int fd;      /* where the kernel tells of them */
	int diag_fd; /* where it is asked after what is left */
	struct watchlist watched;
	uint64_t may_tell_lost; /* usec, monotonic: not before */
	char messages[BATCH][TCP_END_MAX];
	struct sockaddr_nl senders[BATCH];
	struct iovec parts[BATCH];
	struct mmsghdr headers[BATCH];
};

/* The master is gone if it cannot be told, and so is everybody's work. */
static void tell(const struct bytes_news *news)
{
	if (send(HELPER_SOCKET_FD, news, sizeof *news, MSG_NOSIGNAL) < 0)
		_exit(0);
}

static void obey(struct ends *ends, const struct bytes_order *order)
{
	uint64_t ticket;

	/* Without memory it is one that nobody hears of. */
	if (order->kind == BYTES_WATCH)
		(void)!watchlist_add(&ends->watched, order->cookie, order->ticket);
	else
		watchlist_take(&ends->watched, order->cookie, &ticket);
}

/* All there are. */
static void take_orders(struct ends *ends)
{
	struct bytes_order order;
	ssize_t n;

	while ((n = recv(HELPER_SOCKET_FD, &order, sizeof order, MSG_DONTWAIT)) > 0)
		if (n == sizeof order)
			obey(ends, &order);
	if (n == 0)
		_exit(0);
}

static void judge(struct ends *ends, const void *message, size_t len)
{
	struct bytes_news news = {.kind = BYTES_ENDED};
	struct tcp_end end;

	if (tcp_end_read(message, len, &end) < 0 ||
		!watchlist_take(&ends->watched, end.cookie, &news.ticket))
		return;
	tcp_end_settle(ends->diag_fd, &end);
	news.bytes = end.bytes;
	tell(&news);
}

static void tell_lost(struct ends *ends)
{
	const struct bytes_news lost = {.kind = BYTES_LOST};
	uint64_t now = clock_monotonic();

	if (now < ends->may_tell_lost)
		return;
	ends->may_tell_lost = now + BYTES_LOST_PAUSE;
	tell(&lost);
}

/* Orders that are older than the news come before them. */
static void hear(struct ends *ends)
{
	int n = recvmmsg(ends->fd, ends->headers, BATCH, MSG_DONTWAIT, NULL);

	if (n < 0 && errno == ENOBUFS)
		tell_lost(ends);
	take_orders(ends);
	for (int i = 0; i < n; i++)
		if (ends->senders[i].nl_pid == 0) /* the kernel */
			judge(ends, ends->messages[i], ends->headers[i].msg_len);
}

static _Noreturn void work(struct ends *ends)
{
	struct pollfd fds[] = {
		{.fd = HELPER_SOCKET_FD, .events = POLLIN},
		{.fd = ends->fd, .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			hear(ends);
		else
			take_orders(ends);
	}
}

/* While there still are rights to it. */
static int begin(struct ends *ends)
{
	ends->fd = tcp_end_open(ROOM);
	if (ends->fd < 0)
		return ends->fd;
	ends->diag_fd = tcp_diag_open();
	for (size_t i = 0; i < BATCH; i++) {
		ends->parts[i] = (struct iovec){ends->messages[i], TCP_END_MAX};
		ends->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &ends->senders[i],
			.msg_namelen = sizeof ends->senders[i],
			.msg_iov = &ends->parts[i],
			.msg_iovlen = 1,
		};
	}
	return ends->diag_fd < 0 ? ends->diag_fd : tcp_diag_probe();
}

/* Several messages are received with one call. */
static int shut_in(void)
{
	const struct sandbox sandbox = {
		.groups = SANDBOX_DATAGRAMS,
		.max_fds = FDS_MAX,
		.leaves_sockets = true,
	};
	struct sandbox_report report;

	return sandbox_enter(&sandbox, &report);
}

int main(void)
{
	static struct ends ends;
	struct bytes_news ready = {.kind = BYTES_READY};
	sigset_t all;

	prctl(PR_SET_NAME, "hatchd-bytes");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	ready.result = begin(&ends);
	if (no_rights(UNPRIVILEGED) < 0)
		return 1;
	if (ready.result == 0)
		ready.result = shut_in();
	tell(&ready);
	if (ready.result == 0)
		work(&ends);
	_exit(0);
}
