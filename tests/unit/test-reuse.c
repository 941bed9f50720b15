/* reuse: is what was kept the socket that it is said to be? */
#include "listen-try.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/reuse.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct listen_result opened(const struct service_conf *service, const struct addr *addr)
{
	struct listen_request request = {.service = service, .addr = addr};
	struct listen_result result;
	char step[LISTEN_STEP_MAX];

	assert_int_equal(listen_open(&request, &result, step), 0);
	return result;
}

/* What it says of a socket that was opened for one address, of another. */
static int reused(const struct addr *is, const struct addr *said)
{
	struct service_conf service = plain_service();
	struct listen_result result = opened(&service, is), found;
	int r = reuse_socket(result.fd, &service, said, &found);

	listen_unlink(&result.addr, result.dev, result.ino, NULL);
	close(result.fd);
	return r;
}

static void assert_same(const struct addr *asked, const struct service_conf *service)
{
	struct listen_result result = opened(service, asked), found;

	assert_int_equal(reuse_socket(result.fd, service, asked, &found), 0);
	assert_int_equal(found.fd, result.fd);
	assert_true(addr_equal(&found.addr, &result.addr));
	assert_int_equal(found.dev, result.dev);
	assert_int_equal(found.ino, result.ino);
	listen_unlink(&result.addr, result.dev, result.ino, NULL);
	close(result.fd);
}

static void test_as_it_was_opened(void **state)
{
	static const char *const texts[] = {
		"tcp:0",
		"tcp4:0",
		"udp:0",
		"tcp:127.0.0.1:0",
		"udp:127.0.0.1:0",
		"udplite:127.0.0.1:0",
		"mptcp:127.0.0.1:0",
		"unix:@test-reuse",
		"unix-dgram:@test-reuse",
		"unix-seqpacket:@test-reuse",
	};
	struct service_conf service = plain_service();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = address(texts[i]);

		assert_same(&addr, &service);
	}
}

static void test_paths(void **state)
{
	static const char *const kinds[] = {"unix", "unix-dgram", "unix-seqpacket"};
	struct service_conf service = plain_service();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct addr addr = unix_address(kinds[i], "sock");

		assert_same(&addr, &service);
	}
}

static void test_v6only_counts(void **state)
{
	struct service_conf service = plain_service();
	struct addr dual = address("tcp:0"), six = address("tcp6:0");
	struct listen_result result, found;

	(void)state;
	result = opened(&service, &dual);
	if (addr_family(&result.addr) != AF_INET6) {
		close(result.fd);
		skip();
	}
	service.v6only = true;
	assert_int_equal(reuse_socket(result.fd, &service, &dual, &found), -EADDRNOTAVAIL);
	service.v6only = false;
	assert_int_equal(reuse_socket(result.fd, &service, &six, &found), 0);
	close(result.fd);
	service.v6only = true;
	assert_same(&dual, &service);
}

static void test_another_place(void **state)
{
	struct addr tcp = address("tcp:127.0.0.1:0"), other = address("tcp:127.0.0.2:0");
	struct addr port = address("tcp:127.0.0.1:1"), udp = address("udp:127.0.0.1:0");
	struct addr name = address("unix:@test-reuse"), gram = address("unix-dgram:@x");

	(void)state;
	assert_int_equal(reused(&tcp, &other), -EADDRNOTAVAIL);
	assert_int_equal(reused(&tcp, &port), -EADDRNOTAVAIL);
	assert_int_equal(reused(&tcp, &udp), -EINVAL);
	assert_int_equal(reused(&name, &gram), -EINVAL);
	assert_int_equal(reused(&name, &tcp), -EINVAL);
}

/* By its number, which a new interface of the same name does not have. */
static bool is_place(const char *asked, const char *own)
{
	struct addr a = address(asked), b = address(own);

	return reuse_is_place(&a, &b);
}

