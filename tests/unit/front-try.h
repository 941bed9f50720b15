/*
 * front-try: one connection at hatchd-front, for tests: its client, its loop, its clock, and
 * the program that gets it afterwards.
 *
 * UNIX sockets hand over at once what is sent, so that nothing has to be waited for.  What
 * the loop waits for, it waits for with a real epoll set, and time stands still unless a
 * test moves it.
 */
#ifndef HATCHD_TESTS_FRONT_TRY_H
#define HATCHD_TESTS_FRONT_TRY_H

#include "proxy-feed.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/front.h"
#include "workers/front/front.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define TRY_NOW      UINT64_C(7000000)
#define TRY_PATIENCE (5 * USEC_PER_SEC)

#define V1_LINE   "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
#define V1_SOURCE "tcp:192.0.2.1:56324"
#define V1_TARGET "tcp:198.51.100.2:443"

/* A banner and the like, of a literal. */
#define FRONT_BYTES(text) \
	((struct front_bytes){.data = (const uint8_t *)(text), .len = sizeof(text) - 1})

static struct {
	struct front *front;
	int client;
	int program; /* what the program gets */
	int set;
	uint32_t watched;
	uint64_t now;
	bool goes_on;
	struct channel_facts facts; /* of its offer */
	struct words_shelf shelf;
} try = {.client = -EBADF, .program = -EBADF, .set = -EBADF};

/* ------------------------------------------------------------------------ the loop */

static inline void try_watch(void)
{
	struct epoll_event event = {.events = try.goes_on ? front_events(try.front) : 0};
	int operation = EPOLL_CTL_MOD;

	if (event.events == try.watched)
		return;
	if (try.watched == 0)
		operation = EPOLL_CTL_ADD;
	else if (event.events == 0)
		operation = EPOLL_CTL_DEL;
	assert_int_equal(epoll_ctl(try.set, operation, front_fd(try.front), &event), 0);
	try.watched = event.events;
}

static inline void try_after(bool goes_on)
{
	try.goes_on = goes_on;
	try_watch();
}

/* One turn: false: there is nothing to do, after so many ms. */
static inline bool try_turn(int timeout)
{
	struct epoll_event event = {.events = 0};

	if (!try.goes_on)
		return false;
	if (front_due(try.front) > try.now && epoll_wait(try.set, &event, 1, timeout) == 0)
		return false;
	try_after(front_go(try.front, event.events, try.now));
	return true;
}

static inline void try_turns(void)
{
	for (int i = 0; try_turn(0); i++)
		assert_in_range(i, 0, 100000);
}

static inline void try_at(uint64_t now)
{
	try.now = now;
	try_turns();
}

/* -------------------------------------------------------------- begin, and the end */

static inline int try_memory(const void *bytes, size_t len)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, 0), len);
	return fd;
}

static inline struct words *try_words(const struct front_text *text)
{
	struct words *words;
	struct wire_writer w;
	int fd;

	wire_writer_init(&w);
	assert_int_equal(front_text_write(text, &w), 0);
	fd = try_memory(w.data, w.len);
	wire_writer_done(&w);
	assert_int_equal(words_get(&try.shelf, fd, &words), 0);
	close(fd);
	return words;
}

/* `text` NULL: there is none.  `server` is taken. */
static inline void try_begin_on(
	int server, unsigned what, const struct front_text *text, uint64_t patience)
{
	struct front_setup setup = {
		.what = what,
		.words = text ? try_words(text) : NULL,
		.patience = patience,
		.now = TRY_NOW,
	};

	try.now = TRY_NOW;
	try.watched = 0;
	try.set = epoll_create1(EPOLL_CLOEXEC);
	try.program = fcntl(server, F_DUPFD_CLOEXEC, 0);
	assert_true(try.set >= 0 && try.program >= 0);
	assert_int_equal(front_new(&setup, server, &try.front), 0);
	try.goes_on = true;
}

static inline int try_pair(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	try.client = ends[0];
	return ends[1];
}

/* And its first step. */
static inline void try_begin(unsigned what, const struct front_text *text)
{
	try_begin_on(try_pair(), what, text, TRY_PATIENCE);
	try_after(front_go(try.front, 0, try.now));
	try_turns();
}

