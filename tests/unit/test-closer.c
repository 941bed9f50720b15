/*
 * closer: what is handed over is closed, counted until then, and waits for
 * nobody.
 */
#include "base/clock.h"
#include "base/own.h"
#include "os/closer.h"
#include "os/rights.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define PAIRS  200
#define TICKET 7

/* Its end of file says that the other end is closed. */
static void wait_for_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(read(fd, &byte, 1), 0);
}

/* The count goes down right after the close. */
static void wait_for_none(const uint32_t *pending)
{
	uint64_t deadline = clock_monotonic() + 10 * USEC_PER_SEC;

	while (__atomic_load_n(pending, __ATOMIC_ACQUIRE) != 0) {
		assert_true(clock_monotonic() < deadline);
		sched_yield();
	}
}

static void close_by(
	struct closer *closer, int fd, uint64_t ticket, bool tell, uint32_t *pending)
{
	const struct closer_job job = {
		.fd = fd,
		.tell = tell,
		.ticket = ticket,
		.pending = pending,
	};

	closer_close(closer, &job, clock_monotonic());
}

/* A message is thrown away first, with a descriptor that is with it, also where another copy of
 * the socket stays. */
static void test_drops_a_message(void **state)
{
	struct closer_job job = {.drop = true, .ticket = TICKET};
	int pair[2], ends[2], kept;
	uint32_t pending = 0;
	struct closer *closer;
	struct iovec part = {.iov_base = "one", .iov_len = 3};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union rights_room room;
	char text[4];

	(void)state;
	assert_int_equal(closer_new(1, &closer), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(pipe(ends), 0);
	rights_put(&message, &room, &ends[1], 1);
	assert_int_equal(sendmsg(pair[1], &message, 0), 3);
	assert_int_equal(send(pair[1], "two", 3, 0), 3);
	close(ends[1]);
	kept = dup(pair[0]);
	job.fd = pair[0];
	job.pending = &pending;
	closer_close(closer, &job, clock_monotonic());
	closer_tend(closer, TICKET + 1, clock_monotonic());
	wait_for_end(ends[0]);
	wait_for_none(&pending);
	assert_int_equal(recv(kept, text, sizeof text, MSG_DONTWAIT), 3);
	assert_memory_equal(text, "two", 3);
	close(kept);
	close(pair[1]);
	close(ends[0]);
	closer_done(closer);
}

static void test_closes_many(void **state)
{
	int pairs[PAIRS][2];
	uint32_t pending = 0;
	struct closer *closer;

	(void)state;
	assert_int_equal(closer_new(PAIRS, &closer), 0);
	for (int i = 0; i < PAIRS; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
		close_by(closer, pairs[i][0], TICKET, false, &pending);
	}
	assert_int_equal(pending, PAIRS);
	assert_true(closer_tend(closer, TICKET + 1, clock_monotonic()) != USEC_INFINITY);
	for (int i = 0; i < PAIRS; i++) {
		wait_for_end(pairs[i][1]);
		close(pairs[i][1]);
	}
	wait_for_none(&pending);
	assert_true(closer_tend(closer, TICKET + 1, clock_monotonic()) == USEC_INFINITY);
	closer_done(closer);
}

static void test_nothing_to_do(void **state)
{
	struct closer *closer;

	(void)state;
	assert_int_equal(closer_new(1, &closer), 0);
	assert_true(closer_tend(closer, TICKET + 1, clock_monotonic()) == USEC_INFINITY);
	closer_done(closer);
	closer_done(NULL);
}

static int listen_on_loopback(struct sockaddr_in *addr)
{
	socklen_t len = sizeof *addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*addr = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)addr, sizeof *addr), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	return fd;
}

/* A connection whose close would wait for an hour: nobody reads what is unsent. */
static int make_lingering(int *ret_peer)
{
	static const char data[65536];
	struct linger hour = {.l_onoff = 1, .l_linger = 3600};
	struct sockaddr_in addr;
	int listener = listen_on_loopback(&addr), fd;

	*ret_peer = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*ret_peer, (struct sockaddr *)&addr, sizeof addr), 0);
	fd = accept4(listener, NULL, NULL, 0);
	assert_true(fd >= 0);
	close(listener);
	while (send(fd, data, sizeof data, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hour, sizeof hour), 0);
	return fd;
}

