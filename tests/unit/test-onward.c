/* onward: a hub that passes datagrams on, with the test as senders, targets and master. */
#include "workers/udp/onward.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/udp/hub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A test that waits for ever ends here. */
#define PATIENCE 60

#define TIMEOUT (10 * USEC_PER_SEC)

/* Nobody looks at the clock. */
#define NOW (1000 * USEC_PER_SEC)

#define TARGETS 2

static struct hub_room *room;
static struct hub *hub;
static struct targets *targets;
static struct sockaddr_in at;
static int clients[2];
static int theirs[TARGETS]; /* sockets of the targets */
static struct addr addrs[TARGETS];
static unsigned n_told;
static struct sockaddr_storage asker; /* whom the last arrival came from */
static socklen_t asker_len;

static void tell(const struct addr *addr, int error)
{
	(void)addr;
	assert_int_equal(error, ECONNREFUSED);
	n_told++;
}

static struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

static int open_at(const char *text, struct addr *ret)
{
	struct addr addr = address(text);
	int fd = addr_socket(&addr, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	assert_int_equal(addr_of_socket(fd, ret), 0);
	return fd;
}

static void begin(enum redirect_order order, uint32_t n)
{
	const struct redirect redirect = {.order = order, .n_targets = n, .targets = addrs};
	struct hub_setup setup = {.timeout = TIMEOUT, .key = "0123456789abcde"};
	socklen_t len = sizeof at;
	struct addr addr;
	int fd = open_at("udp:127.0.0.1:0", &addr);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(onward_new(targets, &redirect, &setup.onward), 0);
	assert_int_equal(hub_new(&setup, fd, &hub), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = open_at("udp:127.0.0.1:0", &addr);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&at, len), 0);
	}
}

static int set_up(void **state)
{
	(void)state;
	targets = calloc(1, sizeof *targets);
	targets->tell = tell;
	n_told = 0;
	for (size_t i = 0; i < TARGETS; i++)
		theirs[i] = open_at("udp:127.0.0.1:0", &addrs[i]);
	return 0;
}

static int end(void **state)
{
	(void)state;
	hub = hub_free(hub);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = fd_close(clients[i]);
	for (size_t i = 0; i < TARGETS; i++)
		theirs[i] = fd_close(theirs[i]);
	free(targets);
	return 0;
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, -1), 1);
}

static void say_at(unsigned client, const char *text, uint64_t now)
{
	assert_int_equal(send(clients[client], text, strlen(text), 0), strlen(text));
	wait_for(hub_fd(hub));
	assert_true(hub_arrive(hub, room, now));
}

static void say(unsigned client, const char *text)
{
	say_at(client, text, NOW);
}

static uint32_t expect_offer(void)
{
	struct channel_answer offer = {0};

	assert_true(hub_offer(hub, &offer));
	return offer.ticket;
}

static void expect_no_offer(void)
{
	struct channel_answer offer = {0};

	assert_false(hub_offer(hub, &offer));
}

static struct session *decide(uint32_t ticket, enum channel_verdict verdict, uint64_t number)
{
	const struct channel_request request = {
		.kind = CHANNEL_VERDICT,
		.verdict = (uint16_t)verdict,
		.ticket = ticket,
		.client = {.connection = number, .place = 5},
	};
	int fd = -EBADF;

	return hub_verdict(hub, &request, &fd, room, NOW);
}

static struct session *let_in(uint64_t number)
{
	struct session *session = decide(expect_offer(), CHANNEL_ADMITTED, number);

	assert_non_null(session);
	return session;
}

static struct channel_answer expect_done(uint64_t number, enum channel_result result)
{
	struct channel_answer done = {0};

	assert_true(hub_client_done(hub, false, &done));
	assert_int_equal(done.session.connection, number);
	assert_int_equal(done.session.place, 5);
	assert_int_equal(done.result, result);
	return done;
}

