/* tcp-end: what the kernel tells of connections of this very process that are over. */
#include "base/tcp-end.h"

#include "base/fd.h"
#include "base/own.h"
#include "base/tcp-diag.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <cmocka.h>

/* As <linux/tcp.h> has it. */
#define ACKED_AT 120

struct pair {
	int client, server;
	uint64_t cookie;
};

static int end_fd, diag_fd;

static const char plenty[200000];

static struct pair connect_pair(int family)
{
	struct sockaddr_storage addr = {.ss_family = (sa_family_t)family};
	socklen_t len =
		family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	struct tcp_handle handle;
	struct pair pair;
	int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (family == AF_INET)
		((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, len) < 0)
		skip();
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	pair.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair.client, (struct sockaddr *)&addr, len), 0);
	pair.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(pair.server >= 0);
	close(listener);
	assert_int_equal(tcp_diag_learn(pair.server, &handle), 0);
	pair.cookie = handle.cookie;
	return pair;
}

static void say(int fd, size_t n)
{
	assert_int_equal(send(fd, plenty, n, MSG_NOSIGNAL), n);
}

static void hear(int fd, size_t n)
{
	static char heard[sizeof plenty];

	assert_int_equal(recv(fd, heard, n, MSG_WAITALL), n);
}

static void hear_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* The end of that one; of others the kernel tells as well. */
static struct tcp_end wait_for_end(const struct pair *pair)
{
	struct pollfd p = {.fd = end_fd, .events = POLLIN};
	struct tcp_end end = {.cookie = ~pair->cookie};
	char message[TCP_END_MAX];

	while (end.cookie != pair->cookie) {
		ssize_t n;

		assert_int_equal(poll(&p, 1, 10000), 1);
		n = recv(end_fd, message, sizeof message, 0);
		assert_true(n > 0);
		assert_int_equal(tcp_end_read(message, (size_t)n, &end), 0);
	}
	tcp_end_settle(diag_fd, &end);
	return end;
}

static void check_end(const struct pair *pair, uint64_t in, uint64_t out)
{
	struct tcp_end end = wait_for_end(pair);

	assert_int_equal(end.bytes.in, in);
	assert_int_equal(end.bytes.out, out);
}

/* The client ends his input, the program reads that and ends: a filter. */
static void check_filter(int family, size_t in, size_t out)
{
	struct pair pair = connect_pair(family);

	say(pair.client, in);
	shutdown(pair.client, SHUT_WR);
	hear(pair.server, in);
	hear_end(pair.server);
	say(pair.server, out);
	close(pair.server);
	hear(pair.client, out);
	hear_end(pair.client);
	close(pair.client);
	check_end(&pair, in, out);
}

static void test_client_ends_first(void **ctx)
{
	static const size_t sizes[] = {0, 1, 2, 100, 50000};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++)
			check_filter(AF_INET, sizes[i], sizes[j]);
}

static void test_ipv6(void **ctx)
{
	(void)ctx;
	check_filter(AF_INET6, 10, 20);
}

/* It may be asked after before the client has ended or, if he is quick, after that. */
static void test_program_ends_first(void **ctx)
{
	(void)ctx;
	for (int quick = 0; quick < 2; quick++) {
		struct pair pair = connect_pair(AF_INET);
		struct tcp_end end;

		say(pair.client, 100);
		hear(pair.server, 100);
		say(pair.server, 50);
		hear(pair.client, 50);
		close(pair.server);
		hear_end(pair.client);
		if (quick)
			close(pair.client);
		end = wait_for_end(&pair);
		assert_int_equal(end.bytes.in, 100);
		assert_int_equal(end.bytes.out, 50);
		if (!quick)
			close(pair.client);
	}
}

/* Nothing was read: neither what he said nor its end. */
static void test_nothing_is_read(void **ctx)
{
	struct pair pair = connect_pair(AF_INET);

	(void)ctx;
	say(pair.client, 100);
	shutdown(pair.client, SHUT_WR);
	say(pair.server, 50);
	hear(pair.client, 50);
	close(pair.server);
	check_end(&pair, 0, 50);
	close(pair.client);
}

static void test_a_part_is_read(void **ctx)
{
	struct pair pair = connect_pair(AF_INET);

	(void)ctx;
	say(pair.client, 100);
	hear(pair.server, 30);
	close(pair.server);
	check_end(&pair, 30, 0);
	close(pair.client);
}