static void test_places(void **state)
{
	(void)state;
	assert_true(is_place("tcp:127.0.0.1:80", "tcp:127.0.0.1:80"));
	assert_true(is_place("mptcp:127.0.0.1:80", "tcp:127.0.0.1:80"));
	assert_true(is_place("tcp:80", "tcp6:80"));
	assert_true(is_place("tcp6:80", "tcp:80"));
	assert_true(is_place("tcp:80", "tcp4:80"));
	assert_true(is_place("unix:/run/x", "unix-seqpacket:/run/x"));
	assert_true(is_place("unix:@x", "unix-dgram:@x"));
	assert_true(is_place("vsock:any:80", "vsock:any:80"));

	assert_false(is_place("tcp4:80", "tcp:80"));
	assert_false(is_place("tcp6:80", "tcp4:80"));
	assert_false(is_place("tcp:80", "tcp:127.0.0.1:80"));
	assert_false(is_place("tcp:127.0.0.1:80", "udp:127.0.0.1:80"));
	assert_false(is_place("udp:127.0.0.1:80", "udplite:127.0.0.1:80"));
	assert_false(is_place("tcp:127.0.0.1:80", "tcp:127.0.0.1:81"));
	assert_false(is_place("tcp:0", "tcp:80"));
	assert_false(is_place("vsock:any:80", "vsock:2:80"));
	assert_false(is_place("tcp:80", "vsock:any:80"));
	assert_false(is_place("tcp:80", "unix:/run/x"));
	assert_false(is_place("unix:/run/x", "tcp:80"));
	assert_false(is_place("unix:/run/x", "unix:/run/y"));
	assert_false(is_place("unix:/run/x", "unix:@/run/x"));
}

/* What it says of a socket that is opened for one address, to who asks for another. */
static int handed(const char *is, const char *asked, int8_t v6only)
{
	struct service_conf service = plain_service(), opener = plain_service();
	struct addr own = address(is), wanted = address(asked);
	struct listen_result result = opened(&opener, &own);
	int r;

	service.v6only = v6only;
	assert_int_equal(addr_of_socket(result.fd, &own), 0);
	if (addr_port_space(&wanted))
		addr_set_port(&wanted, addr_port(&own));
	assert_true(reuse_is_place(&wanted, &own));
	r = reuse_handed_over(result.fd, &service, &wanted, &own);
	close(result.fd);
	return r;
}

static void test_what_was_handed_over(void **state)
{
	(void)state;
	assert_int_equal(handed("tcp:127.0.0.1:0", "tcp:127.0.0.1:0", -1), 0);
	assert_int_equal(handed("tcp:127.0.0.1:0", "mptcp:127.0.0.1:0", -1), 0);
	assert_int_equal(handed("udp:127.0.0.1:0", "udp:127.0.0.1:0", -1), 0);
	assert_int_equal(handed("unix:@test-reuse", "unix:@test-reuse", -1), 0);
	assert_int_equal(
		handed("unix:@test-reuse", "unix-seqpacket:@test-reuse", -1), -EPROTOTYPE);
	assert_int_equal(handed("tcp4:0", "tcp:0", -1), 0);
	assert_int_equal(handed("tcp4:0", "tcp:0", 1), -EADDRNOTAVAIL);
}

static void test_versions_of_ip(void **state)
{
	struct service_conf service = plain_service();
	struct addr dual = address("tcp:0");
	struct listen_result result = opened(&service, &dual);
	bool has_ipv6 = addr_family(&result.addr) == AF_INET6;

	(void)state;
	close(result.fd);
	if (!has_ipv6)
		skip();
	assert_int_equal(handed("tcp:0", "tcp:0", -1), 0);
	assert_int_equal(handed("tcp6:0", "tcp6:0", -1), 0);
	assert_int_equal(handed("tcp6:0", "tcp:0", -1), -EADDRNOTAVAIL);
	assert_int_equal(handed("tcp6:0", "tcp:0", 1), 0);
	assert_int_equal(handed("tcp:0", "tcp6:0", -1), -EADDRNOTAVAIL);
	assert_int_equal(handed("tcp:0", "tcp:0", 1), -EADDRNOTAVAIL);
}

static void test_another_interface(void **state)
{
	struct service_conf any = plain_service(), bound = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_request request = {.service = &bound, .addr = &addr};
	struct listen_result result, found;
	char step[LISTEN_STEP_MAX];

	(void)state;
	bound.bind_to_device = (char *)"lo";
	if (listen_open(&request, &result, step) == -EPERM)
		skip();
	assert_int_equal(reuse_socket(result.fd, &bound, &addr, &found), 0);
	assert_int_equal(reuse_socket(result.fd, &any, &addr, &found), -ENODEV);
	bound.bind_to_device = (char *)"hatchd-none";
	assert_int_equal(reuse_socket(result.fd, &bound, &addr, &found), -ENODEV);
	close(result.fd);
	bound.bind_to_device = (char *)"lo";
	result = opened(&any, &addr);
	assert_int_equal(reuse_socket(result.fd, &bound, &addr, &found), -ENODEV);
	close(result.fd);
}

