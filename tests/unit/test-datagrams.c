/*
 * datagrams: what is answered and what is not, over the loopback interface of a network of
 * its own, where low ports are free; without the right to make one, some tests are skipped.
 */
#include "workers/builtin/datagrams.h"

#include "base/addr.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/builtin/answers.h"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

/* A test that waits for ever ends here. */
#define PATIENCE 60

#define WALL 2085978497

/* More than any datagram has. */
#define BUF 65536

static bool private_net;
static struct datagrams_room *room;
static struct datagrams *server;
static struct addr server_addr;
static int client;

/* After so many messages sendmmsg() fails: once, or with EAGAIN from then on. */
static unsigned fails_after;
static int fails_with;

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	int r;

	if (fails_with == 0)
		return __real_sendmmsg(fd, messages, n, flags);
	if (fails_after == 0) {
		errno = fails_with;
		if (fails_with != EAGAIN)
			fails_with = 0;
		return -1;
	}
	r = __real_sendmmsg(fd, messages, n < fails_after ? n : fails_after, flags);
	fails_after -= r > 0 ? (unsigned)r : 0;
	return r;
}

/* A socket there; -1 if there can be none. */
static int socket_at(const char *text, struct addr *ret)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	struct addr_spec spec;
	const char *why;
	int fd;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	fd = addr_socket(&spec.addr, SOCK_CLOEXEC);
	if (fd < 0)
		return -1;
	if (bind(fd, &spec.addr.sa, spec.addr.len) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&storage, &len), 0);
	addr_from_sockaddr(spec.addr.kind, (struct sockaddr *)&storage, len, ret);
	return fd;
}

static int socket_or_skip(const char *text, struct addr *ret)
{
	int fd = socket_at(text, ret);

	if (fd < 0)
		skip();
	return fd;
}

static void replace_client(const char *at)
{
	struct addr addr;

	fd_close(client);
	client = -EBADF;
	client = socket_or_skip(at, &addr);
}

static struct datagrams *serve_with(
	const struct datagrams_setup *setup, const char *at, struct addr *ret)
{
	struct datagrams *d = NULL;

	assert_int_equal(datagrams_new(setup, socket_or_skip(at, ret), &d), 0);
	return d;
}

/* A server and a client, both on 127.0.0.1. */
static void begin_with(const struct datagrams_setup *setup)
{
	server = serve_with(setup, "udp:127.0.0.1:0", &server_addr);
	replace_client("udp:127.0.0.1:0");
}

static void begin(enum service_builtin kind)
{
	struct datagrams_setup setup = {.kind = kind};

	begin_with(&setup);
}

static void say_to(const struct addr *to, const void *bytes, size_t n)
{
	assert_int_equal(sendto(client, bytes, n, 0, &to->sa, to->len), n);
}

static void say(const void *bytes, size_t n)
{
	say_to(&server_addr, bytes, n);
}

/* The same socket by another of its addresses. */
static void say_to_host(const char *text, const void *bytes, size_t n)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	addr_set_port(&spec.addr, addr_port(&server_addr));
	say_to(&spec.addr, bytes, n);
}

static int go(struct datagrams *d, uint64_t random)
{
	const struct datagrams_moment moment = {.wall = WALL, .random = random};
	struct pollfd p = {.fd = datagrams_fd(d), .events = POLLIN};

	assert_int_equal(poll(&p, 1, -1), 1);
	return datagrams_go(d, room, &moment);
}

/* Until so many were read, ever. */
static void serve(uint64_t n)
{
	while (datagrams_counts(server)->received < n)
		assert_in_range(go(server, 4711), 1, DATAGRAMS_BATCH);
}

/* The answer has that many bytes. */
static size_t hear(uint8_t *buf)
{
	ssize_t n = recv(client, buf, BUF, 0);

	assert_true(n >= 0);
	return (size_t)n;
}

static void assert_hears(const void *bytes, size_t n)
{
	uint8_t buf[BUF];

	assert_int_equal(hear(buf), n);
	assert_memory_equal(buf, bytes, n);
}

/* All that were read are in one of the counts, and nothing else has been answered. */
static void assert_answered(uint64_t answered)
{
	const struct datagrams_counts *c = datagrams_counts(server);
	char byte;

	assert_int_equal(c->answered, answered);
	assert_int_equal(c->received, c->answered + c->discarded + c->forbidden + c->refused +
					      c->too_short + c->failed);
	assert_int_equal(recv(client, &byte, 1, MSG_DONTWAIT), -1);
}

