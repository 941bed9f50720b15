/* sockopt: which options a socket gets, and which it may get later. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "os/sockopt.h"

#include <net/if.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* As the loader leaves it when nothing is written down. */
static struct service_conf plain_service(void)
{
	return (struct service_conf){.v6only = -1};
}

static struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

static int new_socket(struct addr *addr)
{
	int fd = addr_socket(addr, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static int apply(int fd, const struct service_conf *service, const struct addr *addr)
{
	char step[SOCKOPT_STEP_MAX];

	return sockopt_apply(fd, service, addr, step);
}

static int adjust(int fd, const struct service_conf *service, const struct addr *addr)
{
	char step[SOCKOPT_STEP_MAX];

	return sockopt_adjust(fd, service, addr, step);
}

/* Every option there is, with values that the kernel does not choose itself. */
static struct service_conf full_service(void)
{
	struct service_conf service = plain_service();
	static char reno[] = "reno";

	service.free_bind = true;
	service.tos = 0x10;
	service.ttl = 9;
	service.broadcast = true;
	service.priority = 5;
	service.keepalive = true;
	service.keepalive_time = 44 * USEC_PER_SEC;
	service.keepalive_interval = 11 * USEC_PER_SEC;
	service.keepalive_probes = 3;
	service.nodelay = true;
	service.defer_accept = 7 * USEC_PER_SEC;
	service.fast_open = 7;
	service.user_timeout = 1234500;
	service.congestion = reno;
	return service;
}

static void assert_text_option(int fd, const char *wanted)
{
	char name[CONF_CONGESTION_MAX] = "";
	socklen_t len = sizeof name;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	assert_string_equal(name, wanted);
}

static bool have_ipv6(void)
{
	_cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0;
}

/* What nobody asks for stays the kernel's own. */
static void test_nothing_is_asked_for(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp4:1");
	_cleanup_close_ int fd = new_socket(&addr), other = new_socket(&addr);

	(void)ctx;
	assert_int_equal(apply(fd, &service, &addr), 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	assert_int_equal(
		option_of(fd, SOL_SOCKET, SO_SNDBUF), option_of(other, SOL_SOCKET, SO_SNDBUF));
}

struct wanted {
	int level, number, value;
};

static const struct wanted of_ip[] = {
	{IPPROTO_IP, IP_TOS, 0x10},
	{IPPROTO_IP, IP_TTL, 9},
	{IPPROTO_IP, IP_FREEBIND, 1},
	{SOL_SOCKET, SO_PRIORITY, 5},
};

static const struct wanted of_ipv6[] = {
	{IPPROTO_IPV6, IPV6_TCLASS, 0x10},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9},
};

/* Those that a connection has from its listener come first. */
static const struct wanted of_tcp[] = {
	{SOL_SOCKET, SO_KEEPALIVE, 1},
	{IPPROTO_TCP, TCP_KEEPIDLE, 44},
	{IPPROTO_TCP, TCP_KEEPINTVL, 11},
	{IPPROTO_TCP, TCP_KEEPCNT, 3},
	{IPPROTO_TCP, TCP_NODELAY, 1},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, 1235},
	{IPPROTO_TCP, TCP_FASTOPEN, 7},
	/* Counted in answers to the client, each later than the one before. */
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, 7},
};
#define N_INHERITED (ARRAY_SIZE(of_tcp) - 2)
/* MPTCP has those. */
#define N_EVERYWHERE 5

static void assert_has(int fd, const struct wanted *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			option_of(fd, wanted[i].level, wanted[i].number), wanted[i].value);
}

/* On the listener and on what is accepted from it. */
static void test_all_of_tcp(void **ctx)
{
	static const char *const texts[] = {"tcp:127.0.0.1:0", "tcp:[::1]:0"};
	struct service_conf service = full_service();

	(void)ctx;
	for (size_t i = 0; i < (have_ipv6() ? 2 : 1); i++) {
		struct addr addr = address(texts[i]);
		_cleanup_close_ int fd = new_socket(&addr), client = new_socket(&addr);
		_cleanup_close_ int connection = -EBADF;
		socklen_t len = addr.len;

		assert_int_equal(apply(fd, &service, &addr), 0);
		assert_has(fd, i == 0 ? of_ip : of_ipv6,
			i == 0 ? ARRAY_SIZE(of_ip) : ARRAY_SIZE(of_ipv6));
		assert_has(fd, of_tcp, ARRAY_SIZE(of_tcp));
		assert_text_option(fd, "reno");

		assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
		assert_int_equal(listen(fd, 1), 0);
		assert_int_equal(getsockname(fd, &addr.sa, &len), 0);
		assert_int_equal(connect(client, &addr.sa, addr.len), 0);
		assert_int_equal(write(client, "x", 1), 1);
		connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		assert_true(connection >= 0);
		sockopt_finish(connection, &service, &addr);
		assert_has(connection, i == 0 ? of_ip : of_ipv6,
			i == 0 ? ARRAY_SIZE(of_ip) : ARRAY_SIZE(of_ipv6));
		assert_int_equal(option_of(connection, SOL_SOCKET, SO_PRIORITY), 5);
		assert_has(connection, of_tcp, N_INHERITED);
		assert_text_option(connection, "reno");
	}
}