static void test_client_resets(void **ctx)
{
	static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	struct pair pair = connect_pair(AF_INET);

	(void)ctx;
	say(pair.client, 100);
	hear(pair.server, 100);
	say(pair.server, 50);
	hear(pair.client, 50);
	setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(pair.client);
	close(pair.server);
	check_end(&pair, 100, 50);
}

/* What he has not taken is not counted. */
static void test_client_does_not_read(void **ctx)
{
	struct pair pair = connect_pair(AF_INET);
	size_t sent = 0;
	struct tcp_end end;
	ssize_t n;

	(void)ctx;
	while ((n = send(pair.server, plenty, sizeof plenty, MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	close(pair.server);
	close(pair.client);
	end = wait_for_end(&pair);
	assert_int_equal(end.bytes.in, 0);
	assert_true(end.bytes.out > 0 && end.bytes.out < sent);
}

/* One of a connection that is over, to be damaged. */
static size_t take_message(char message[TCP_END_MAX])
{
	struct pair pair = connect_pair(AF_INET);
	ssize_t n;

	close(pair.server);
	close(pair.client);
	n = recv(end_fd, message, TCP_END_MAX, 0);
	assert_true(n > 0);
	return (size_t)n;
}

/* Each in memory of its own length, for those who look at what is read. */
static int read_copy(const char *message, size_t len, struct tcp_end *ret)
{
	char *copy = memcpy(test_malloc(len + 1), message, len);
	int r = tcp_end_read(copy, len, ret);

	test_free(copy);
	return r;
}

static void test_damaged(void **ctx)
{
	char message[TCP_END_MAX];
	size_t n = take_message(message);
	struct nlmsghdr *header = (struct nlmsghdr *)message;
	struct tcp_end end = {.cookie = 4711};

	(void)ctx;
	for (size_t len = 0; len < n; len++)
		assert_int_equal(read_copy(message, len, &end), -EBADMSG);
	/* Cut by itself: what is left of it is no count. */
	for (size_t len = 0; len < n - ACKED_AT; len++) {
		header->nlmsg_len = (uint32_t)len;
		assert_true(read_copy(message, len, &end) < 0);
	}
	header->nlmsg_len = (uint32_t)n;
	header->nlmsg_type = NLMSG_ERROR;
	assert_int_equal(read_copy(message, n, &end), -EBADMSG);
	assert_int_equal(end.cookie, 4711);
}

/* Nobody can be asked: then it stays as the kernel has it. */
static void test_nobody_to_ask(void **ctx)
{
	struct tcp_end end = {.bytes.in = 7, .vague = true};

	(void)ctx;
	tcp_end_settle(-1, &end);
	assert_int_equal(end.bytes.in, 7);
	assert_false(end.vague);
}

static void test_of_one_that_exists(void **ctx)
{
	static const struct {
		int state;
		uint64_t received;
		uint32_t unread;
		uint64_t acked, in, out;
	} cases[] = {
		{1, 100, 0, 50, 100, 50}, /* ESTABLISHED */
		{1, 100, 30, 50, 70, 50},
		{4, 100, 0, 50, 100, 50}, /* FIN_WAIT1 */
		{5, 100, 0, 51, 100, 50}, /* FIN_WAIT2 */
		{8, 101, 0, 50, 100, 50}, /* CLOSE_WAIT, and that was read */
		{8, 101, 1, 50, 100, 50},
		{8, 101, 31, 50, 70, 50},
		{9, 101, 0, 50, 100, 50}, /* LAST_ACK */
		{8, 0, 0, 0, 0, 0},       /* cannot be, and does no harm */
		{5, 0, 0, 0, 0, 0},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tcp_bytes bytes = tcp_bytes_of(
			cases[i].state, cases[i].received, cases[i].unread, cases[i].acked);

		assert_int_equal(bytes.in, cases[i].in);
		assert_int_equal(bytes.out, cases[i].out);
	}
}

static int setup(void **ctx)
{
	(void)ctx;
	end_fd = tcp_end_open(1 << 20);
	diag_fd = tcp_diag_open();
	return end_fd < 0 || diag_fd < 0;
}

static int teardown(void **ctx)
{
	(void)ctx;
	close(diag_fd);
	return close(end_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_ends_first),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_program_ends_first),
		cmocka_unit_test(test_nothing_is_read),
		cmocka_unit_test(test_a_part_is_read),
		cmocka_unit_test(test_client_resets),
		cmocka_unit_test(test_client_does_not_read),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_nobody_to_ask),
		cmocka_unit_test(test_of_one_that_exists),
	};

	return cmocka_run_group_tests_name("tcp-end", tests, setup, teardown);
}
