/* sockopt: which options a socket gets, and which it may get later. */
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

/* An option is not set on a socket that has none of the kind. */
static void test_only_where_it_belongs(void **ctx)
{
	static const char *const texts[] = {
		"tcp4:1", "udp4:1", "unix:/x", "unix-dgram:@x", "unix-seqpacket:@x"};
	struct service_conf service = plain_service();

	(void)ctx;
	service.keepalive = service.nodelay = service.reuse_port = service.free_bind = true;
	service.send_buffer = 40000;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = address(texts[i]);
		_cleanup_close_ int fd = new_socket(&addr);
		bool tcp = addr_is_tcp(&addr);

		assert_int_equal(apply(fd, &service, &addr), 0);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 80000);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), tcp);
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
		cmocka_unit_test(test_only_where_it_belongs),
		cmocka_unit_test(test_v6only),
		cmocka_unit_test(test_failure_names_the_option),
		cmocka_unit_test(test_adjust),
		cmocka_unit_test(test_adjust_leaves),
	};

	return cmocka_run_group_tests_name("sockopt", tests, NULL, NULL);
}
