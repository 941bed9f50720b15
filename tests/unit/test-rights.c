/* rights: descriptors come with a message, as many as are expected and no more. */
#include "base/own.h"
#include "os/rights.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void open_pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static void send_fds(int to, const int *fds, size_t n)
{
	char text = 'x';
	struct iovec part = {.iov_base = &text, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union rights_room room;

	rights_put(&message, &room, fds, n);
	assert_int_equal(sendmsg(to, &message, 0), 1);
}

/* How many came; flags of the message are in *ret_flags. */
static size_t receive_fds(int from, int *ret_fds, size_t max, int *ret_flags)
{
	char text;
	struct iovec part = {.iov_base = &text, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union rights_room room;

	rights_expect(&message, &room, max);
	assert_int_equal(recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT), 1);
	*ret_flags = message.msg_flags;
	return rights_take(&message, ret_fds);
}

static int count_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void test_none(void **state)
{
	int ends[2], fds[1], flags;

	(void)state;
	open_pair(ends);
	send_fds(ends[0], NULL, 0);
	assert_int_equal(receive_fds(ends[1], fds, 1, &flags), 0);
	assert_false(flags & MSG_CTRUNC);
	close_all(ends, 2);
}

static void test_they_are_the_same(void **state)
{
	int ends[2], fds[3], flags;
	struct stat before, after;

	(void)state;
	open_pair(ends);
	send_fds(ends[0], ends, 2);
	assert_int_equal(receive_fds(ends[1], fds, 3, &flags), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fstat(ends[i], &before), 0);
		assert_int_equal(fstat(fds[i], &after), 0);
		assert_true(before.st_ino == after.st_ino);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	}
	close_all(fds, 2);
	close_all(ends, 2);
}

static void test_as_many_as_there_may_be(void **state)
{
	int ends[2], sent[RIGHTS_MAX], fds[RIGHTS_MAX], flags;

	(void)state;
	open_pair(ends);
	for (size_t i = 0; i < RIGHTS_MAX; i++)
		sent[i] = ends[0];
	send_fds(ends[0], sent, RIGHTS_MAX);
	assert_int_equal(receive_fds(ends[1], fds, RIGHTS_MAX, &flags), RIGHTS_MAX);
	assert_false(flags & MSG_CTRUNC);
	close_all(fds, RIGHTS_MAX);
	close_all(ends, 2);
}

/* An odd number as well, for which there is room for one more because of alignment. */
static void test_more_than_expected(void **state)
{
	const int sent[3] = {0, 1, 2};
	int ends[2], fds[RIGHTS_MAX], flags, n;

	(void)state;
	open_pair(ends);
	for (size_t max = 0; max < 3; max++) {
		n = count_open();
		send_fds(ends[0], sent, 3);
		assert_int_equal(receive_fds(ends[1], fds, max, &flags), max);
		assert_true(flags & MSG_CTRUNC);
		close_all(fds, max);
		assert_int_equal(count_open(), n);
	}
	close_all(ends, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_they_are_the_same),
		cmocka_unit_test(test_as_many_as_there_may_be),
		cmocka_unit_test(test_more_than_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