static void test_all_of_datagrams(void **ctx)
{
	static const char *const texts[] = {"udp4:1", "udplite4:1"};
	struct service_conf service = full_service();

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = address(texts[i]);
		_cleanup_close_ int fd = addr_socket(&addr, SOCK_CLOEXEC);

		if (fd == -EPROTONOSUPPORT)
			continue;
		assert_int_equal(apply(fd, &service, &addr), 0);
		assert_has(fd, of_ip, ARRAY_SIZE(of_ip));
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_BROADCAST), 1);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	}
}

/* One socket for both versions of IP has the options of both. */
static void test_both_versions(void **ctx)
{
	struct service_conf service = full_service();
	struct addr dual = address("tcp:1"), only = address("tcp6:1");
	_cleanup_close_ int a = -EBADF, b = -EBADF;

	(void)ctx;
	if (!have_ipv6())
		skip();
	a = new_socket(&dual);
	assert_int_equal(apply(a, &service, &dual), 0);
	assert_has(a, of_ip, ARRAY_SIZE(of_ip));
	assert_has(a, of_ipv6, ARRAY_SIZE(of_ipv6));
	b = new_socket(&only);
	assert_int_equal(apply(b, &service, &only), 0);
	assert_has(b, of_ipv6, ARRAY_SIZE(of_ipv6));
	assert_int_equal(option_of(b, IPPROTO_IP, IP_TOS), 0);
}

/* Both need a privilege. */
static void test_mark_and_transparent(void **ctx)
{
	static const char *const texts[] = {"tcp4:1", "tcp:1", "udp4:1"};
	struct service_conf service = plain_service();
	char step[SOCKOPT_STEP_MAX];

	(void)ctx;
	service.mark = 0x80000001;
	service.transparent = true;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = address(texts[i]);
		_cleanup_close_ int fd = addr_socket(&addr, SOCK_CLOEXEC);
		int r;

		if (fd == -EAFNOSUPPORT)
			continue;
		r = sockopt_apply(fd, &service, &addr, step);
		if (r == -EPERM) {
			assert_non_null(strstr(step, "TRANSPARENT on"));
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(
			(uint32_t)option_of(fd, SOL_SOCKET, SO_MARK), UINT32_C(0x80000001));
		assert_int_equal(option_of(fd, IPPROTO_IP, IP_TRANSPARENT), 1);
	}
}

/* An option is not set on a socket that has none of the kind. */
static void test_only_where_it_belongs(void **ctx)
{
	static const char *const texts[] = {
		"tcp4:1", "udp4:1", "unix:/x", "unix-dgram:@x", "unix-seqpacket:@x"};
	struct service_conf service = plain_service();

	(void)ctx;
	service = full_service();
	service.reuse_port = true;
	service.send_buffer = 40000;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = address(texts[i]);
		_cleanup_close_ int fd = new_socket(&addr);
		bool tcp = addr_is_tcp(&addr);

		assert_int_equal(apply(fd, &service, &addr), 0);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 80000);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), tcp);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_BROADCAST),
			addr_is_ip(&addr) && addr_is_datagram(&addr));
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), addr_is_ip(&addr));
		if (tcp)
			assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
		if (addr_is_ip(&addr))
			assert_int_equal(option_of(fd, IPPROTO_IP, IP_FREEBIND), 1);
	}
}

static void test_v6only(void **ctx)
{
	static const struct {
		const char *text;
		int8_t asked;
		int found;
	} cases[] = {
		{"tcp:1", -1, 0},
		{"tcp:1", 1, 1},
		{"tcp6:1", -1, 1},
		{"tcp6:1", 0, 0},
		{"udp:[::1]:1", -1, 1},
	};

	(void)ctx;
	if (!have_ipv6())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct service_conf service = plain_service();
		struct addr addr = address(cases[i].text);
		_cleanup_close_ int fd = new_socket(&addr);

		service.v6only = cases[i].asked;
		assert_int_equal(apply(fd, &service, &addr), 0);
		assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), cases[i].found);
	}
}