static void assert_forbidden(void)
{
	serve(1);
	assert_answered(0);
	assert_int_equal(datagrams_counts(server)->forbidden, 1);
}

/*
 * The services
 */

static void test_echo(void **ctx)
{
	static const size_t sizes[] = {0, 1, 26, 1472, 1473, 65507};
	static uint8_t bytes[BUF];
	uint64_t sum = 0;

	(void)ctx;
	begin(BUILTIN_ECHO);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(bytes, (int)i, sizeof bytes);
		say(bytes, sizes[i]);
		serve(i + 1);
		assert_hears(bytes, sizes[i]);
		sum += sizes[i];
	}
	assert_answered(ARRAY_SIZE(sizes));
	assert_true(datagrams_counts(server)->bytes_in == sum);
	assert_true(datagrams_counts(server)->bytes_out == sum);
}

static void test_echo_ipv6(void **ctx)
{
	const struct datagrams_setup setup = {.kind = BUILTIN_ECHO};

	(void)ctx;
	server = serve_with(&setup, "udp:[::1]:0", &server_addr);
	replace_client("udp:[::1]:0");
	say("hello", 5);
	serve(1);
	assert_hears("hello", 5);
	assert_answered(1);
}

static void test_discard(void **ctx)
{
	(void)ctx;
	begin(BUILTIN_DISCARD);
	say("hello", 5);
	say("", 0);
	serve(2);
	assert_answered(0);
	assert_int_equal(datagrams_counts(server)->discarded, 2);
	assert_int_equal(datagrams_counts(server)->bytes_in, 5);
}

static void test_chargen(void **ctx)
{
	static const size_t sizes[] = {0, 1, 73, 74, 511, 512, 513, 2000};
	uint8_t all[ANSWER_CHARGEN_PERIOD], buf[BUF];
	static const uint8_t nothing[2000];
	size_t n, least = SIZE_MAX, most = 0;

	(void)ctx;
	begin(BUILTIN_CHARGEN);
	answer_chargen(all);
	for (size_t i = 0; i < 200; i++) {
		size_t size = sizes[i % ARRAY_SIZE(sizes)];

		say(nothing, size);
		go(server, i);
		n = hear(buf);
		assert_true(n <= size && n <= 512);
		assert_memory_equal(buf, all, n);
		least = size == 2000 && n < least ? n : least;
		most = size == 2000 && n > most ? n : most;
	}
	assert_answered(200);
	/* Of 25 numbers up to 512; the same ones each time. */
	assert_true(least < 100 && most > 412);
}

static void test_daytime(void **ctx)
{
	static const char question[26];

	(void)ctx;
	begin(BUILTIN_DAYTIME);
	say(question, 26);
	serve(1);
	assert_hears("Thu Feb  7 06:28:17 2036\r\n", 26);
	say(question, 25);
	say(question, 0);
	serve(3);
	assert_answered(1);
	assert_int_equal(datagrams_counts(server)->too_short, 2);
}

static void test_time(void **ctx)
{
	(void)ctx;
	begin(BUILTIN_TIME);
	say("1900", 4);
	serve(1);
	assert_hears("\0\0\0\1", 4);
	say("190", 3);
	say("", 0);
	serve(3);
	assert_answered(1);
}

static void test_qotd(void **ctx)
{
	const struct datagrams_setup setup = {
		.kind = BUILTIN_QOTD, .text = (const uint8_t *)"one\n%\n", .text_len = 6};

	(void)ctx;
	begin_with(&setup);
	say("tell me", 7);
	say("tell", 4);
	serve(2);
	assert_hears("one\r\n", 5);
	assert_answered(1);
}

/* Whose bytes are the server's own. */
static void test_text(void **ctx)
{
	uint8_t text[] = "closed";
	const struct datagrams_setup setup = {
		.kind = BUILTIN_TEXT, .text = text, .text_len = 6};

	(void)ctx;
	begin_with(&setup);
	memset(text, 0, sizeof text);
	say("open??", 6);
	say("open?", 5);
	serve(2);
	assert_hears("closed", 6);
	assert_answered(1);
}

