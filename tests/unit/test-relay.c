/*
 * relay: two sockets and what goes between them, over TCP and UNIX, with pipes and without,
 * and ends that are slow, silent, rude, or gone.
 *
 * Nothing is waited for but with poll(2): the tests are both ends, and call the relay when
 * its sockets are ready.
 */
#include "workers/relay/relay.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cmocka.h>

/* A test that waits for ever ends here. */
#define PATIENCE 60

#define MUCH (UINT64_C(10) * 1024 * 1024)

/* What is between them; each test runs with each of these. */
struct setting {
	bool client_tcp, target_tcp;
	bool plain; /* there are no pipes */
};

static const struct setting *setting;

/* The ends that the relay does not have. */
static int ends[2];
static struct relay_pipes pipes;
static struct relay *relay;

static bool short_of_memory;
static int pending_error; /* what SO_ERROR says; 0: the truth */
static uint64_t now;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return short_of_memory ? NULL : __real_malloc(size);
}

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int r = __real_getsockopt(fd, level, name, value, len);

	if (level == SOL_SOCKET && name == SO_ERROR && pending_error != 0)
		*(int *)value = pending_error;
	return r;
}

/* ---------------------------------------------------------------------- the stage */

/* Buffers that do not grow, or filling them takes the kernel seconds. */
static int make_tcp(void)
{
	static const int size = 128 * 1024;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return fd;
}

static void pair_tcp(int ret[2])
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int listener = make_tcp();
	socklen_t len = sizeof sin;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	ret[0] = make_tcp();
	assert_int_equal(connect(ret[0], (struct sockaddr *)&sin, len), 0);
	ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret[1] >= 0);
	close(listener);
}

static int make_end(enum relay_side side, bool tcp)
{
	int fds[2];

	if (tcp)
		pair_tcp(fds);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ends[side] = fds[0];
	return fds[1];
}

static int set_up(void **state)
{
	int client, target;

	setting = *state;
	alarm(PATIENCE);
	pipes.refused = setting->plain;
	now = 1;
	client = make_end(RELAY_CLIENT, setting->client_tcp);
	target = make_end(RELAY_TARGET, setting->target_tcp);
	return relay_new(&pipes, client, target, &relay);
}

static int tear_down(void **state)
{
	(void)state;
	short_of_memory = false;
	pending_error = 0;
	relay = relay_free(relay);
	fd_close(ends[0]);
	fd_close(ends[1]);
	relay_pipes_done(&pipes);
	alarm(0);
	return 0;
}

static bool is_tcp(enum relay_side side)
{
	return side == RELAY_CLIENT ? setting->client_tcp : setting->target_tcp;
}

/* As an epoll set would report it: 0 is not in it, and EPOLLERR is what poll(2) reports
 * without being asked. */
static struct pollfd waits_for(enum relay_side side)
{
	uint32_t events = relay_events(relay, side);

	return (struct pollfd){
		.fd = events ? relay_fd(relay, side) : -1,
		.events = (short)(events & ~(uint32_t)EPOLLERR),
	};
}

/* What is looked at again and again needs no clock; what is waited for does (pass_time()). */
static void turn_if_due(void)
{
	uint64_t due = relay_due(relay);

	if (due > now + RELAY_PAUSE_MAX)
		return;
	now = due > now ? due : now;
	relay_go(relay, RELAY_CLIENT, 0, now);
}

static void pass_time(uint64_t usec)
{
	now += usec;
	if (relay_due(relay) <= now)
		relay_go(relay, RELAY_CLIENT, 0, now);
}

/* One turn.  False: there was nothing to do, in that time. */
static bool turn(int timeout)
{
	struct pollfd p[] = {waits_for(RELAY_CLIENT), waits_for(RELAY_TARGET)};
	int n;

	if (relay_end(relay) != RELAY_OPEN)
		return false;
	n = poll(p, 2, timeout);
	assert_true(n >= 0);
	for (unsigned side = 0; side < 2; side++)
		if (p[side].revents != 0)
			relay_go(relay, side, (uint32_t)(unsigned short)p[side].revents, now);
	turn_if_due();
	assert_true(relay_held(relay) <= 2 * RELAY_PIPE);
	return n > 0;
}