static bool leave_network(void)
{
	return unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
}

/* What reuse_socket() says of it to a process of another network: a number from 0 on. */
static int reused_elsewhere(const char *text)
{
	struct service_conf service = plain_service();
	struct addr addr = text[0] == '/' ? unix_address("unix", text + 1) : address(text);
	struct listen_result result = opened(&service, &addr), found;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(leave_network() ? -reuse_socket(result.fd, &service, &addr, &found)
				      : EPERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	listen_unlink(&result.addr, result.dev, result.ino, NULL);
	close(result.fd);
	return WEXITSTATUS(status);
}

/* Nobody of this network would get in there. */
static void test_another_network(void **state)
{
	(void)state;
	if (reused_elsewhere("tcp:0") == EPERM)
		skip();
	assert_int_equal(reused_elsewhere("tcp:127.0.0.1:0"), EXDEV);
	assert_int_equal(reused_elsewhere("udp:127.0.0.1:0"), EXDEV);
	assert_int_equal(reused_elsewhere("unix:@test-reuse"), EXDEV);
	assert_int_equal(reused_elsewhere("/sock"), 0);
}

static void assert_hears(const struct listen_result *result, int expected)
{
	assert_int_equal(reuse_check_peer(result->fd, &result->addr), expected);
}

static void test_one_that_hears_one_peer(void **state)
{
	struct service_conf service = plain_service();
	struct addr udp = address("udp:127.0.0.1:0"), tcp = address("tcp:127.0.0.1:0");
	struct addr name = address("unix-dgram:@test-reuse");
	struct addr other = address("udp:127.0.0.1:1");
	struct listen_result result = opened(&service, &udp);

	(void)state;
	assert_hears(&result, 0);
	assert_int_equal(connect(result.fd, &other.sa, other.len), 0);
	assert_hears(&result, -EISCONN);
	close(result.fd);
	result = opened(&service, &name);
	assert_hears(&result, 0);
	assert_int_equal(connect(result.fd, &name.sa, name.len), 0);
	assert_hears(&result, -EISCONN);
	close(result.fd);
	result = opened(&service, &tcp);
	assert_hears(&result, 0);
	close(result.fd);
}

static void test_no_socket_at_all(void **state)
{
	_cleanup_close_ int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:7777");
	struct listen_result found;

	(void)state;
	assert_int_equal(reuse_socket(file, &service, &addr, &found), -ENOTSOCK);
}

/* A connection, or a socket that was shut down. */
static void test_one_that_does_not_listen(void **state)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_result result = opened(&service, &addr), found;

	(void)state;
	assert_int_equal(shutdown(result.fd, SHUT_RDWR), 0);
	assert_int_equal(reuse_socket(result.fd, &service, &addr, &found), -ENOTCONN);
	close(result.fd);
}

static void test_path_that_leads_elsewhere(void **state)
{
	struct addr addr = unix_address("unix", "sock");
	struct service_conf service = plain_service();
	struct listen_result old = opened(&service, &addr), new, found;

	(void)state;
	assert_int_equal(unlink(addr.un.sun_path), 0);
	assert_int_equal(reuse_socket(old.fd, &service, &addr, &found), -ESTALE);
	close(open(addr.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(reuse_socket(old.fd, &service, &addr, &found), -ESTALE);
	assert_int_equal(unlink(addr.un.sun_path), 0);
	new = opened(&service, &addr);
	assert_int_equal(reuse_socket(old.fd, &service, &addr, &found), -ESTALE);
	listen_unlink(&new.addr, new.dev, new.ino, NULL);
	close(new.fd);
	close(old.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_it_was_opened),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_v6only_counts),
		cmocka_unit_test(test_another_place),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_what_was_handed_over),
		cmocka_unit_test(test_versions_of_ip),
		cmocka_unit_test(test_another_interface),
		cmocka_unit_test(test_another_network),
		cmocka_unit_test(test_one_that_hears_one_peer),
		cmocka_unit_test(test_no_socket_at_all),
		cmocka_unit_test(test_one_that_does_not_listen),
		cmocka_unit_test(test_path_that_leads_elsewhere),
	};

	return cmocka_run_group_tests_name("reuse", tests, make_folder, remove_folder);
}