static inline void try_end(void)
{
	try.front = front_free(try.front);
	try.client = fd_close(try.client);
	try.program = fd_close(try.program);
	try.set = fd_close(try.set);
	for (size_t i = 0; i < WORDS_BUCKETS; i++)
		assert_null(try.shelf.buckets[i]);
}

/* For cmocka: also where a test has failed. */
static inline int try_tear_down(void **state)
{
	(void)state;
	if (try.front)
		try_end();
	return 0;
}

#define TRY_TEST(f) cmocka_unit_test_teardown(f, try_tear_down)

/* -------------------------------------------------------------------- the client */

static inline void try_say(const void *bytes, size_t len)
{
	assert_int_equal(send(try.client, bytes, len, MSG_NOSIGNAL), len);
	try_turns();
}

static inline void try_say_slowly(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		try_say((const char *)bytes + i, 1);
}

static inline void try_stop_saying(void)
{
	assert_int_equal(shutdown(try.client, SHUT_WR), 0);
	try_turns();
}

static inline void try_leave(void)
{
	try.client = fd_close(try.client);
	try_turns();
}

static inline void hears(const void *bytes, size_t len)
{
	_cleanup_free_ char *buf = malloc(len + 1);

	assert_int_equal(recv(try.client, buf, len + 1, MSG_DONTWAIT), len);
	assert_memory_equal(buf, bytes, len);
}

static inline void hears_nothing(void)
{
	char byte;

	assert_int_equal(recv(try.client, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static inline void hears_the_end(void)
{
	char byte;

	assert_int_equal(recv(try.client, &byte, 1, MSG_DONTWAIT), 0);
}

/* ------------------------------------------------------------ what becomes of it */

static inline void is_open(void)
{
	assert_true(try.goes_on);
}

static inline void is_over(enum channel_result result)
{
	assert_false(try.goes_on);
	assert_int_equal(front_result(try.front), result);
	assert_int_equal(front_events(try.front), 0);
	assert_true(front_due(try.front) == USEC_INFINITY);
}

/* Nobody has changed what the socket is. */
static inline void is_as_it_was(void)
{
	int low;
	socklen_t len = sizeof low;

	assert_int_equal(fcntl(try.program, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(getsockopt(try.program, SOL_SOCKET, SO_RCVLOWAT, &low, &len), 0);
	assert_int_equal(low, 1);
}

/* The program gets exactly that. */
static inline void is_left(const void *bytes, size_t len)
{
	_cleanup_free_ char *buf = malloc(len + 1);
	ssize_t n = recv(try.program, buf, len + 1, MSG_DONTWAIT);

	assert_int_equal(n, len > 0 ? (ssize_t)len : -1);
	if (len > 0)
		assert_memory_equal(buf, bytes, len);
	is_as_it_was();
}

static inline void is_address(
	const struct channel_address *address, enum addr_kind kind, const char *text)
{
	char buf[ADDR_TEXT_MAX];
	struct addr addr;

	assert_true(address->family == AF_INET || address->family == AF_INET6);
	addr_from_ip(
		kind, address->ip, address->family == AF_INET ? 4 : 16, address->port, &addr);
	assert_string_equal(addr_format(&addr, buf), text);
}

static inline void is_nothing(const struct channel_facts *facts)
{
	static const struct channel_facts nothing;

	assert_memory_equal(facts, &nothing, sizeof nothing);
}

/* It asks, once. */
static inline void is_offered(void)
{
	memset(&try.facts, 0xff, sizeof try.facts);
	assert_true(try.goes_on);
	assert_true(front_offer(try.front, &try.facts));
	assert_false(front_offer(try.front, &try.facts));
	try_watch();
}

static inline void is_not_offered(void)
{
	assert_false(front_offer(try.front, &try.facts));
}

static inline void is_judged(enum channel_verdict verdict, bool plus)
{
	try_after(front_verdict(try.front, verdict, plus, try.now));
	try_turns();
}

/* Passed, and what was offered is what is passed. */
static inline void is_passed(void)
{
	struct channel_facts facts;

	is_over(CHANNEL_PASSED);
	front_facts(try.front, &facts);
	assert_memory_equal(&facts, &try.facts, sizeof facts);
}

static inline struct channel_facts facts(void)
{
	struct channel_facts got;

	front_facts(try.front, &got);
	return got;
}

static inline void learned_nothing(void)
{
	struct channel_facts got = facts();

	is_nothing(&got);
}

#endif