/* Until nothing is left to do. */
static void turn_all(void)
{
	while (turn(0))
		;
}

/* Of a few bytes. */
static void turn_few(void)
{
	for (int i = 0; turn(0); i++)
		assert_true(i < 20);
}

static void turn_until_over(void)
{
	while (relay_end(relay) == RELAY_OPEN)
		turn(relay_due(relay) == USEC_INFINITY ? -1 : 1);
}

/* Until it is known that nothing can go there, while what came from there is held. */
static void turn_until_unwatched(enum relay_side side)
{
	while (relay_events(relay, side) != 0)
		turn(1);
}

/* Until there is something to read at that end. */
static void turn_until_heard(enum relay_side side)
{
	struct pollfd p = {.fd = ends[side], .events = POLLIN};

	while (poll(&p, 1, 0) == 0)
		turn(10);
}

static void say(enum relay_side side, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(ends[side], text, len, MSG_NOSIGNAL), len);
}

static void hears(enum relay_side side, const char *text)
{
	size_t len = strlen(text), n = 0;
	char heard[256];

	while (n < len) {
		ssize_t r;

		turn_until_heard(side);
		r = recv(ends[side], heard + n, len - n, 0);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_memory_equal(heard, text, len);
}

static void hears_end(enum relay_side side)
{
	char c;

	turn_until_heard(side);
	assert_int_equal(recv(ends[side], &c, 1, 0), 0);
}

/* The last that is heard, when the relay is over. */
static void hears_reset(enum relay_side side)
{
	char bytes[4096];
	ssize_t n;

	relay = relay_free(relay);
	do
		n = recv(ends[side], bytes, sizeof bytes, 0);
	while (n > 0);
	if (is_tcp(side)) {
		assert_int_equal(n, -1);
		assert_int_equal(errno, ECONNRESET);
	}
}

/* With a reset, where there is one; else with bytes that nobody has read. */
static void reset(enum relay_side side)
{
	static const struct linger hard = {.l_onoff = 1};

	setsockopt(ends[side], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	ends[side] = fd_close(ends[side]);
}

static enum relay_side other(enum relay_side side)
{
	return side == RELAY_CLIENT ? RELAY_TARGET : RELAY_CLIENT;
}

/* All that comes there, until an end or a reset, or until the relay would close its sockets.
 * How many bytes. */
static uint64_t hears_all(enum relay_side side)
{
	char bytes[65536];
	uint64_t sum = 0;
	ssize_t n;

	for (;;) {
		n = recv(ends[side], bytes, sizeof bytes, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return sum;
		if (n < 0 && relay_end(relay) != RELAY_OPEN)
			return sum;
		sum += n > 0 ? (uint64_t)n : 0;
		turn(n > 0 ? 0 : 1);
	}
}

static void hang_up(enum relay_side side)
{
	ends[side] = fd_close(ends[side]);
}

/* Say so much that nothing more goes, with an end that does not read.  How many bytes. */
static uint64_t stuff(enum relay_side side)
{
	static const char bytes[65536];
	uint64_t sum = 0;
	ssize_t n;

	do {
		n = send(ends[side], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		sum += n > 0 ? (uint64_t)n : 0;
	} while (turn(20) || n > 0);
	return sum;
}

static void assert_counts(uint64_t in, uint64_t out)
{
	assert_int_equal(relay_bytes_from(relay, RELAY_CLIENT), in);
	assert_int_equal(relay_bytes_to(relay, RELAY_TARGET), in);
	assert_int_equal(relay_bytes_from(relay, RELAY_TARGET), out);
	assert_int_equal(relay_bytes_to(relay, RELAY_CLIENT), out);
}

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ----------------------------------------------------------------------- the tests */

static void test_passes_on(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		say(RELAY_CLIENT, "Bom dia");
		hears(RELAY_TARGET, "Bom dia");
		say(RELAY_TARGET, "Hello, world!");
		hears(RELAY_CLIENT, "Hello, world!");
	}
	assert_counts(700, 1300);
	close(ends[RELAY_CLIENT]);
	ends[RELAY_CLIENT] = -1;
	hears_end(RELAY_TARGET);
	ends[RELAY_TARGET] = fd_close(ends[RELAY_TARGET]);
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_DONE);
	assert_int_equal(relay_events(relay, RELAY_CLIENT), 0);
	assert_int_equal(relay_events(relay, RELAY_TARGET), 0);
}

/* Before what was said already, also by somebody who is gone. */
static void test_greeting(void **state)
{
	(void)state;
	say(RELAY_CLIENT, "question");
	hang_up(RELAY_CLIENT);
	relay_greet(relay, RELAY_TARGET, (uint8_t *)strdup("who he is, "), 11);
	assert_int_equal(relay_held(relay), 11);
	relay_go(relay, RELAY_CLIENT, 0, now);
	hears(RELAY_TARGET, "who he is, question");
	hears_end(RELAY_TARGET);
	assert_int_equal(relay_bytes_from(relay, RELAY_CLIENT), 8);
	assert_int_equal(relay_bytes_to(relay, RELAY_TARGET), 19);
}

/* And if there is nobody to be told any more, it is freed. */
static void test_greeting_in_vain(void **state)
{
	(void)state;
	relay_greet(relay, RELAY_TARGET, (uint8_t *)strdup("who he is, "), 11);
	relay_abort(relay);
	relay = relay_free(relay);
	assert_int_equal(
		recv(ends[RELAY_TARGET], &(char){0}, 1, 0), is_tcp(RELAY_TARGET) ? -1 : 0);
}

static void say_urgent(enum relay_side side)
{
	say(side, "stop ");
	assert_int_equal(send(ends[side], "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
	say(side, " at once");
}

/* splice(2) stops before such a byte for ever, and epoll reports that something is there. */
static void test_urgent_byte(void **state)
{
	(void)state;
	for (enum relay_side side = RELAY_CLIENT; side <= RELAY_TARGET; side++) {
		say_urgent(side);
		hears(other(side), "stop ! at once");
		turn_few();
		say_urgent(side);
		hears(other(side), "stop ! at once");
		turn_few();
	}
	assert_counts(28, 28);
}

/* And with an end behind it, it says that this is the end. */
static void test_urgent_byte_and_end(void **state)
{
	(void)state;
	for (enum relay_side side = RELAY_CLIENT; side <= RELAY_TARGET; side++) {
		say_urgent(side);
		shutdown(ends[side], SHUT_WR);
		hears(other(side), "stop ! at once");
		hears_end(other(side));
		turn_few();
	}
	assert_counts(14, 14);
	assert_int_equal(relay_end(relay), RELAY_DONE);
}

/* Until the relay can read so much from there at once.  What a UNIX socket is sent is there. */
static void wait_for_bytes(enum relay_side side, int n)
{
	int fd = relay_fd(relay, side), usual = 1;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	(void)!setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n);
	assert_int_equal(poll(&p, 1, -1), 1);
	(void)!setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &usual, sizeof usual);
}

/* Among so many others that they go through a pipe. */
static void test_urgent_byte_among_many(void **state)
{
	static const char bytes[48 * 1024];
	static char heard[2 * sizeof bytes + 1];
	size_t n = 0;

	(void)state;
	assert_int_equal(send(ends[RELAY_CLIENT], bytes, sizeof bytes, 0), sizeof bytes);
	assert_int_equal(send(ends[RELAY_CLIENT], "!", 1, MSG_OOB), 1);
	assert_int_equal(send(ends[RELAY_CLIENT], bytes, sizeof bytes, 0), sizeof bytes);
	wait_for_bytes(RELAY_CLIENT, RELAY_CHUNK);
	while (n < sizeof heard) {
		ssize_t r;

		turn_until_heard(RELAY_TARGET);
		r = recv(ends[RELAY_TARGET], heard + n, sizeof heard - n, 0);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_int_equal(heard[sizeof bytes - 1], 0);
	assert_int_equal(heard[sizeof bytes], '!');
	assert_int_equal(heard[sizeof bytes + 1], 0);
	turn_few();
	assert_counts(sizeof heard, 0);
	assert_int_equal(pipes.n, setting->plain ? 0 : 1);
}

/* An idle pair has nothing but its sockets, and few bytes are not worth a pipe. */
static void test_idle(void **state)
{
	size_t before = count_fds();

	(void)state;
	say(RELAY_CLIENT, "x");
	hears(RELAY_TARGET, "x");
	say(RELAY_TARGET, "y");
	hears(RELAY_CLIENT, "y");
	turn_all();
	assert_int_equal(relay_held(relay), 0);
	assert_int_equal(count_fds(), before);
	assert_int_equal(relay_events(relay, RELAY_CLIENT), EPOLLIN);
	assert_int_equal(relay_events(relay, RELAY_TARGET), EPOLLIN);
}

static void half_close(enum relay_side side)
{
	say(side, "all I have");
	shutdown(ends[side], SHUT_WR);
	hears(other(side), "all I have");
	hears_end(other(side));
	turn_all();
	assert_int_equal(relay_end(relay), RELAY_OPEN);
	for (int i = 0; i < 10; i++) {
		say(other(side), "and then");
		hears(side, "and then");
	}
	shutdown(ends[other(side)], SHUT_WR);
	hears_end(side);
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_DONE);
}

static void test_half_close_of_client(void **state)
{
	(void)state;
	half_close(RELAY_CLIENT);
	assert_counts(10, 80);
}

static void test_half_close_of_target(void **state)
{
	(void)state;
	half_close(RELAY_TARGET);
	assert_counts(80, 10);
}

/* From number `first` on; no short piece of it comes again soon. */
static void make_bytes(enum relay_side side, uint64_t first, uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((first + i + side * 77) * 2654435761u >> 13);
}

static void send_more(enum relay_side side, uint64_t *sent)
{
	uint8_t bytes[50000];
	size_t len = MUCH - *sent < sizeof bytes ? (size_t)(MUCH - *sent) : sizeof bytes;
	ssize_t n;

	if (*sent == MUCH)
		return;
	make_bytes(side, *sent, bytes, len);
	n = send(ends[side], bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		*sent += (uint64_t)n;
	if (*sent == MUCH)
		shutdown(ends[side], SHUT_WR);
}

/* True at its end. */
static bool hear_more(enum relay_side side, uint64_t *heard)
{
	uint8_t bytes[70000], expected[sizeof bytes];
	ssize_t n = recv(ends[side], bytes, sizeof bytes, MSG_DONTWAIT);

	if (n <= 0)
		return n == 0;
	make_bytes((enum relay_side)other(side), *heard, expected, (size_t)n);
	assert_memory_equal(bytes, expected, (size_t)n);
	*heard += (uint64_t)n;
	return false;
}

static void test_much_both_ways(void **state)
{
	uint64_t sent[2] = {0, 0}, heard[2] = {0, 0};
	bool ended[2] = {false, false};

	(void)state;
	while (!ended[0] || !ended[1]) {
		for (enum relay_side side = RELAY_CLIENT; side <= RELAY_TARGET; side++) {
			send_more(side, &sent[side]);
			ended[side] = ended[side] || hear_more(side, &heard[side]);
		}
		turn(1);
	}
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_DONE);
	assert_int_equal(heard[0], MUCH);
	assert_int_equal(heard[1], MUCH);
	assert_counts(MUCH, MUCH);
}

static void test_reset_by_client(void **state)
{
	(void)state;
	say(RELAY_TARGET, "not read");
	turn_all();
	reset(RELAY_CLIENT);
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_CLIENT_RESET);
	hears_reset(RELAY_TARGET);
}

static void test_reset_by_target(void **state)
{
	(void)state;
	say(RELAY_CLIENT, "not read");
	turn_all();
	reset(RELAY_TARGET);
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_TARGET_RESET);
	hears_reset(RELAY_CLIENT);
}

