/*
 * crowd: many connections that stay.  Each goes to a program that writes
 * something, waits for a byte, and ends (tests/bench/hold).
 *
 *	crowd CONNECTIONS PORT
 *
 * connects to 127.0.0.1, prints "ready" when all programs have written, waits
 * for a line or the end on standard input, lets all programs end at once, and
 * prints "ended BEGIN END": the moments on the monotonic clock, in usec, at
 * which the first was let go and the last connection was closed by the
 * program's end.
 *
 * The programs close first and each connection is reset when we exit, so that
 * none is kept in TIME_WAIT, and nothing delays our look at the next.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define USEC_PER_SEC 1000000

/* Not served yet: no more than the shortest queue of a listener that there is. */
#define PENDING_MAX 32

#define EVENTS_MAX 256

struct crowd {
	int epoll;
	uint16_t port;
	size_t n;
	int *fds;
	size_t n_begun;
	size_t n_served;
	size_t n_ended;
};

static void die(const char *what)
{
	fprintf(stderr, "crowd: unable to %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long long now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long long)ts.tv_sec * USEC_PER_SEC +
	       (unsigned long long)ts.tv_nsec / 1000;
}

static void begin(struct crowd *crowd)
{
	static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(crowd->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.fd = fd,
	};

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		die("open a socket");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) < 0 && errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("watch a socket");
	crowd->fds[crowd->n_begun++] = fd;
}

/* Something has been written, or the end has come. */
static void handle(struct crowd *crowd, int fd, bool ending)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof buf, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		crowd->n_served++;
		return;
	}
	if (!ending) {
		if (n == 0)
			errno = ECONNRESET;
		die("hold a connection");
	}
	crowd->n_ended++;
}

static void take_turn(struct crowd *crowd, bool ending)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(crowd->epoll, events, EVENTS_MAX, -1);

	for (int i = 0; i < n; i++)
		handle(crowd, events[i].data.fd, ending);
}

static void gather(struct crowd *crowd)
{
	while (crowd->n_served < crowd->n) {
		while (crowd->n_begun < crowd->n &&
			crowd->n_begun - crowd->n_served < PENDING_MAX)
			begin(crowd);
		take_turn(crowd, false);
	}
}

static void scatter(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->n; i++)
		send(crowd->fds[i], "", 1, MSG_NOSIGNAL);
	while (crowd->n_ended < crowd->n)
		take_turn(crowd, true);
}

static void wait_for_word(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
		;
}

int main(int argc, char **argv)
{
	unsigned long long begin_usec;
	struct crowd crowd = {0};

	if (argc != 3) {
		fprintf(stderr, "Usage: crowd CONNECTIONS PORT\n");
		return 2;
	}
	crowd.n = strtoul(argv[1], NULL, 10);
	crowd.port = (uint16_t)strtoul(argv[2], NULL, 10);
	crowd.fds = calloc(crowd.n, sizeof *crowd.fds);
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!crowd.fds || crowd.epoll < 0)
		die("begin");

	gather(&crowd);
	puts("ready");
	fflush(stdout);
	wait_for_word();
	begin_usec = now_usec();
	scatter(&crowd);
	printf("ended %llu %llu\n", begin_usec, now_usec());
	free(crowd.fds);
	return 0;
}