static void test_does_not_linger(void **state)
{
	uint32_t pending = 0;
	struct closer *closer;
	int peer;

	(void)state;
	assert_int_equal(closer_new(4, &closer), 0);
	close_by(closer, make_lingering(&peer), TICKET, false, &pending);
	closer_tend(closer, TICKET + 1, clock_monotonic());
	wait_for_none(&pending);
	close(peer);
	closer_done(closer);
}

/* A child that was started before may have a copy: not yet. */
static void test_waits_for_the_ticket(void **state)
{
	uint32_t pending = 0;
	struct closer *closer;
	struct pollfd p = {.events = POLLIN};
	int ends[2], others[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pipe(others), 0);
	assert_int_equal(closer_new(4, &closer), 0);
	close_by(closer, others[1], TICKET - 1, false, &pending);
	close_by(closer, ends[1], TICKET, false, &pending);
	closer_tend(closer, TICKET, clock_monotonic());
	wait_for_end(others[0]);

	p.fd = ends[0];
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_true(closer_tend(closer, TICKET, clock_monotonic()) == USEC_INFINITY);
	assert_true(closer_tend(closer, TICKET + 1, clock_monotonic()) != USEC_INFINITY);
	wait_for_end(ends[0]);
	wait_for_none(&pending);
	close(ends[0]);
	close(others[0]);
	closer_done(closer);
}

/* Only of those for which somebody waits. */
static void test_tells(void **state)
{
	uint32_t pending = 0;
	struct closer *closer;
	struct pollfd p = {.events = POLLIN};
	int ends[2], others[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pipe(others), 0);
	assert_int_equal(closer_new(4, &closer), 0);
	p.fd = closer_done_fd(closer);
	close_by(closer, others[1], TICKET, false, &pending);
	closer_tend(closer, TICKET + 1, clock_monotonic());
	wait_for_none(&pending);
	assert_int_equal(poll(&p, 1, 0), 0);

	close_by(closer, ends[1], TICKET, true, &pending);
	closer_tend(closer, TICKET + 1, clock_monotonic());
	assert_int_equal(poll(&p, 1, -1), 1);
	wait_for_end(ends[0]);
	wait_for_none(&pending);
	close(ends[0]);
	close(others[0]);
	closer_done(closer);
}

static int close_patiently(struct closer *closer, uint64_t now, uint32_t *pending)
{
	struct closer_job job = {.ticket = TICKET, .pending = pending, .patient = true};
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	job.fd = ends[1];
	closer_close(closer, &job, now);
	return ends[0];
}

static void is_closed(int fd)
{
	wait_for_end(fd);
	close(fd);
}

/* Nobody waits for it: after a while, or with one that somebody waits for, or with many. */
static void test_does_some_together(void **state)
{
	uint64_t now = clock_monotonic(), due;
	uint32_t pending = 0;
	struct closer *closer;
	int first, second, ends[2], many[64];

	(void)state;
	assert_int_equal(closer_new(128, &closer), 0);
	first = close_patiently(closer, now, &pending);
	due = closer_tend(closer, TICKET + 1, now);
	assert_true(due > now && due < now + USEC_PER_SEC);
	assert_int_equal(pending, 1);
	closer_tend(closer, TICKET + 1, due);
	is_closed(first);
	wait_for_none(&pending);

	second = close_patiently(closer, now, &pending);
	assert_int_equal(pipe(ends), 0);
	close_by(closer, ends[1], TICKET, false, &pending);
	closer_tend(closer, TICKET + 1, now);
	is_closed(second);
	is_closed(ends[0]);
	wait_for_none(&pending);

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = close_patiently(closer, now, &pending);
	closer_tend(closer, TICKET + 1, now);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		is_closed(many[i]);
	closer_done(closer);
}

/* What is left at the end is still closed. */
static void test_ends_with_work_left(void **state)
{
	uint32_t pending = 0;
	struct closer *closer;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(closer_new(4, &closer), 0);
	close_by(closer, ends[1], TICKET, false, &pending);
	closer_tend(closer, TICKET + 1, clock_monotonic());
	closer_done(closer);
	wait_for_end(ends[0]);
	wait_for_none(&pending);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closes_many),
		cmocka_unit_test(test_drops_a_message),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_does_not_linger),
		cmocka_unit_test(test_waits_for_the_ticket),
		cmocka_unit_test(test_tells),
		cmocka_unit_test(test_does_some_together),
		cmocka_unit_test(test_ends_with_work_left),
	};

	return cmocka_run_group_tests_name("closer", tests, NULL, NULL);
}