static void expect_none_done(void)
{
	struct channel_answer done = {0};

	assert_false(hub_client_done(hub, false, &done));
}

static void expect_read(int fd, const char *text)
{
	char heard[100];

	assert_int_equal(recv(fd, heard, sizeof heard, 0), strlen(text));
	assert_memory_equal(heard, text, strlen(text));
}

static void expect_silence(int fd)
{
	char heard[100];

	assert_int_equal(recv(fd, heard, sizeof heard, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Whom it came from is answered from now on. */
static void expect_arrival(int fd, const char *text)
{
	char heard[100];

	asker_len = sizeof asker;
	assert_int_equal(
		recvfrom(fd, heard, sizeof heard, 0, (struct sockaddr *)&asker, &asker_len),
		strlen(text));
	assert_memory_equal(heard, text, strlen(text));
}

static void answer(int fd, const char *text)
{
	assert_int_equal(
		sendto(fd, text, strlen(text), 0, (struct sockaddr *)&asker, asker_len),
		strlen(text));
}

static void pass_answers(uint64_t now)
{
	wait_for(hub_answers_fd(hub));
	hub_answer(hub, room, now);
}

/* ------------------------------------------------------------------------- tests */

static void test_both_ways(void **state)
{
	struct channel_answer done;

	(void)state;
	begin(REDIRECT_FIRST, 1);
	say(0, "one");
	say(0, "");
	let_in(10);
	expect_no_offer();
	expect_arrival(theirs[0], "one");
	expect_read(theirs[0], "");
	say(0, "three");
	expect_read(theirs[0], "three");
	answer(theirs[0], "four");
	answer(theirs[0], "");
	pass_answers(NOW + 1);
	expect_read(clients[0], "four");
	expect_read(clients[0], "");
	expect_silence(clients[1]);
	expect_none_done();
	hub_look(hub, NOW + TIMEOUT);
	expect_none_done();
	assert_int_equal(hub_due(hub), NOW + 1 + TIMEOUT);
	hub_look(hub, NOW + 1 + TIMEOUT);
	done = expect_done(10, CHANNEL_FINISHED);
	assert_int_equal(done.bytes_in, 8);
	assert_int_equal(done.bytes_out, 4);
	expect_none_done();
	/* And he is as new. */
	say(0, "five");
	let_in(11);
	expect_read(theirs[0], "five");
}

/* Whoever else sends to the port from which it is asked is not heard. */
static void test_only_the_target_answers(void **state)
{
	(void)state;
	begin(REDIRECT_FIRST, 1);
	say(0, "one");
	let_in(10);
	expect_arrival(theirs[0], "one");
	answer(theirs[1], "lie");
	answer(theirs[0], "truth");
	pass_answers(NOW);
	expect_read(clients[0], "truth");
	expect_silence(clients[0]);
}

static int read_ttl(int fd)
{
	char heard[100], control[CMSG_SPACE(sizeof(int))];
	struct iovec piece = {heard, sizeof heard};
	struct msghdr message = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};
	int ttl;

	assert_true(recvmsg(fd, &message, 0) >= 0);
	assert_true(message.msg_controllen > 0);
	memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof ttl);
	return ttl;
}

static void set(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof value), 0);
}

static void say_from(int fd, const char *text)
{
	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&at, sizeof at),
		strlen(text));
	wait_for(hub_fd(hub));
	assert_true(hub_arrive(hub, room, NOW));
}

/* As somebody says who forges it.  Any other port of the same machine is somebody else. */
static void test_not_a_client(void **state)
{
	(void)state;
	begin(REDIRECT_FIRST, 1);
	say_from(theirs[0], "target");
	say_from(hub_fd(hub), "itself");
	expect_no_offer();
	assert_int_equal(hub_counts(hub)->failed, 2);
	say_from(theirs[1], "other");
	let_in(10);
	expect_arrival(theirs[0], "other");
}

