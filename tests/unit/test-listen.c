/* listen: from an address to a socket that waits for clients. */
#include "listen-try.h"

#include "base/fd.h"
#include "base/own.h"
#include "os/listen.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

static int open_listener(
	const struct service_conf *service, const struct addr *addr, struct listen_result *ret)
{
	struct listen_request request = {.service = service, .addr = addr};
	char step[LISTEN_STEP_MAX];

	return listen_open(&request, ret, step);
}

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static bool is_nonblock(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static int connect_to(const struct addr *addr)
{
	int fd = socket(addr_family(addr), addr_socktype(addr) | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, &addr->sa, addr->len) == 0)
		return fd;
	fd_close(fd);
	return -errno;
}

static bool have_ipv6(void)
{
	struct addr addr = address("tcp:[::1]:0");
	_cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, &addr.sa, addr.len) == 0;
}

/* --------------------------------------------------------------------- TCP */

static void test_tcp(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_result listener;
	_cleanup_close_ int client = -EBADF;

	(void)ctx;
	assert_int_equal(open_listener(&service, &addr, &listener), 0);
	assert_int_not_equal(addr_port(&listener.addr), 0);
	assert_int_equal(option_of(listener.fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_equal(option_of(listener.fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(fcntl(listener.fd, F_GETFD), FD_CLOEXEC);
	assert_true(is_nonblock(listener.fd));
	client = connect_to(&listener.addr);
	assert_true(client >= 0);
	fd_close(listener.fd);
}

/* Its program expects a blocking socket. */
static void test_wait_service_gets_a_blocking_socket(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_result listener;

	(void)ctx;
	service.wait = true;
	assert_int_equal(open_listener(&service, &addr, &listener), 0);
	assert_false(is_nonblock(listener.fd));
	fd_close(listener.fd);
}

static void test_taken_port(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_result first, second = {.fd = -77};
	struct listen_request request = {.service = &service, .addr = &first.addr};
	char step[LISTEN_STEP_MAX] = "untouched";

	(void)ctx;
	assert_int_equal(open_listener(&service, &addr, &first), 0);
	assert_int_equal(listen_open(&request, &second, step), -EADDRINUSE);
	assert_string_equal(step, "bind");
	assert_int_equal(second.fd, -77);
	fd_close(first.fd);
	assert_int_equal(listen_open(&request, &second, step), 0);
	fd_close(second.fd);
}

static void test_port_shared_on_request(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_result first, second;

	(void)ctx;
	service.reuse_port = true;
	assert_int_equal(open_listener(&service, &addr, &first), 0);
	assert_int_equal(open_listener(&service, &first.addr, &second), 0);
	fd_close(first.fd);
	fd_close(second.fd);
}

/* What a client's socket inherits from the listener. */
static void test_options_of_connections(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	_cleanup_close_ int client = -EBADF, connection = -EBADF;
	struct listen_result listener;

	(void)ctx;
	service.keepalive = true;
	service.nodelay = true;
	service.send_buffer = 40000;
	service.receive_buffer = 50000;
	assert_int_equal(open_listener(&service, &addr, &listener), 0);
	client = connect_to(&listener.addr);
	assert_true(client >= 0);
	connection = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(connection >= 0);
	assert_int_equal(option_of(connection, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option_of(connection, IPPROTO_TCP, TCP_NODELAY), 1);
	/* The kernel doubles both, for its own use. */
	assert_int_equal(option_of(connection, SOL_SOCKET, SO_SNDBUF), 80000);
	assert_int_equal(option_of(connection, SOL_SOCKET, SO_RCVBUF), 100000);
	assert_false(is_nonblock(connection));
	fd_close(listener.fd);
}

static void test_address_that_is_not_ours(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:192.0.2.1:0");
	struct listen_request request = {.service = &service, .addr = &addr};
	struct listen_result listener;
	char step[LISTEN_STEP_MAX];

	(void)ctx;
	assert_int_equal(listen_open(&request, &listener, step), -EADDRNOTAVAIL);
	assert_string_equal(step, "bind");
	service.free_bind = true;
	assert_int_equal(listen_open(&request, &listener, step), 0);
	fd_close(listener.fd);
}

static void test_no_such_interface(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_request request = {.service = &service, .addr = &addr};
	struct listen_result listener;
	char step[LISTEN_STEP_MAX], device[] = "nosuch0";

	(void)ctx;
	service.bind_to_device = device;
	assert_int_equal(listen_open(&request, &listener, step), -ENODEV);
	assert_string_equal(step, "bind to interface nosuch0 for");

	if (!have_ipv6())
		return;
	service.bind_to_device = NULL;
	addr = address("tcp:[fe80::1%nosuch0]:0");
	assert_int_equal(listen_open(&request, &listener, step), -ENODEV);
	assert_string_equal(step, "bind");
}

/* --------------------------------------------------------------- both families */

static bool takes(const struct addr *bound, const char *client)
{
	struct addr to = address(client);
	_cleanup_close_ int fd = -EBADF;

	addr_set_port(&to, addr_port(bound));
	fd = connect_to(&to);
	return fd >= 0;
}

static void test_which_families_come_in(void **ctx)
{
	static const struct {
		const char *listen;
		int8_t v6only;
		bool four, six;
	} cases[] = {
		{"tcp:0", -1, true, true},
		{"tcp:0", 1, false, true},
		{"tcp:0", 0, true, true},
		{"tcp4:0", -1, true, false},
		{"tcp6:0", -1, false, true},
		{"tcp6:0", 0, true, true},
	};

	(void)ctx;
	if (!have_ipv6())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct service_conf service = plain_service();
		struct addr addr = address(cases[i].listen);
		struct listen_result listener;

		service.v6only = cases[i].v6only;
		assert_int_equal(open_listener(&service, &addr, &listener), 0);
		assert_int_equal(takes(&listener.addr, "tcp:127.0.0.1:1"), cases[i].four);
		assert_int_equal(takes(&listener.addr, "tcp:[::1]:1"), cases[i].six);
		fd_close(listener.fd);
	}
}

/* ------------------------------------------------------------------- narration */

struct story {
	char text[256];
};

static void note(void *userdata, const char *text)
{
	struct story *story = userdata;
	size_t len = strlen(story->text);

	snprintf(story->text + len, sizeof story->text - len, "%s\n", text);
}

static void test_every_step_is_told(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0"), datagrams = address("udp:127.0.0.1:0");
	struct story story = {.text = ""};
	struct listen_request request = {
		.service = &service, .addr = &addr, .told = note, .userdata = &story};
	struct listen_result listener;
	char step[LISTEN_STEP_MAX];

	(void)ctx;
	assert_int_equal(listen_open(&request, &listener, step), 0);
	assert_string_equal(story.text, "socket tcp4\nbind 127.0.0.1:0\nlisten, queue 16\n");
	fd_close(listener.fd);

	/* A datagram socket does not listen. */
	story.text[0] = '\0';
	service.wait = true;
	request.addr = &datagrams;
	assert_int_equal(listen_open(&request, &listener, step), 0);
	assert_string_equal(story.text, "socket udp4\nbind 127.0.0.1:0\n");
	fd_close(listener.fd);
}

/* ------------------------------------------------------------------------ UNIX */

static void test_unix(void **ctx)
{
	static const char *const kinds[] = {"unix", "unix-seqpacket", "unix-dgram"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct service_conf service = plain_service();
		struct addr addr = unix_address(kinds[i], "socket");
		_cleanup_close_ int client = -EBADF;
		struct listen_result listener;
		struct stat st;

		service.socket_mode = 0640;
		assert_int_equal(open_listener(&service, &addr, &listener), 0);
		assert_int_equal(lstat(addr.un.sun_path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		assert_true(st.st_ino == listener.ino && st.st_dev == listener.dev);
		client = connect_to(&listener.addr);
		assert_true(client >= 0);

		fd_close(listener.fd);
		listen_unlink(&listener.addr, listener.dev, listener.ino, service.symlinks);
		assert_int_equal(lstat(addr.un.sun_path, &st), -1);
	}
}

static void test_unix_path_is_in_the_way(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = unix_address("unix", "way");
	struct listen_result first, second;

	(void)ctx;
	assert_int_equal(open_listener(&service, &addr, &first), 0);
	assert_int_equal(open_listener(&service, &addr, &second), -EADDRINUSE);
	fd_close(first.fd);
	/* Nobody is behind it any more. */
	assert_int_equal(open_listener(&service, &addr, &second), 0);
	fd_close(second.fd);
	/* What was left of the first is not ours to remove. */
	if (first.ino != second.ino) {
		listen_unlink(&addr, first.dev, first.ino, service.symlinks);
		assert_int_equal(access(addr.un.sun_path, F_OK), 0);
	}
	listen_unlink(&addr, second.dev, second.ino, service.symlinks);
	assert_int_equal(access(addr.un.sun_path, F_OK), -1);

	fd_close(open(addr.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(open_listener(&service, &addr, &first), -EEXIST);
	assert_int_equal(access(addr.un.sun_path, F_OK), 0);
	unlink(addr.un.sun_path);
}

static void test_unix_in_new_folders(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = unix_address("unix", "new/one/socket");
	struct listen_request request = {.service = &service, .addr = &addr};
	struct listen_result listener;
	char step[LISTEN_STEP_MAX], path[128];

	(void)ctx;
	assert_int_equal(listen_open(&request, &listener, step), -ENOENT);
	assert_string_equal(step, "bind");
	service.directory_mode = 0711;
	assert_int_equal(listen_open(&request, &listener, step), 0);
	fd_close(listener.fd);
	listen_unlink(&listener.addr, listener.dev, listener.ino, service.symlinks);
	assert_int_equal(access(addr.un.sun_path, F_OK), -1);
	snprintf(path, sizeof path, "%s/new/one", folder);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof path, "%s/new", folder);
	assert_int_equal(rmdir(path), 0);
}

static void test_unix_links(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = unix_address("unix", "socket");
	struct addr one = unix_address("unix", "one"), two = unix_address("unix", "two");
	struct listen_request request = {.service = &service, .addr = &addr};
	char *links[] = {one.un.sun_path, two.un.sun_path, NULL};
	char step[LISTEN_STEP_MAX], wanted[LISTEN_STEP_MAX];
	struct listen_result listener;
	struct stat st;

	(void)ctx;
	service.symlinks = links;
	assert_int_equal(listen_open(&request, &listener, step), 0);
	for (char **link = links; *link; link++) {
		_cleanup_close_ int client = -EBADF;
		struct addr there = *link == links[0] ? one : two;

		client = connect_to(&there);
		assert_true(client >= 0);
	}
	fd_close(listener.fd);

	/* Left where they are, and taken up by the next one. */
	assert_int_equal(listen_open(&request, &listener, step), 0);
	fd_close(listener.fd);
	listen_unlink(&listener.addr, listener.dev, listener.ino, service.symlinks);
	assert_int_equal(lstat(addr.un.sun_path, &st), -1);
	assert_int_equal(lstat(links[0], &st), -1);
	assert_int_equal(lstat(links[1], &st), -1);

	/* One that cannot be made, and then there is nothing. */
	fd_close(open(links[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(listen_open(&request, &listener, step), -EBUSY);
	snprintf(wanted, sizeof wanted, "make the symbolic link %s to", links[1]);
	assert_string_equal(step, wanted);
	assert_int_equal(lstat(addr.un.sun_path, &st), -1);
	assert_int_equal(lstat(links[0], &st), -1);
	assert_int_equal(unlink(links[1]), 0);
}

struct steps {
	const char *link;
	char text[64];
};

static void note_step(void *userdata, const char *line)
{
	struct steps *steps = userdata;
	size_t used = strlen(steps->text);
	bool listens = strncmp(line, "listen", 6) == 0;
	struct stat st;

	snprintf(steps->text + used, sizeof steps->text - used, "%s%.*s;",
		listens && lstat(steps->link, &st) == 0 ? "linked;" : "",
		(int)strcspn(line, " ,"), line);
}

/* Whoever connects while it is opened must not be thrown out again: the links are
 * there before it listens, and without them it is not even bound. */
static void test_unix_links_first(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = unix_address("unix", "socket"), one = unix_address("unix", "one");
	char *links[] = {one.un.sun_path, NULL};
	char step[LISTEN_STEP_MAX];
	struct steps steps = {.link = one.un.sun_path};
	struct listen_request request = {
		.service = &service, .addr = &addr, .told = note_step, .userdata = &steps};
	struct listen_result listener;
	struct stat st;

	(void)ctx;
	service.symlinks = links;
	fd_close(open(links[0], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(listen_open(&request, &listener, step), -EBUSY);
	assert_string_equal(steps.text, "");
	assert_int_equal(unlink(links[0]), 0);

	assert_int_equal(listen_open(&request, &listener, step), 0);
	assert_string_equal(steps.text, "socket;bind;linked;listen;");
	fd_close(listener.fd);
	listen_unlink(&listener.addr, listener.dev, listener.ino, service.symlinks);
	assert_int_equal(lstat(links[0], &st), -1);
}

/* At a reload: those that are gone are removed, those that came are made. */
static void test_unix_links_change(void **ctx)
{
	struct service_conf was = plain_service(), now = plain_service();
	struct addr addr = unix_address("unix", "socket");
	struct addr one = unix_address("unix", "one"), two = unix_address("unix", "two");
	char *before[] = {one.un.sun_path, NULL}, *after[] = {two.un.sun_path, NULL};
	struct listen_request request = {.service = &now, .addr = &addr};
	char step[LISTEN_STEP_MAX];
	struct listen_result listener;
	struct stat st;

	(void)ctx;
	was.symlinks = before;
	now.symlinks = after;
	assert_int_equal(open_listener(&was, &addr, &listener), 0);
	listen_drop_links(&addr, before, before);
	assert_int_equal(lstat(before[0], &st), 0);
	listen_drop_links(&addr, before, after);
	assert_int_equal(lstat(before[0], &st), -1);
	assert_int_equal(listen_adjust(&request, &listener, step), 0);
	assert_int_equal(lstat(after[0], &st), 0);
	/* Once more: it says the same already. */
	assert_int_equal(listen_adjust(&request, &listener, step), 0);
	fd_close(listener.fd);
	listen_unlink(&listener.addr, listener.dev, listener.ino, now.symlinks);
	assert_int_equal(lstat(after[0], &st), -1);
}

static void test_abstract_name(void **ctx)
{
	struct service_conf service = plain_service();
	struct listen_result first, second;
	struct addr addr;
	char text[64];

	(void)ctx;
	snprintf(text, sizeof text, "unix:@hatchd-test-listen-%d", getpid());
	addr = address(text);
	assert_int_equal(open_listener(&service, &addr, &first), 0);
	assert_int_equal(first.ino, 0);
	assert_int_equal(open_listener(&service, &addr, &second), -EADDRINUSE);
	listen_unlink(&first.addr, first.dev, first.ino, service.symlinks);
	fd_close(first.fd);
}

/* -------------------------------------------------------------------- adoption */

static int adopt(int fd, const struct service_conf *service)
{
	struct addr own;

	assert_int_equal(addr_of_socket(fd, &own), 0);
	return listen_adopt(fd, service, &own);
}

static void test_adopt(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr addr = address("tcp:127.0.0.1:0");
	struct listen_result listener;

	(void)ctx;
	service.wait = true;
	assert_int_equal(open_listener(&service, &addr, &listener), 0);
	assert_false(is_nonblock(listener.fd));

	service.wait = false;
	assert_int_equal(adopt(listener.fd, &service), 0);
	assert_true(is_nonblock(listener.fd));

	service.wait = true;
	assert_int_equal(adopt(listener.fd, &service), 0);
	assert_false(is_nonblock(listener.fd));
	fd_close(listener.fd);
}

static void test_adopt_refuses(void **ctx)
{
	struct service_conf service = plain_service();
	_cleanup_close_ int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct addr addr = address("udp:127.0.0.1:0");

	(void)ctx;
	assert_int_equal(adopt(idle, &service), -EINVAL);
	assert_int_equal(bind(datagrams, &addr.sa, addr.len), 0);
	service.sensor = true;
	assert_int_equal(adopt(datagrams, &service), -EINVAL);
	service.sensor = false;
	service.builtin = BUILTIN_ECHO;
	assert_int_equal(adopt(datagrams, &service), -EINVAL);
	service.builtin = BUILTIN_NONE;
	assert_false(is_nonblock(datagrams));
	assert_int_equal(adopt(datagrams, &service), 0);
	assert_true(is_nonblock(datagrams));
	service.ident = IDENT_USE_REQUIRED;
	assert_int_equal(adopt(datagrams, &service), -EOPNOTSUPP);
	service.ident = IDENT_USE_YES;
	assert_int_equal(adopt(datagrams, &service), 0);
	service.ident = IDENT_USE_REQUIRED;
	service.wait = true;
	assert_int_equal(adopt(datagrams, &service), 0);
}

/* What it is shows when it is there. */
static void test_adopt_for_redirect(void **ctx)
{
	struct service_conf service = plain_service();
	struct addr target = address("udp:127.0.0.1:53"), any = address("udp:127.0.0.1:0");
	_cleanup_close_ int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int local = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};

	(void)ctx;
	service.redirect = (char *[]){"an address", NULL};
	service.targets = &target;
	service.n_targets = 1;
	assert_int_equal(bind(datagrams, &any.sa, any.len), 0);
	assert_int_equal(listen(stream, 1), 0);
	assert_int_equal(
		bind(local, (const struct sockaddr *)&unnamed, sizeof unnamed.sun_family), 0);
	assert_int_equal(adopt(datagrams, &service), 0);
	assert_int_equal(adopt(stream, &service), -EINVAL);
	assert_int_equal(adopt(local, &service), -EINVAL);
	target = address("tcp:127.0.0.1:53");
	assert_int_equal(adopt(datagrams, &service), -EINVAL);
	assert_int_equal(adopt(stream, &service), 0);
	assert_int_equal(adopt(local, &service), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_wait_service_gets_a_blocking_socket),
		cmocka_unit_test(test_taken_port),
		cmocka_unit_test(test_port_shared_on_request),
		cmocka_unit_test(test_options_of_connections),
		cmocka_unit_test(test_address_that_is_not_ours),
		cmocka_unit_test(test_no_such_interface),
		cmocka_unit_test(test_which_families_come_in),
		cmocka_unit_test(test_every_step_is_told),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_path_is_in_the_way),
		cmocka_unit_test(test_unix_in_new_folders),
		cmocka_unit_test(test_unix_links),
		cmocka_unit_test(test_unix_links_first),
		cmocka_unit_test(test_unix_links_change),
		cmocka_unit_test(test_abstract_name),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_adopt_refuses),
		cmocka_unit_test(test_adopt_for_redirect),
	};

	return cmocka_run_group_tests_name("listen", tests, make_folder, remove_folder);
}