/* Who has a copy of his end finds nothing there that looks like an end. */
static void test_reset_of_who_is_spared(void **state)
{
	int copy;
	char byte;

	(void)state;
	if (setting->client_tcp)
		return;
	relay_spare_client(relay);
	copy = dup(relay_fd(relay, RELAY_CLIENT));
	say(RELAY_CLIENT, "not read");
	turn_all();
	reset(RELAY_TARGET);
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_TARGET_RESET);
	relay = relay_free(relay);
	assert_int_equal(recv(ends[RELAY_CLIENT], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(copy);
}

/* Nothing can be read nor written, and it is noticed all the same.  What the target has said
 * is the client's, however long he takes. */
static void test_reset_while_all_is_full(void **state)
{
	uint64_t said, heard;

	(void)state;
	stuff(RELAY_CLIENT);
	said = stuff(RELAY_TARGET);
	reset(RELAY_TARGET);
	turn_until_unwatched(RELAY_TARGET);
	assert_int_equal(relay_end(relay), RELAY_OPEN);
	pass_time(10 * RELAY_LEAVE_TIME);
	assert_int_equal(relay_end(relay), RELAY_OPEN);
	heard = hears_all(RELAY_CLIENT);
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_TARGET_RESET);
	assert_int_equal(heard, relay_bytes_from(relay, RELAY_TARGET));
	assert_int_equal(heard, relay_bytes_to(relay, RELAY_CLIENT));
	if (!setting->target_tcp) /* a reset leaves behind what it overtakes */
		assert_int_equal(heard, said);
}

