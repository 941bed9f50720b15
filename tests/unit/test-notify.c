/* notify: what the service manager is told, and what happens when it does not listen. */
#include "base/fd.h"
#include "base/own.h"
#include "os/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A manager at an abstract address of its own; `name` is what it calls it. */
static int open_manager(char name[64])
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int len;

	assert_true(fd >= 0);
	len = snprintf(name, 64, "@hatchd-test-notify/%d", (int)getpid());
	memcpy(addr.sun_path + 1, name + 1, (size_t)len - 1);
	assert_int_equal(
		bind(fd, (struct sockaddr *)&addr,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)),
		0);
	return fd;
}

static void assert_told(int fd, const char *text)
{
	char buffer[512];
	ssize_t n = recv(fd, buffer, sizeof buffer - 1, 0);

	assert_true(n >= 0);
	buffer[n] = '\0';
	assert_string_equal(buffer, text);
}

static void test_message_arrives(void **state)
{
	_cleanup_close_ int manager = -EBADF;
	struct notify *notify;
	char name[64];

	(void)state;
	manager = open_manager(name);
	assert_int_equal(notify_new(name, &notify), 0);
	notify_send(notify, "READY=1\nSTATUS=Serving %d", 3);
	assert_told(manager, "READY=1\nSTATUS=Serving 3");
	assert_false(notify_pending(notify));
	notify_free(notify);
}

static unsigned fill(struct notify *notify)
{
	unsigned n = 0;

	while (!notify_pending(notify))
		notify_send(notify, "N=%u", n++);
	return n;
}

static void test_full_queue_waits(void **state)
{
	_cleanup_close_ int manager = -EBADF;
	struct notify *notify;
	char name[64], expected[32];
	unsigned n;

	(void)state;
	manager = open_manager(name);
	assert_int_equal(notify_new(name, &notify), 0);
	n = fill(notify);
	assert_true(notify_flush(notify));

	for (unsigned i = 0; i + 1 < n; i++) {
		snprintf(expected, sizeof expected, "N=%u", i);
		assert_told(manager, expected);
	}
	assert_false(notify_flush(notify));
	snprintf(expected, sizeof expected, "N=%u", n - 1);
	assert_told(manager, expected);
	notify_free(notify);
}

static void test_last_words_win(void **state)
{
	_cleanup_close_ int manager = -EBADF;
	struct notify *notify;
	char name[64], buffer[64];

	(void)state;
	manager = open_manager(name);
	assert_int_equal(notify_new(name, &notify), 0);
	fill(notify);
	for (unsigned i = 0; i < 100; i++)
		notify_send(notify, "RELOADING=1");
	notify_send(notify, "STOPPING=1");
	while (recv(manager, buffer, sizeof buffer, 0) >= 0)
		;
	assert_false(notify_flush(notify));
	for (unsigned i = 0; i < 3; i++)
		assert_told(manager, "RELOADING=1");
	assert_told(manager, "STOPPING=1");
	notify_free(notify);
}

static void test_nobody_listens(void **state)
{
	struct notify *notify;

	(void)state;
	assert_int_equal(notify_new(NULL, &notify), 0);
	notify_send(notify, "READY=1");
	assert_false(notify_pending(notify));
	notify_free(notify);

	assert_int_equal(notify_new("@hatchd-test-notify/nobody", &notify), 0);
	notify_send(notify, "READY=1");
	assert_false(notify_pending(notify));
	notify_free(notify);
}

/* What came along with a message; -EBADF: nothing. */
static int receive_fd(int manager, char text[64])
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = text, .iov_len = 63};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(manager, &header, MSG_CMSG_CLOEXEC);
	int fd;

	assert_true(n >= 0);
	text[n] = '\0';
	if (!CMSG_FIRSTHDR(&header))
		return -EBADF;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof fd);
	return fd;
}

static void test_descriptor_goes_along(void **state)
{
	_cleanup_close_ int manager = -EBADF, received = -EBADF;
	struct notify *notify;
	char name[64], text[64];
	int ends[2];

	(void)state;
	manager = open_manager(name);
	assert_int_equal(notify_new(name, &notify), 0);
	assert_int_equal(pipe(ends), 0);
	assert_true(notify_pass(notify, "FDSTORE=1", ends[1]));
	close(ends[1]);
	received = receive_fd(manager, text);
	assert_string_equal(text, "FDSTORE=1");
	assert_int_equal(write(received, "x", 1), 1);
	assert_int_equal(read(ends[0], text, 1), 1);
	assert_true(notify_pass(notify, "FDSTOREREMOVE=1", -EBADF));
	assert_int_equal(receive_fd(manager, text), -EBADF);
	assert_string_equal(text, "FDSTOREREMOVE=1");
	close(ends[0]);
	notify_free(notify);
}

/* It would come before what waits, or hold a descriptor. */
static void test_descriptors_do_not_wait(void **state)
{
	_cleanup_close_ int manager = -EBADF;
	struct notify *notify;
	char name[64], text[64];

	(void)state;
	manager = open_manager(name);
	assert_int_equal(notify_new(name, &notify), 0);
	fill(notify);
	assert_false(notify_pass(notify, "FDSTORE=1", 0));
	while (recv(manager, text, sizeof text, 0) >= 0)
		;
	assert_false(notify_pass(notify, "FDSTORE=1", 0));
	assert_false(notify_flush(notify));
	assert_true(notify_pass(notify, "FDSTORE=1", 0));
	notify_free(notify);
}

static void assert_lost(const char *name, int error)
{
	struct notify *notify;

	assert_int_equal(notify_new(name, &notify), 0);
	assert_false(notify_pass(notify, "FDSTORE=1", 0));
	assert_false(notify_pending(notify));
	assert_int_equal(notify_error(notify), error);
	notify_free(notify);
}

static void test_manager_that_is_not_there(void **state)
{
	(void)state;
	assert_lost(NULL, -ENOTCONN);
	assert_lost("/no/such/manager", -ENOENT);
	assert_lost("@hatchd-test-notify/nobody", -ECONNREFUSED);
}

/* Whoever keeps something there has to know. */
static void test_manager_that_goes(void **state)
{
	struct notify *notify;
	char name[64];
	int manager;

	(void)state;
	manager = open_manager(name);
	assert_int_equal(notify_new(name, &notify), 0);
	assert_int_equal(notify_error(notify), 0);
	assert_true(notify_pass(notify, "FDSTORE=1", 0));
	fill(notify);
	assert_int_equal(notify_error(notify), 0);
	close(manager);
	assert_false(notify_flush(notify));
	assert_int_equal(notify_error(notify), -ECONNREFUSED);
	manager = open_manager(name);
	assert_true(notify_pass(notify, "FDSTORE=1", 0));
	assert_int_equal(notify_error(notify), 0);
	close(manager);
	notify_free(notify);
}

static void test_bad_names(void **state)
{
	struct notify *notify;
	char long_name[300] = "/";

	(void)state;
	memset(long_name + 1, 'x', sizeof long_name - 2);
	assert_int_equal(notify_new("", &notify), -EINVAL);
	assert_int_equal(notify_new("@", &notify), -EINVAL);
	assert_int_equal(notify_new("vsock:2:1", &notify), -EINVAL);
	assert_int_equal(notify_new(long_name, &notify), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_arrives),
		cmocka_unit_test(test_full_queue_waits),
		cmocka_unit_test(test_last_words_win),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_descriptor_goes_along),
		cmocka_unit_test(test_descriptors_do_not_wait),
		cmocka_unit_test(test_manager_that_is_not_there),
		cmocka_unit_test(test_manager_that_goes),
		cmocka_unit_test(test_bad_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