/* What comes back is passed on so many times, and no more. */
static void test_hops(void **state)
{
	(void)state;
	begin(REDIRECT_FIRST, 1);
	set(theirs[0], IPPROTO_IP, IP_RECVTTL, 1);
	set(clients[0], IPPROTO_IP, IP_TTL, 33);
	say(0, "first");
	let_in(10);
	assert_int_equal(read_ttl(theirs[0]), 32);
	set(clients[0], IPPROTO_IP, IP_TTL, 2);
	say(0, "the last that is passed on");
	assert_int_equal(read_ttl(theirs[0]), 1);
	set(clients[0], IPPROTO_IP, IP_TTL, 1);
	say(0, "too often");
	expect_silence(theirs[0]);
	assert_int_equal(hub_counts(hub)->failed, 1);
	set(clients[1], IPPROTO_IP, IP_TTL, 1);
	say(1, "too often");
	expect_no_offer();
	assert_int_equal(hub_counts(hub)->failed, 2);
}

static void test_to_ipv6(void **state)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	(void)state;
	if (fd < 0 || bind(fd, (struct sockaddr *)&in6, sizeof in6) < 0) {
		fd_close(fd);
		skip();
	}
	fd_close(theirs[0]);
	theirs[0] = fd;
	set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	assert_int_equal(addr_of_socket(fd, &addrs[0]), 0);
	begin(REDIRECT_FIRST, 1);
	set(clients[0], IPPROTO_IP, IP_TTL, 33);
	say(0, "one");
	say(0, "two");
	let_in(10);
	assert_int_equal(read_ttl(theirs[0]), 32);
	set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0);
	expect_arrival(theirs[0], "two");
	answer(theirs[0], "three");
	pass_answers(NOW);
	expect_read(clients[0], "three");
}

static void test_turns(void **state)
{
	(void)state;
	begin(REDIRECT_ROUND_ROBIN, 2);
	say(0, "one");
	let_in(10);
	say(1, "two");
	let_in(11);
	expect_read(theirs[0], "one");
	expect_read(theirs[1], "two");
	/* Of one sender all goes to the same. */
	say(0, "three");
	expect_read(theirs[0], "three");
}

/* Who is not there is told by ICMP, and the next datagram goes elsewhere. */
static void test_target_is_away(void **state)
{
	(void)state;
	theirs[0] = fd_close(theirs[0]);
	begin(REDIRECT_FIRST, 2);
	say(0, "lost");
	let_in(10);
	pass_answers(NOW);
	expect_done(10, CHANNEL_UNREACHABLE);
	assert_int_equal(n_told, 1);
	say(0, "one");
	let_in(11);
	expect_arrival(theirs[1], "one");
	answer(theirs[1], "two");
	pass_answers(NOW);
	expect_read(clients[0], "two");
	say(1, "three");
	let_in(12);
	expect_read(theirs[1], "three");
	expect_none_done();
}

/* The same, where it is the next datagram that hears of it: it is not lost. */
static void test_target_leaves(void **state)
{
	struct channel_answer done;

	(void)state;
	begin(REDIRECT_FIRST, 2);
	say(0, "one");
	let_in(10);
	expect_arrival(theirs[0], "one");
	answer(theirs[0], "two");
	pass_answers(NOW);
	expect_read(clients[0], "two");
	theirs[0] = fd_close(theirs[0]);
	say(0, "lost");
	wait_for(hub_answers_fd(hub));
	say(0, "three");
	done = expect_done(10, CHANNEL_TARGET_RESET);
	assert_int_equal(done.bytes_in, 7);
	assert_int_equal(done.bytes_out, 3);
	let_in(11);
	expect_read(theirs[1], "three");
}