/* There is nothing to be read from him or written to him at all. */
static void test_reset_by_client_who_is_stopped(void **state)
{
	uint64_t heard;

	(void)state;
	stuff(RELAY_CLIENT);
	assert_int_equal(relay_events(relay, RELAY_CLIENT), EPOLLERR);
	reset(RELAY_CLIENT);
	turn_until_unwatched(RELAY_CLIENT);
	heard = hears_all(RELAY_TARGET);
	assert_int_equal(heard, relay_bytes_from(relay, RELAY_CLIENT));
	if (!setting->client_tcp)
		return;
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_CLIENT_RESET);
}

/* The write fails before the answer is read. */
static void test_answer_of_one_who_does_not_listen(void **state)
{
	(void)state;
	say(RELAY_CLIENT, "POST /");
	hears(RELAY_TARGET, "POST /");
	say(RELAY_CLIENT, "much more");
	say(RELAY_TARGET, "413 that is too large");
	hang_up(RELAY_TARGET);
	relay_go(relay, RELAY_CLIENT, EPOLLIN, now);
	hears(RELAY_CLIENT, "413 that is too large");
	assert_int_equal(hears_all(RELAY_CLIENT), 0);
}

/* It did not break off: it said all it had to say, and hears nothing any more.  Who goes on
 * talking is not cut short. */