static void test_nothing_to_say(void **ctx)
{
	(void)ctx;
	begin(BUILTIN_TEXT);
	say("hello", 5);
	say("", 0);
	serve(2);
	assert_answered(0);
	assert_int_equal(datagrams_counts(server)->too_short, 2);
}

/*
 * Who is not answered
 */

static void test_ports_of_small_services(void **ctx)
{
	static const char *const ports[] = {"udp:127.0.0.1:7", "udp:127.0.0.1:9",
		"udp:127.0.0.1:13", "udp:127.0.0.1:17", "udp:127.0.0.1:19", "udp:127.0.0.1:37"};

	(void)ctx;
	if (!private_net)
		skip();
	begin(BUILTIN_ECHO);
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		replace_client(ports[i]);
		say("hello", 5);
		serve(i + 1);
		assert_answered(0);
		assert_int_equal(datagrams_counts(server)->forbidden, i + 1);
	}
	/* One beside them is as good as any. */
	replace_client("udp:127.0.0.1:8");
	say("hello", 5);
	serve(7);
	assert_hears("hello", 5);
}

/* The same service on another machine, or this very one by another address. */
static void test_own_port(void **ctx)
{
	char at[64];

	(void)ctx;
	begin(BUILTIN_ECHO);
	snprintf(at, sizeof at, "udp:127.0.0.2:%u", (unsigned)addr_port(&server_addr));
	replace_client(at);
	say("hello", 5);
	assert_forbidden();
}

static void test_own_socket(void **ctx)
{
	(void)ctx;
	begin(BUILTIN_ECHO);
	assert_int_equal(
		sendto(datagrams_fd(server), "hello", 5, 0, &server_addr.sa, server_addr.len),
		5);
	assert_forbidden();
}

