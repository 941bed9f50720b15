/* reuse: is what was kept the socket that it is said to be? */
#include "listen-try.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/reuse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

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
	/* Only who may ask the kernel can tell two sockets of his from each other. */
	if (geteuid() == 0) {
		new = opened(&service, &addr);
		assert_int_equal(reuse_socket(old.fd, &service, &addr, &found), -ESTALE);
		listen_unlink(&new.addr, new.dev, new.ino, NULL);
		close(new.fd);
	}
	close(old.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_it_was_opened),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_v6only_counts),
		cmocka_unit_test(test_another_place),
		cmocka_unit_test(test_no_socket_at_all),
		cmocka_unit_test(test_one_that_does_not_listen),
		cmocka_unit_test(test_path_that_leads_elsewhere),
	};

	return cmocka_run_group_tests_name("reuse", tests, make_folder, remove_folder);
}