static void test_end_of_one_who_does_not_listen(void **state)
{
	(void)state;
	say(RELAY_TARGET, "that is all");
	hang_up(RELAY_TARGET);
	hears(RELAY_CLIENT, "that is all");
	hears_end(RELAY_CLIENT);
	for (int i = 0; i < 10 && relay_end(relay) == RELAY_OPEN; i++) {
		(void)!send(ends[RELAY_CLIENT], "but I", 5, MSG_NOSIGNAL);
		turn_few();
	}
	if (!setting->target_tcp)
		assert_int_equal(relay_end(relay), RELAY_OPEN);
	hang_up(RELAY_CLIENT);
	turn_until_over();
	if (!setting->target_tcp)
		assert_int_equal(relay_end(relay), RELAY_DONE);
}

/* Who has left is told nothing any more, and what he has said last is passed on all the
 * same, to the end. */
static void test_answer_to_one_who_is_gone(void **state)
{
	uint64_t said, heard;

	(void)state;
	said = stuff(RELAY_CLIENT);
	hang_up(RELAY_CLIENT);
	turn_all();
	say(RELAY_TARGET, "220 welcome");
	turn_until_unwatched(RELAY_CLIENT);
	heard = hears_all(RELAY_TARGET);
	hang_up(RELAY_TARGET);
	turn_until_over();
	assert_int_equal(
		relay_end(relay), setting->client_tcp ? RELAY_CLIENT_RESET : RELAY_DONE);
	assert_int_equal(heard, relay_bytes_to(relay, RELAY_TARGET));
	assert_int_equal(heard, relay_bytes_from(relay, RELAY_CLIENT));
	if (!setting->client_tcp) /* TCP answers who has left with a reset */
		assert_int_equal(heard, said);
}