static void test_failure_names_the_option(void **ctx)
{
	struct service_conf service = plain_service();
	char step[SOCKOPT_STEP_MAX], device[] = "nosuch0";
	struct addr addr = address("tcp4:1");
	_cleanup_close_ int fd = new_socket(&addr);

	(void)ctx;
	service.bind_to_device = device;
	assert_int_equal(sockopt_apply(fd, &service, &addr, step), -ENODEV);
	assert_string_equal(step, "bind to interface nosuch0 for");

	service.bind_to_device = NULL;
	service.congestion = device;
	assert_int_equal(sockopt_apply(fd, &service, &addr, step), -ENOPKG);
	assert_string_equal(step, "set TCP_CONGESTION to nosuch0 on");

	service.congestion = NULL;
	service.keepalive = true;
	assert_int_equal(sockopt_apply(-1, &service, &addr, step), -EBADF);
	assert_string_equal(step, "set SO_KEEPALIVE on");
}

/* On a socket that listens already, forth and back. */
static void test_adjust(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	_cleanup_close_ int fd = new_socket(&addr);

	(void)ctx;
	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	assert_int_equal(listen(fd, 1), 0);

	service.keepalive = service.nodelay = true;
	service.send_buffer = 40000;
	assert_int_equal(adjust(fd, &service, &addr), 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 80000);

	/* As many bytes as the kernel made of the ones before. */
	service.send_buffer = 80000;
	service.keepalive = false;
	assert_int_equal(adjust(fd, &service, &addr), 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 160000);
}

/* All that can be taken back is what it was before anybody asked for it. */
static void test_adjust_back(void **ctx)
{
	static const int live[][2] = {{IPPROTO_IP, IP_TOS}, {IPPROTO_IP, IP_TTL},
		{IPPROTO_TCP, TCP_DEFER_ACCEPT}, {IPPROTO_IP, IP_FREEBIND},
		{IPPROTO_TCP, TCP_FASTOPEN}, {IPPROTO_TCP, TCP_USER_TIMEOUT},
		{SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_TCP, TCP_NODELAY}};
	struct service_conf plain = plain_service(), full = full_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	_cleanup_close_ int fd = new_socket(&addr);
	int before[ARRAY_SIZE(live)];

	(void)ctx;
	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	full.priority = 0;

	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		before[i] = option_of(fd, live[i][0], live[i][1]);
	assert_int_equal(adjust(fd, &full, &addr), 0);
	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		assert_int_not_equal(option_of(fd, live[i][0], live[i][1]), before[i]);
	assert_int_equal(adjust(fd, &plain, &addr), 0);
	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		assert_int_equal(option_of(fd, live[i][0], live[i][1]), before[i]);
}

/* An open socket of any sort is told what it has, and nothing else. */
static void test_adjust_every_sort(void **ctx)
{
	static const char *const texts[] = {"tcp:1", "tcp4:1", "tcp6:1", "mptcp4:1", "udp:1",
		"udp4:1", "udplite4:1", "unix:/x", "unix-dgram:/x", "vsock:1"};
	struct service_conf plain = plain_service();

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = address(texts[i]);
		_cleanup_close_ int fd = addr_socket(&addr, SOCK_CLOEXEC);
		struct service_conf full = full_service();
		bool tcp = addr_is_tcp(&addr);

		if (fd < 0)
			continue;
		/* The kernel has neither for several paths. */
		if (addr.kind == ADDR_MPTCP) {
			full.ttl = 0;
			full.user_timeout = 0;
		}
		assert_int_equal(adjust(fd, &full, &addr), 0);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), tcp);
		if (tcp)
			assert_has(fd, of_tcp, N_EVERYWHERE);
		assert_int_equal(adjust(fd, &plain, &addr), 0);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_BROADCAST), 0);
		if (tcp)
			assert_text_option(fd, "reno");
	}
}

/* What holds since bind is not said again, and what has no way back is left alone:
 * there the table of options asks for another socket. */
static void test_adjust_leaves(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp4:1");
	_cleanup_close_ int fd = new_socket(&addr);
	char device[] = "nosuch0";

	(void)ctx;
	service.send_buffer = 40000;
	service.reuse_port = true;
	assert_int_equal(apply(fd, &service, &addr), 0);

	service = plain_service();
	service.bind_to_device = device;
	assert_int_equal(adjust(fd, &service, &addr), 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 80000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_asked_for),
		cmocka_unit_test(test_all_of_tcp),
		cmocka_unit_test(test_all_of_datagrams),
		cmocka_unit_test(test_both_versions),
		cmocka_unit_test(test_mark_and_transparent),
		cmocka_unit_test(test_only_where_it_belongs),
		cmocka_unit_test(test_v6only),
		cmocka_unit_test(test_failure_names_the_option),
		cmocka_unit_test(test_adjust),
		cmocka_unit_test(test_adjust_back),
		cmocka_unit_test(test_adjust_every_sort),
		cmocka_unit_test(test_adjust_leaves),
	};

	return cmocka_run_group_tests_name("sockopt", tests, NULL, NULL);
}