static void test_broadcast(void **ctx)
{
	static const int on = 1;
	struct datagrams_setup setup = {.kind = BUILTIN_ECHO};

	(void)ctx;
	server = serve_with(&setup, "udp4:0", &server_addr);
	replace_client("udp:127.0.0.1:0");
	setsockopt(client, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
	say_to_host("udp:127.255.255.255:0", "hello", 5);
	assert_forbidden();
}

/* A socket of IPv6 is not told by IPv6 that it was. */
static void test_broadcast_at_ipv6(void **ctx)
{
	static const int on = 1;
	struct datagrams_setup setup = {.kind = BUILTIN_ECHO};

	(void)ctx;
	server = serve_with(&setup, "udp:0", &server_addr);
	replace_client("udp:127.0.0.1:0");
	setsockopt(client, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
	say_to_host("udp:127.255.255.255:0", "hello", 5);
	assert_forbidden();
}

static void test_multicast(void **ctx)
{
	struct ip_mreqn group = {.imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	struct datagrams_setup setup = {.kind = BUILTIN_ECHO};

	(void)ctx;
	group.imr_multiaddr.s_addr = htonl(0xef010203);
	server = serve_with(&setup, "udp4:0", &server_addr);
	replace_client("udp:127.0.0.1:0");
	assert_int_equal(setsockopt(datagrams_fd(server), IPPROTO_IP, IP_ADD_MEMBERSHIP, &group,
				 sizeof group),
		0);
	assert_int_equal(setsockopt(client, IPPROTO_IP, IP_MULTICAST_IF, &group.imr_address,
				 sizeof group.imr_address),
		0);
	say_to_host("udp:239.1.2.3:0", "hello", 5);
	assert_forbidden();
}

/* A datagram may be what the server is started for. */
static void test_older_than_the_server(void **ctx)
{
	static const struct datagrams_setup setup = {.kind = BUILTIN_ECHO};
	static const int on = 1;
	int fd = socket_or_skip("udp4:0", &server_addr);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	(void)ctx;
	replace_client("udp:127.0.0.1:0");
	setsockopt(client, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
	say_to_host("udp:127.255.255.255:0", "you all", 7);
	say_to_host("udp:127.0.0.5:0", "hello", 5);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(datagrams_new(&setup, fd, &server), 0);
	serve(2);
	assert_hears("hello", 5);
	assert_answered(1);
	/* We refuse, or the kernel; that depends on which was first. */
	assert_int_equal(
		datagrams_counts(server)->failed + datagrams_counts(server)->forbidden, 1);
}

/*
 * Where answers come from, and how far they go
 */

static void answer_comes_from(const char *bound, const char *asked)
{
	struct datagrams_setup setup = {.kind = BUILTIN_ECHO};
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	struct addr_spec spec;
	struct addr from;
	const char *why;
	char buf[8];

	server = serve_with(&setup, bound, &server_addr);
	replace_client("udp:127.0.0.1:0");
	say_to_host(asked, "hello", 5);
	serve(1);
	assert_int_equal(
		recvfrom(client, buf, sizeof buf, 0, (struct sockaddr *)&storage, &len), 5);
	addr_from_sockaddr(ADDR_UDP, (struct sockaddr *)&storage, len, &from);
	assert_int_equal(addr_parse(asked, &spec, &why), 0);
	addr_set_port(&spec.addr, addr_port(&server_addr));
	assert_true(addr_equal(&from, &spec.addr));
	assert_answered(1);
}

static void test_answer_from_the_address_asked(void **ctx)
{
	(void)ctx;
	answer_comes_from("udp4:0", "udp:127.0.0.5:0");
}

static void test_answer_of_ipv6_to_ipv4(void **ctx)
{
	(void)ctx;
	answer_comes_from("udp:0", "udp:127.0.0.5:0");
}

/* The hops that the answer to a datagram with so many has; 0: there is none. */
static int hops_of_answer(int hops, uint64_t n)
{
	union {
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char buf[8];
	struct iovec piece = {buf, sizeof buf};
	struct msghdr message = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	static const int on = 1;
	int got = 0;

	setsockopt(client, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
	setsockopt(client, IPPROTO_IP, IP_TTL, &hops, sizeof hops);
	say("hello", 5);
	serve(n);
	if (datagrams_counts(server)->forbidden > 0)
		return 0;
	assert_int_equal(recvmsg(client, &message, 0), 5);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
	return got;
}

static void test_hops(void **ctx)
{
	(void)ctx;
	begin(BUILTIN_ECHO);
	assert_int_equal(hops_of_answer(255, 1), 64);
	assert_int_equal(hops_of_answer(65, 2), 64);
	assert_int_equal(hops_of_answer(64, 3), 63);
	assert_int_equal(hops_of_answer(2, 4), 1);
	assert_int_equal(hops_of_answer(1, 5), 0);
	assert_answered(4);
}

/* One forged datagram sets two services on each other, on ports that nobody knows. */
static void try_loop(
	enum service_builtin a, enum service_builtin b, const char *host, size_t len)
{
	const struct datagrams_setup setup_a = {.kind = a}, setup_b = {.kind = b};
	static const uint8_t bytes[64];
	uint64_t forbidden = 0, answered = 0;
	struct datagrams *other;
	struct addr addr;

	server = serve_with(&setup_a, host, &server_addr);
	other = serve_with(&setup_b, host, &addr);
	assert_int_equal(sendto(datagrams_fd(server), bytes, len, 0, &addr.sa, addr.len), len);
	while (forbidden == 0) {
		go(other, answered);
		forbidden = datagrams_counts(other)->forbidden;
		answered = datagrams_counts(other)->answered;
		assert_true(answered <= DATAGRAMS_HOPS);
		if (forbidden > 0)
			break;
		go(server, answered);
		forbidden = datagrams_counts(server)->forbidden;
	}
	/* It did go on for a while. */
	assert_true(answered > 2);
	datagrams_free(other);
}

static void test_two_echoes(void **ctx)
{
	(void)ctx;
	try_loop(BUILTIN_ECHO, BUILTIN_ECHO, "udp:127.0.0.1:0", 5);
}

static void test_two_echoes_ipv6(void **ctx)
{
	(void)ctx;
	try_loop(BUILTIN_ECHO, BUILTIN_ECHO, "udp:[::1]:0", 5);
}

static void test_chargen_and_echo(void **ctx)
{
	(void)ctx;
	try_loop(BUILTIN_CHARGEN, BUILTIN_ECHO, "udp:127.0.0.1:0", 64);
}

static void test_two_clocks(void **ctx)
{
	(void)ctx;
	try_loop(BUILTIN_DAYTIME, BUILTIN_DAYTIME, "udp:127.0.0.1:0", 26);
}

/*
 * Whom the caller admits
 */

struct asked {
	unsigned n;
	bool verdict;
	struct addr from, to;
};

static bool admit(void *userdata, const struct sockaddr *from, socklen_t from_len,
	const struct sockaddr *to, socklen_t to_len)
{
	struct asked *asked = userdata;

	asked->n++;
	addr_from_sockaddr(ADDR_UDP, from, from_len, &asked->from);
	addr_from_sockaddr(ADDR_UDP, to, to_len, &asked->to);
	return asked->verdict;
}

static void check_admit(enum service_builtin kind, const char *at)
{
	struct asked asked = {.verdict = false};
	struct datagrams_setup setup = {.kind = kind, .admit = admit, .userdata = &asked};
	struct addr addr;

	server = serve_with(&setup, at, &server_addr);
	client = socket_or_skip("udp:127.0.0.1:0", &addr);
	say_to_host("udp:127.0.0.1:0", "hello", 5);
	serve(1);
	assert_answered(0);
	assert_int_equal(datagrams_counts(server)->refused, 1);
	assert_int_equal(asked.n, 1);
	assert_true(addr_equal(&asked.from, &addr));
	addr_set_port(&addr, addr_port(&server_addr));
	assert_true(addr_equal(&asked.to, &addr));

	asked.verdict = true;
	say_to_host("udp:127.0.0.1:0", "hello", 5);
	serve(2);
	assert_int_equal(asked.n, 2);
	assert_int_equal(datagrams_counts(server)->refused, 1);
}

static void test_admit(void **ctx)
{
	(void)ctx;
	check_admit(BUILTIN_ECHO, "udp:127.0.0.1:0");
	assert_hears("hello", 5);
	assert_answered(1);
}

static void test_admit_at_ipv6(void **ctx)
{
	(void)ctx;
	check_admit(BUILTIN_ECHO, "udp:0");
	assert_hears("hello", 5);
}

static void test_admit_of_discard(void **ctx)
{
	(void)ctx;
	check_admit(BUILTIN_DISCARD, "udp:127.0.0.1:0");
	assert_int_equal(datagrams_counts(server)->discarded, 1);
}

/*
 * Many at a time
 */

static void test_batches(void **ctx)
{
	static const int much = 1 << 20;
	unsigned n = 2 * DATAGRAMS_BATCH + 10;
	uint8_t bytes[256];

	(void)ctx;
	begin(BUILTIN_ECHO);
	setsockopt(datagrams_fd(server), SOL_SOCKET, SO_RCVBUFFORCE, &much, sizeof much);
	setsockopt(client, SOL_SOCKET, SO_RCVBUFFORCE, &much, sizeof much);
	for (unsigned i = 0; i < n; i++) {
		memset(bytes, (int)i, sizeof bytes);
		say(bytes, i);
	}
	serve(n);
	for (unsigned i = 0; i < n; i++) {
		memset(bytes, (int)i, sizeof bytes);
		assert_hears(bytes, i);
	}
	assert_answered(n);
}

/* Three questions, of which the answer to the second one meets that error; each is as long
 * as none of the others, so that their answers do not go together. */
static void answer_three(int error)
{
	begin(BUILTIN_ECHO);
	fails_after = 1;
	fails_with = error;
	say("1", 1);
	say("22", 2);
	say("333", 3);
	serve(3);
}

static void test_one_cannot_be_sent(void **ctx)
{
	(void)ctx;
	answer_three(EHOSTUNREACH);
	assert_hears("1", 1);
	assert_hears("333", 3);
	assert_answered(2);
	assert_int_equal(datagrams_counts(server)->failed, 1);
}

static void test_no_room_to_send(void **ctx)
{
	(void)ctx;
	answer_three(EAGAIN);
	assert_hears("1", 1);
	assert_answered(1);
	assert_int_equal(datagrams_counts(server)->failed, 2);
}

static void test_interrupted(void **ctx)
{
	(void)ctx;
	answer_three(EINTR);
	assert_hears("1", 1);
	assert_hears("22", 2);
	assert_hears("333", 3);
	assert_answered(3);
}

/*
 * The rest
 */

static void test_nothing_there(void **ctx)
{
	const struct datagrams_moment moment = {0};

	(void)ctx;
	begin(BUILTIN_ECHO);
	assert_int_equal(datagrams_go(server, room, &moment), 0);
}

/* Without a word about where it went, nobody knows whether it may be answered. */
static void test_kernel_does_not_say(void **ctx)
{
	static const int off;

	(void)ctx;
	begin(BUILTIN_ECHO);
	setsockopt(datagrams_fd(server), IPPROTO_IP, IP_PKTINFO, &off, sizeof off);
	say("hello", 5);
	serve(1);
	assert_answered(0);
	assert_int_equal(datagrams_counts(server)->failed, 1);
}

/* IPv6 does say something of IPv4, but not whether it was broadcast. */
static void test_kernel_does_not_say_all(void **ctx)
{
	const struct datagrams_setup setup = {.kind = BUILTIN_ECHO};
	static const int off;

	(void)ctx;
	server = serve_with(&setup, "udp:0", &server_addr);
	replace_client("udp:127.0.0.1:0");
	setsockopt(datagrams_fd(server), IPPROTO_IP, IP_PKTINFO, &off, sizeof off);
	say_to_host("udp:127.0.0.1:0", "hello", 5);
	serve(1);
	assert_answered(0);
	assert_int_equal(datagrams_counts(server)->failed, 1);
}

static void test_no_such_socket(void **ctx)
{
	const struct datagrams_moment moment = {0};

	(void)ctx;
	begin(BUILTIN_ECHO);
	close(datagrams_fd(server));
	assert_int_equal(datagrams_go(server, room, &moment), -EBADF);
}

static void test_wrong_setup(void **ctx)
{
	struct datagrams_setup setup = {.kind = BUILTIN_NONE};
	int fds[2];

	(void)ctx;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(datagrams_new(&setup, fds[0], &server), -EINVAL);
	setup.kind = BUILTIN_TEXT + 1;
	assert_int_equal(datagrams_new(&setup, fds[0], &server), -EINVAL);
	setup.kind = BUILTIN_ECHO;
	assert_int_equal(datagrams_new(&setup, fds[0], &server), -EPROTONOSUPPORT);
	assert_int_equal(datagrams_new(&setup, -1, &server), -EBADF);
	assert_null(server);
	/* They are still the caller's. */
	assert_int_equal(close(fds[0]), 0);
	close(fds[1]);
	assert_null(datagrams_free(NULL));
}

static int set_up(void **ctx)
{
	(void)ctx;
	client = -EBADF;
	server = NULL;
	alarm(PATIENCE);
	return 0;
}

static int tear_down(void **ctx)
{
	(void)ctx;
	alarm(0);
	fails_with = 0;
	server = datagrams_free(server);
	client = fd_close(client);
	return 0;
}

static bool switch_loopback_on(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static int set_up_all(void **ctx)
{
	(void)ctx;
	setenv("TZ", "UTC0", 1);
	private_net =
		(unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
		switch_loopback_on();
	room = datagrams_room_new();
	return room ? 0 : -1;
}

static int tear_down_all(void **ctx)
{
	(void)ctx;
	room = datagrams_room_free(room);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_echo),
		TEST(test_echo_ipv6),
		TEST(test_discard),
		TEST(test_chargen),
		TEST(test_daytime),
		TEST(test_time),
		TEST(test_qotd),
		TEST(test_text),
		TEST(test_nothing_to_say),
		TEST(test_ports_of_small_services),
		TEST(test_own_port),
		TEST(test_own_socket),
		TEST(test_broadcast),
		TEST(test_broadcast_at_ipv6),
		TEST(test_multicast),
		TEST(test_older_than_the_server),
		TEST(test_answer_from_the_address_asked),
		TEST(test_answer_of_ipv6_to_ipv4),
		TEST(test_hops),
		TEST(test_two_echoes),
		TEST(test_two_echoes_ipv6),
		TEST(test_chargen_and_echo),
		TEST(test_two_clocks),
		TEST(test_admit),
		TEST(test_admit_at_ipv6),
		TEST(test_admit_of_discard),
		TEST(test_batches),
		TEST(test_one_cannot_be_sent),
		TEST(test_no_room_to_send),
		TEST(test_interrupted),
		TEST(test_nothing_there),
		TEST(test_kernel_does_not_say),
		TEST(test_kernel_does_not_say_all),
		TEST(test_no_such_socket),
		TEST(test_wrong_setup),
	};

	return cmocka_run_group_tests_name("datagrams", tests, set_up_all, tear_down_all);
}