/* It never reads, and does not stop. */
static void test_endless_answer_to_one_who_is_gone(void **state)
{
	static const char bytes[65536];
	uint64_t said = 0;

	(void)state;
	stuff(RELAY_CLIENT);
	hang_up(RELAY_CLIENT);
	while (relay_end(relay) == RELAY_OPEN) {
		ssize_t n = send(
			ends[RELAY_TARGET], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		said += n > 0 ? (uint64_t)n : 0;
		turn(0);
		assert_true(said < 2 * (uint64_t)RELAY_WASTE_MAX);
	}
	assert_int_equal(relay_end(relay), RELAY_CLIENT_RESET);
	hears_reset(RELAY_TARGET);
}

/* What cannot be told apart from a half-close over TCP is known of a UNIX socket. */
static void test_gone_for_good(void **state)
{
	(void)state;
	say(RELAY_CLIENT, "do this");
	hang_up(RELAY_CLIENT);
	hears(RELAY_TARGET, "do this");
	hears_end(RELAY_TARGET);
	turn_all();
	assert_int_equal(relay_end(relay), RELAY_OPEN);
	pass_time(RELAY_LEAVE_TIME - 1);
	assert_int_equal(relay_end(relay), RELAY_OPEN);
	pass_time(1);
	assert_int_equal(relay_end(relay), setting->client_tcp ? RELAY_OPEN : RELAY_DONE);
}

/* What the network has said some time is no end (ip(7)). */
static void test_soft_error(void **state)
{
	(void)state;
	pending_error = EHOSTUNREACH;
	relay_go(relay, RELAY_CLIENT, EPOLLHUP, now);
	say(RELAY_CLIENT, "I am here");
	hears(RELAY_TARGET, "I am here");
	relay_go(relay, RELAY_CLIENT, EPOLLERR, now);
	turn_all();
	assert_int_equal(relay_bytes_to(relay, RELAY_TARGET), 9);
	hang_up(RELAY_CLIENT);
	turn_until_over();
	assert_int_equal(relay_end(relay), RELAY_CLIENT_RESET);
}

/* Who sends to somebody who does not read is stopped; the other direction goes on. */
static void test_who_never_reads(void **state)
{
	uint64_t said = stuff(RELAY_CLIENT);

	(void)state;
	assert_true(relay_held(relay) > 0);
	assert_true(relay_held(relay) <= RELAY_PIPE);
	assert_true(said > relay_bytes_from(relay, RELAY_CLIENT));
	assert_false(relay_events(relay, RELAY_CLIENT) & EPOLLIN);
	assert_true(relay_events(relay, RELAY_TARGET) & EPOLLOUT);
	assert_false(turn(0));
	say(RELAY_TARGET, "but I speak");
	hears(RELAY_CLIENT, "but I speak");
}

/* One that can go on and on leaves room for others. */
static void test_fair_share(void **state)
{
	static const int size = 4 << 20;
	uint64_t said, moved;

	(void)state;
	for (enum relay_side side = RELAY_CLIENT; side <= RELAY_TARGET; side++) {
		setsockopt(ends[side], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
		setsockopt(ends[side], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
		setsockopt(
			relay_fd(relay, side), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
		setsockopt(
			relay_fd(relay, side), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	}
	said = 0;
	for (ssize_t n = 1; n > 0 && said<2 * RELAY_SHARE; said += n> 0 ? (uint64_t)n : 0) {
		static const char bytes[32768];

		n = send(ends[RELAY_CLIENT], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	turn(-1);
	moved = relay_bytes_from(relay, RELAY_CLIENT);
	assert_true(moved > 0);
	assert_true(moved <= RELAY_SHARE + RELAY_PIPE);
}

/* A UNIX socket says at once that it is closed, and has to be read all the same. */
static void test_gone_with_much_said(void **state)
{
	uint64_t said = stuff(RELAY_CLIENT), heard = 0;
	char bytes[65536];

	(void)state;
	ends[RELAY_CLIENT] = fd_close(ends[RELAY_CLIENT]);
	turn_all(); /* for ever, if its end were reported again and again */
	for (;;) {
		ssize_t n;

		turn_until_heard(RELAY_TARGET);
		n = recv(ends[RELAY_TARGET], bytes, sizeof bytes, 0);
		assert_true(n >= 0);
		if (n == 0)
			break;
		heard += (uint64_t)n;
	}
	assert_int_equal(heard, said);
}

static void test_without_memory(void **state)
{
	(void)state;
	if (!setting->plain)
		return;
	short_of_memory = true;
	for (ssize_t n = 1; relay_end(relay) == RELAY_OPEN;) {
		static const char bytes[65536];

		if (n > 0)
			n = send(ends[RELAY_CLIENT], bytes, sizeof bytes,
				MSG_DONTWAIT | MSG_NOSIGNAL);
		turn(10);
		n = 1;
	}
	short_of_memory = false;
	assert_int_equal(relay_end(relay), RELAY_ERROR);
	hears_reset(RELAY_TARGET);
}

static void test_no_memory_to_begin(void **state)
{
	struct relay *none = NULL;

	(void)state;
	short_of_memory = true;
	assert_int_equal(relay_new(&pipes, 0, 1, &none), -ENOMEM);
	assert_null(none);
}

static void test_abort(void **state)
{
	(void)state;
	say(RELAY_CLIENT, "x");
	hears(RELAY_TARGET, "x");
	relay_abort(relay);
	assert_int_equal(relay_end(relay), RELAY_ABORTED);
	assert_true(relay_go(relay, RELAY_CLIENT, EPOLLIN, now));
	hears_reset(RELAY_TARGET);
	hears_reset(RELAY_CLIENT);
}

/* The master closes its own later. */
static void test_abort_with_a_copy(void **state)
{
	int copy = dup(relay_fd(relay, RELAY_CLIENT));
	ssize_t n;

	(void)state;
	relay_abort(relay);
	relay = relay_free(relay);
	n = recv(ends[RELAY_CLIENT], &(char){0}, 1, MSG_DONTWAIT);
	assert_int_equal(n, is_tcp(RELAY_CLIENT) ? -1 : 0);
	if (n < 0)
		assert_int_equal(errno, ECONNRESET);
	close(copy);
}

/* One has got everything, and knows. */
static void test_abort_behind_an_end(void **state)
{
	(void)state;
	say(RELAY_CLIENT, "x");
	shutdown(ends[RELAY_CLIENT], SHUT_WR);
	hears(RELAY_TARGET, "x");
	hears_end(RELAY_TARGET);
	relay_abort(relay);
	hears_reset(RELAY_CLIENT);
	assert_int_equal(recv(ends[RELAY_TARGET], &(char){0}, 1, 0), 0);
}

/* What is under way is lost, so nobody may think that he has got all. */
static void test_abort_under_way(void **state)
{
	(void)state;
	stuff(RELAY_CLIENT);
	relay_abort(relay);
	hears_reset(RELAY_TARGET);
}

/* How much fits into a pipe. */
static int size_of(const struct relay_pipe *pipe)
{
	return fcntl(pipe->fds[0], F_GETPIPE_SZ);
}

/* As large as the kernel lets one of ours be (pipe(7)). */
static int size_of_large(void)
{
	struct relay_pipe pipe;
	int size;

	assert_int_equal(pipe2(pipe.fds, O_CLOEXEC), 0);
	(void)!fcntl(pipe.fds[0], F_SETPIPE_SZ, RELAY_PIPE);
	size = size_of(&pipe);
	close(pipe.fds[0]);
	close(pipe.fds[1]);
	return size;
}

/* Each of them holds bytes in one direction, and has given back the other's. */
static void test_large_pipes_are_few(void **state)
{
	enum { MANY = RELAY_LARGE_MAX + 4 };
	static const char bytes[65536];
	struct relay *relays[MANY];
	int outer[MANY][2];
	size_t before = count_fds();

	(void)state;
	for (int i = 0; i < MANY; i++) {
		int a[2], b[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b), 0);
		outer[i][0] = a[0];
		outer[i][1] = b[0];
		assert_int_equal(relay_new(&pipes, a[1], b[1], &relays[i]), 0);
		while (send(outer[i][0], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
			relay_go(relays[i], RELAY_CLIENT, EPOLLIN, now);
		assert_true(relay_held(relays[i]) > 0);
	}
	assert_int_equal(pipes.n, 0);
	assert_int_equal(pipes.n_large, setting->plain ? 0 : RELAY_LARGE_MAX);
	for (int i = 0; i < MANY; i++) {
		char heard[65536];

		while (recv(outer[i][1], heard, sizeof heard, MSG_DONTWAIT) > 0)
			relay_go(relays[i], RELAY_TARGET, EPOLLOUT, now);
		relay_free(relays[i]);
		close(outer[i][0]);
		close(outer[i][1]);
	}
	assert_int_equal(pipes.n, pipes.n_large);
	assert_int_equal(pipes.n, setting->plain ? 0 : RELAY_LARGE_MAX);
	assert_int_equal(count_fds(), before + 2 * pipes.n);
	for (size_t i = 0; i < pipes.n; i++)
		assert_int_equal(size_of(&pipes.spare[i]), size_of_large());
}

/* One that was thrown away with what was in it makes room for another one. */
static void test_large_pipe_is_lost(void **state)
{
	(void)state;
	stuff(RELAY_CLIENT);
	assert_int_equal(pipes.n_large, setting->plain ? 0 : 1);
	relay = relay_free(relay);
	assert_int_equal(pipes.n_large, 0);
}

/* ------------------------------------------------------------------------- all */

static struct setting settings[] = {
	{true, true, false},
	{true, false, false},
	{false, true, false},
	{false, false, false},
	{true, true, true},
	{false, false, true},
};

#define EACH(f)                                                                \
	{#f " tcp tcp", f, set_up, tear_down, &settings[0]},                   \
		{#f " tcp unix", f, set_up, tear_down, &settings[1]},          \
		{#f " unix tcp", f, set_up, tear_down, &settings[2]},          \
		{#f " unix unix", f, set_up, tear_down, &settings[3]},         \
		{#f " tcp tcp, no pipes", f, set_up, tear_down, &settings[4]}, \
	{                                                                      \
#f " unix unix, no pipes", f, set_up, tear_down, &settings[5]  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_passes_on),
		EACH(test_greeting),
		EACH(test_greeting_in_vain),
		EACH(test_urgent_byte),
		EACH(test_urgent_byte_and_end),
		EACH(test_urgent_byte_among_many),
		EACH(test_idle),
		EACH(test_half_close_of_client),
		EACH(test_half_close_of_target),
		EACH(test_much_both_ways),
		EACH(test_reset_by_client),
		EACH(test_reset_by_target),
		EACH(test_reset_of_who_is_spared),
		EACH(test_reset_while_all_is_full),
		EACH(test_reset_by_client_who_is_stopped),
		EACH(test_answer_of_one_who_does_not_listen),
		EACH(test_end_of_one_who_does_not_listen),
		EACH(test_answer_to_one_who_is_gone),
		EACH(test_endless_answer_to_one_who_is_gone),
		EACH(test_gone_for_good),
		EACH(test_soft_error),
		EACH(test_who_never_reads),
		EACH(test_fair_share),
		EACH(test_gone_with_much_said),
		EACH(test_without_memory),
		EACH(test_no_memory_to_begin),
		EACH(test_abort),
		EACH(test_abort_with_a_copy),
		EACH(test_abort_behind_an_end),
		EACH(test_abort_under_way),
		EACH(test_large_pipes_are_few),
		EACH(test_large_pipe_is_lost),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
