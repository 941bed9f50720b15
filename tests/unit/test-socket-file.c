/* socket_file: is that the file that a socket was bound to? */
#include "listen-try.h"

#include "base/own.h"
#include "os/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *const kinds[] = {"unix", "unix-dgram", "unix-seqpacket"};

static int bound_socket(const struct addr *addr)
{
	int fd = socket(AF_UNIX, addr_socktype(addr) | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &addr->sa, addr->len), 0);
	return fd;
}

static int compare(int fd, const struct addr *addr)
{
	struct stat st;

	assert_int_equal(lstat(addr->un.sun_path, &st), 0);
	return socket_file_is(fd, &st);
}

/* Two sockets that were bound to one path after the other. */
static void check_replaced(const struct addr *addr)
{
	int old = bound_socket(addr), new;

	assert_int_equal(compare(old, addr), 0);
	assert_int_equal(unlink(addr->un.sun_path), 0);
	new = bound_socket(addr);
	assert_int_equal(compare(old, addr), -ESTALE);
	assert_int_equal(compare(new, addr), 0);
	close(new);
	close(old);
	assert_int_equal(unlink(addr->un.sun_path), 0);
}

/* It shows elsewhere, and is the same file. */
static void check_renamed(const struct addr *addr, const struct addr *other)
{
	int fd = bound_socket(addr);

	assert_int_equal(rename(addr->un.sun_path, other->un.sun_path), 0);
	assert_int_equal(compare(fd, other), 0);
	close(fd);
	assert_int_equal(unlink(other->un.sun_path), 0);
}

static void check_unbound(const struct addr *addr)
{
	int fd = bound_socket(addr), none = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(none >= 0);
	assert_int_equal(compare(none, addr), -ESTALE);
	close(none);
	close(fd);
	assert_int_equal(unlink(addr->un.sun_path), 0);
}

static void test_who_has_the_file(void **state)
{
	struct addr other = unix_address("unix", "other");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct addr addr = unix_address(kinds[i], "sock");

		check_replaced(&addr);
		check_renamed(&addr, &other);
		check_unbound(&addr);
	}
}

static void give_up_net_admin(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	assert_int_equal(syscall(SYS_capget, &header, caps), 0);
	caps[0].effective &= ~(1U << CAP_NET_ADMIN);
	assert_int_equal(syscall(SYS_capset, &header, caps), 0);
}

static bool is_told_without_rights(void)
{
	struct addr addr = unix_address("unix", "sock");
	int fd = bound_socket(&addr), r = compare(fd, &addr);

	close(fd);
	unlink(addr.un.sun_path);
	return r != -ENOENT && r != -EPROTONOSUPPORT;
}

/* As root in a container usually is. */
static void test_without_the_right_to_open_it(void **state)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	assert_int_equal(syscall(SYS_capget, &header, caps), 0);
	give_up_net_admin();
	if (!is_told_without_rights()) {
		assert_int_equal(syscall(SYS_capset, &header, caps), 0);
		skip();
	}
	test_who_has_the_file(state);
	assert_int_equal(syscall(SYS_capset, &header, caps), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_has_the_file),
		cmocka_unit_test(test_without_the_right_to_open_it),
	};

	return cmocka_run_group_tests_name("socket-file", tests, make_folder, remove_folder);
}
