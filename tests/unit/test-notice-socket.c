/* notice_socket: who has sent a message is known, and no descriptor is ever taken in. */
#include "base/fd.h"
#include "base/own.h"
#include "os/notice_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The kernel takes no more with one message. */
#define FDS_MAX 253

static struct notice_mail mail;

/* Look at it, and throw it away. */
static int take(int fd, struct notice_mail *ret)
{
	int r = notice_socket_look(fd, ret);

	if (r > 0)
		notice_socket_drop(fd);
	return r;
}

static void send_to(const char *name, const void *text, size_t len, const int *fds, size_t n)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char room[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct iovec part = {.iov_base = (void *)text, .iov_len = len};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_name = &to,
		.msg_namelen =
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))};

	assert_int_equal(name[0], '@');
	memcpy(to.sun_path + 1, name + 1, strlen(name) - 1);
	if (n > 0) {
		struct cmsghdr *header = (struct cmsghdr *)room;

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(n * sizeof *fds);
		memcpy(CMSG_DATA(header), fds, n * sizeof *fds);
		message.msg_control = room;
		message.msg_controllen = CMSG_SPACE(n * sizeof *fds);
	}
	assert_int_equal(sendmsg(fd, &message, 0), len);
}

static void test_names_differ(void **ctx)
{
	struct notice_name one, other;
	_cleanup_close_ int a = notice_socket_open(NULL, &one);
	_cleanup_close_ int b = notice_socket_open(NULL, &other);

	(void)ctx;
	assert_true(a >= 0 && b >= 0);
	assert_string_not_equal(one.text, other.text);
	assert_int_equal(strlen(one.text), sizeof "@hatchd/notify/0123456789abcdef" - 1);
	assert_int_equal(one.number, 0);
	assert_true(fcntl(a, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(take(a, &mail), 0);
}

static void test_message(void **ctx)
{
	struct notice_name name;
	_cleanup_close_ int fd = notice_socket_open(NULL, &name);

	(void)ctx;
	send_to(name.text, "READY=1", 7, NULL, 0);
	send_to(name.text, "", 0, NULL, 0);
	assert_int_equal(take(fd, &mail), 1);
	assert_int_equal(mail.pid, getpid());
	assert_int_equal(mail.uid, getuid());
	assert_int_equal(mail.len, 7);
	assert_memory_equal(mail.text, "READY=1", 7);
	assert_true(mail.whole);
	assert_false(mail.laden);
	assert_int_equal(take(fd, &mail), 1);
	assert_int_equal(mail.len, 0);
	assert_int_equal(take(fd, &mail), 0);
}

/* However often it is looked at, and whatever it is like. */
static void test_which_message(void **ctx)
{
	struct notice_name name;
	_cleanup_close_ int fd = notice_socket_open(NULL, &name);
	int64_t first;

	(void)ctx;
	for (size_t i = 0; i < 2; i++)
		send_to(name.text, "READY=1", 7, &fd, i);
	assert_int_equal(notice_socket_look(fd, &mail), 1);
	first = mail.at;
	assert_true(first > 0);
	assert_int_equal(notice_socket_look(fd, &mail), 1);
	assert_int_equal(mail.at, first);
	notice_socket_drop(fd);
	assert_int_equal(notice_socket_look(fd, &mail), 1);
	assert_true(mail.laden);
	assert_true(mail.at != first);
}

static void test_who_sends(void **ctx)
{
	struct notice_name name;
	_cleanup_close_ int fd = notice_socket_open(NULL, &name);
	pid_t pid = fork();

	(void)ctx;
	if (pid == 0) {
		send_to(name.text, "READY=1", 7, NULL, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(take(fd, &mail), 1);
	assert_int_equal(mail.pid, pid);
}

static void test_too_long(void **ctx)
{
	char text[NOTICE_MAX + 1];
	struct notice_name name;
	_cleanup_close_ int fd = notice_socket_open(NULL, &name);

	(void)ctx;
	memset(text, 'x', sizeof text);
	send_to(name.text, text, NOTICE_MAX, NULL, 0);
	send_to(name.text, text, NOTICE_MAX + 1, NULL, 0);
	assert_int_equal(take(fd, &mail), 1);
	assert_true(mail.whole);
	assert_int_equal(mail.len, NOTICE_MAX);
	assert_int_equal(take(fd, &mail), 1);
	assert_false(mail.whole);
	assert_int_equal(mail.len, NOTICE_MAX);
	assert_int_equal(mail.pid, getpid());
}

static int count_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The other end of a pipe comes along, and is closed when the message is thrown away. */
static void test_descriptors(void **ctx)
{
	static const size_t counts[] = {1, 2, 100, FDS_MAX};
	struct notice_name name;
	_cleanup_close_ int fd = notice_socket_open(NULL, &name);
	int fds[FDS_MAX];
	char byte;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		int ends[2], n_open;

		assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
		for (size_t j = 0; j < FDS_MAX; j++)
			fds[j] = ends[1];
		send_to(name.text, "BARRIER=1", 9, fds, counts[i]);
		close(ends[1]);
		n_open = count_open();
		for (int look = 0; look < 2; look++) {
			assert_int_equal(notice_socket_look(fd, &mail), 1);
			assert_true(mail.laden && mail.whole);
			assert_int_equal(mail.pid, getpid());
			assert_int_equal(mail.len, 9);
			assert_memory_equal(mail.text, "BARRIER=1", 9);
		}
		assert_int_equal(count_open(), n_open);
		assert_int_equal(read(ends[0], &byte, 1), -1);
		assert_int_equal(recv(fd, NULL, 0, MSG_DONTWAIT), 0);
		assert_int_equal(read(ends[0], &byte, 1), 0);
		close(ends[0]);
		assert_int_equal(notice_socket_look(fd, &mail), 0);
	}
	send_to(name.text, "READY=1", 7, NULL, 0);
	assert_int_equal(take(fd, &mail), 1);
	assert_false(mail.laden);
}

static void test_no_socket(void **ctx)
{
	(void)ctx;
	assert_int_equal(take(-1, &mail), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_differ),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_which_message),
		cmocka_unit_test(test_who_sends),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_no_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