/* An address that cannot be connected to: everybody's. */
static void test_no_way(void **state)
{
	(void)state;
	targets->tell = NULL;
	addrs[0] = address("udp:255.255.255.255:9");
	begin(REDIRECT_FIRST, 1);
	say(0, "one");
	assert_null(decide(expect_offer(), CHANNEL_ADMITTED, 10));
	expect_done(10, CHANNEL_UNREACHABLE);
	expect_none_done();
	assert_int_equal(hub_counts(hub)->refused, 1);
	assert_int_equal(hub_due(hub), NOW + HUB_BUSY_FOR);
	say(0, "two");
	expect_no_offer();
}

/* That is our own fault, and not the target's. */
static void test_no_descriptors(void **state)
{
	struct rlimit before, none;
	uint32_t ticket;

	(void)state;
	begin(REDIRECT_FIRST, 1);
	say(0, "one");
	ticket = expect_offer();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_null(decide(ticket, CHANNEL_ADMITTED, 10));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	expect_done(10, CHANNEL_REFUSED);
	expect_none_done();
	assert_int_equal(n_told, 0);
	assert_int_equal(targets->n_failing, 0);
	assert_int_equal(hub_due(hub), NOW + HUB_BUSY_FOR);
	hub_look(hub, NOW + HUB_BUSY_FOR);
	say(0, "two");
	let_in(11);
	expect_read(theirs[0], "two");
}

/* There is nobody to be told of, or one who is not there any more. */
static void test_verdicts(void **state)
{
	(void)state;
	begin(REDIRECT_FIRST, 1);
	say(0, "one");
	assert_null(decide(expect_offer(), CHANNEL_NOT_ALLOWED, 0));
	expect_none_done();
	assert_int_equal(hub_due(hub), NOW + HUB_REFUSED_FOR);
	assert_null(decide(77, CHANNEL_ADMITTED, 20));
	expect_done(20, CHANNEL_ENDED);
	expect_none_done();
	expect_silence(theirs[0]);
}

static void test_told_to_end(void **state)
{
	struct session *session;

	(void)state;
	begin(REDIRECT_FIRST, 1);
	say(0, "one");
	session = let_in(10);
	expect_arrival(theirs[0], "one");
	assert_false(hub_end_client(hub, session, 11));
	expect_none_done();
	assert_true(hub_end_client(hub, session, 10));
	assert_false(hub_end_client(hub, session, 10));
	expect_done(10, CHANNEL_ENDED);
	expect_none_done();
	/* Nobody is at that port any more. */
	answer(theirs[0], "late");
	hub_answer(hub, room, NOW);
	expect_silence(clients[0]);
}

/* Also those who are over already; but not who has never come in. */
static void test_all_end(void **state)
{
	struct channel_answer done = {0};
	struct session *session;

	(void)state;
	begin(REDIRECT_FIRST, 1);
	say(0, "one");
	session = let_in(10);
	assert_true(hub_end_client(hub, session, 10));
	say(0, "two");
	let_in(11);
	say(1, "three");
	expect_offer();
	for (unsigned left = 2; left > 0; left--) {
		assert_true(hub_client_done(hub, true, &done));
		assert_int_equal(done.session.connection, left == 2 ? 10 : 11);
		assert_int_equal(done.result, CHANNEL_ENDED);
	}
	assert_false(hub_client_done(hub, true, &done));
}

static int set_up_room(void **state)
{
	(void)state;
	room = hub_room_new();
	return room ? 0 : -1;
}

static int tear_down_room(void **state)
{
	(void)state;
	hub_room_free(room);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_ways),
		TEST(test_only_the_target_answers),
		TEST(test_not_a_client),
		TEST(test_hops),
		TEST(test_to_ipv6),
		TEST(test_turns),
		TEST(test_target_is_away),
		TEST(test_target_leaves),
		TEST(test_no_way),
		TEST(test_no_descriptors),
		TEST(test_verdicts),
		TEST(test_told_to_end),
		TEST(test_all_end),
	};

	alarm(PATIENCE);
	return cmocka_run_group_tests(tests, set_up_room, tear_down_room);
}
