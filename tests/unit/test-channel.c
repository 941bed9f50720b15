/* channel: what gets through between master and worker, and what does not. */
#include "os/channel.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUESTS, ANSWERS };

struct ends {
	struct channel ours;
	int theirs[2];
};

static int set_up(void **state)
{
	struct ends *ends = malloc(sizeof *ends);

	assert_non_null(ends);
	assert_int_equal(channel_new(&ends->ours, ends->theirs), 0);
	*state = ends;
	return 0;
}

static int tear_down(void **state)
{
	struct ends *ends = *state;

	fd_close(ends->ours.requests);
	fd_close(ends->ours.answers);
	fd_close(ends->theirs[REQUESTS]);
	fd_close(ends->theirs[ANSWERS]);
	free(ends);
	return 0;
}

static struct channel_request serve_request(uint64_t connection)
{
	struct channel_request request;

	memset(&request, 0, sizeof request);
	request.version = CHANNEL_VERSION;
	request.kind = CHANNEL_SERVE;
	request.session.connection = connection;
	return request;
}

static struct channel_answer done_answer(uint64_t connection)
{
	struct channel_answer answer;

	memset(&answer, 0, sizeof answer);
	answer.version = CHANNEL_VERSION;
	answer.kind = CHANNEL_DONE;
	answer.session.connection = connection;
	return answer;
}

static int highest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

/* ------------------------------------------------------------------ requests */

static void test_request_with_descriptors(void **state)
{
	struct ends *ends = *state;
	struct channel_request request = serve_request(17), got;
	int pipe_ends[2], fds[CHANNEL_FDS_MAX];
	size_t n;

	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(channel_send(&ends->ours, &request, pipe_ends, 2), 0);
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(got.session.connection, 17);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(pipe_ends[0], &(char){0}, 1), 1);
	for (size_t i = 0; i < 2; i++) {
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
		close(pipe_ends[i]);
	}
}

static void test_requests_in_their_order(void **state)
{
	struct ends *ends = *state;
	struct channel_request got;
	int fds[CHANNEL_FDS_MAX];
	size_t n;

	for (uint64_t i = 1; i <= 3; i++) {
		struct channel_request request = serve_request(i);

		assert_int_equal(channel_send(&ends->ours, &request, NULL, 0), 0);
	}
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), 0);
		assert_int_equal(got.session.connection, i);
		assert_int_equal(n, 0);
	}
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), -EAGAIN);
}

/* A worker that does not read costs the master nothing but the refusal. */
static void test_who_does_not_read_is_not_waited_for(void **state)
{
	struct ends *ends = *state;
	struct channel_request request = serve_request(1), got;
	int fds[CHANNEL_FDS_MAX], r = 0, sent = 0;
	size_t n;

	while (r == 0 && sent < 1000000) {
		r = channel_send(&ends->ours, &request, NULL, 0);
		sent++;
	}
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 64);
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), 0);
	for (int i = 2; i < sent; i++)
		assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), 0);
	assert_int_equal(channel_send(&ends->ours, &request, NULL, 0), 0);
}

static void test_a_worker_that_is_gone(void **state)
{
	struct ends *ends = *state;
	struct channel_request request = serve_request(1);

	ends->theirs[REQUESTS] = fd_close(ends->theirs[REQUESTS]);
	assert_int_equal(channel_send(&ends->ours, &request, NULL, 0), -EPIPE);
}

static void test_a_master_that_is_gone(void **state)
{
	struct ends *ends = *state;
	struct channel_request request = serve_request(1), got;
	int fds[CHANNEL_FDS_MAX];
	size_t n;

	assert_int_equal(channel_send(&ends->ours, &request, NULL, 0), 0);
	ends->ours.requests = fd_close(ends->ours.requests);
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), 0);
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), -EPIPE);
}

/* Like sendmsg(2), with one descriptor. */
static ssize_t send_with_fd(int socket, const void *packet, size_t len, int fd)
{
	struct iovec iov = {.iov_base = (void *)packet, .iov_len = len};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	return sendmsg(socket, &message, MSG_NOSIGNAL);
}

static void refuses_as_foreign(struct ends *ends, const void *packet, size_t len)
{
	struct channel_request got;
	int fds[CHANNEL_FDS_MAX], before = highest_fd(), null = open("/dev/null", O_RDONLY);
	size_t n;

	assert_int_equal(send_with_fd(ends->ours.requests, packet, len, null), len);
	close(null);
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), -EBADMSG);
	assert_int_equal(n, 1);
	close(fds[0]);
	assert_int_equal(highest_fd(), before);
}

/* From a master of another version, for one: nothing is kept of it. */
static void test_foreign_requests(void **state)
{
	struct ends *ends = *state;
	struct channel_request request = serve_request(1);
	char longer[sizeof request + 1];

	request.version++;
	refuses_as_foreign(ends, &request, sizeof request);
	request = serve_request(1);
	request.kind = 0;
	refuses_as_foreign(ends, &request, sizeof request);
	request.kind = _CHANNEL_REQUEST_MAX;
	refuses_as_foreign(ends, &request, sizeof request);
	request = serve_request(1);
	refuses_as_foreign(ends, &request, sizeof request - 1);
	memset(longer, 0, sizeof longer);
	memcpy(longer, &request, sizeof request);
	refuses_as_foreign(ends, longer, sizeof longer);
}

/* It looks like the master's end, and has a descriptor all the same. */
static void test_an_empty_request(void **state)
{
	struct ends *ends = *state;
	struct channel_request got;
	int fds[CHANNEL_FDS_MAX], before = highest_fd(), null = open("/dev/null", O_RDONLY);
	size_t n;

	assert_int_equal(send_with_fd(ends->ours.requests, "", 0, null), 0);
	close(null);
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), -EPIPE);
	assert_int_equal(n, 1);
	close(fds[0]);
	assert_int_equal(highest_fd(), before);
}

/* It knows whom it cannot serve, and can say so. */
static void test_no_room_for_descriptors(void **state)
{
	struct ends *ends = *state;
	struct channel_request request = serve_request(99), got;
	int fds[CHANNEL_FDS_MAX], pipe_ends[2], lowest = highest_fd();
	struct rlimit old, none;
	size_t n;

	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(channel_send(&ends->ours, &request, pipe_ends, 2), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)lowest + 3; /* the two ends, and one of two copies */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(channel_take(ends->theirs[REQUESTS], &got, fds, &n), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(n, 1); /* of two */
	close(fds[0]);
	assert_int_equal(got.session.connection, 99);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	assert_int_equal(highest_fd(), lowest);
}

/* ---------------------------------------------- what a worker may not do */

/* Whoever has the master's end must never get a descriptor from the worker, not even one
 * that it does not take: letting go of it can be made to last. */
static void test_nothing_comes_back_on_the_socket(void **state)
{
	struct ends *ends = *state;
	int null = open("/dev/null", O_RDONLY);

	assert_int_equal(send_with_fd(ends->theirs[REQUESTS], "x", 1, null), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(send(ends->theirs[REQUESTS], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(send_with_fd(ends->theirs[ANSWERS], "x", 1, null), -1);
	assert_int_equal(errno, ENOTSOCK);
	close(null);
}

/* ------------------------------------------------------------------- answers */

static void test_answers(void **state)
{
	struct ends *ends = *state;
	struct channel_answer got[4];

	assert_int_equal(channel_receive(&ends->ours, got, 4), 0);
	for (uint64_t i = 1; i <= 5; i++) {
		struct channel_answer answer = done_answer(i);

		assert_int_equal(channel_answer(ends->theirs[ANSWERS], &answer, 1), 0);
	}
	assert_int_equal(channel_receive(&ends->ours, got, 4), 4);
	assert_int_equal(got[3].session.connection, 4);
	assert_int_equal(channel_receive(&ends->ours, got, 4), 1);
	assert_int_equal(got[0].session.connection, 5);
	assert_int_equal(channel_receive(&ends->ours, got, 4), 0);
	ends->theirs[ANSWERS] = fd_close(ends->theirs[ANSWERS]);
	assert_int_equal(channel_receive(&ends->ours, got, 4), -EPIPE);
}

/* All or none, also when there is room for some. */
static void test_many_answers_at_once(void **state)
{
	struct ends *ends = *state;
	struct channel_answer many[CHANNEL_ANSWERS_MAX], got[CHANNEL_ANSWERS_MAX];
	int r = 0, sent = 0;

	for (uint64_t i = 0; i < CHANNEL_ANSWERS_MAX; i++)
		many[i] = done_answer(i);
	while (r == 0 && sent < 1000000) {
		r = channel_answer(ends->theirs[ANSWERS], many, CHANNEL_ANSWERS_MAX);
		sent++;
	}
	assert_int_equal(r, -EAGAIN);
	for (int i = 0; i < sent - 1; i++) {
		r = channel_receive(&ends->ours, got, CHANNEL_ANSWERS_MAX);
		assert_int_equal(r, CHANNEL_ANSWERS_MAX);
		assert_memory_equal(got, many, sizeof many);
	}
	assert_int_equal(channel_receive(&ends->ours, got, CHANNEL_ANSWERS_MAX), 0);
}

static void is_bad(struct ends *ends, const void *bytes, size_t len)
{
	struct channel_answer got[4];

	assert_int_equal(write(ends->theirs[ANSWERS], bytes, len), len);
	assert_int_equal(channel_receive(&ends->ours, got, 4), -EBADMSG);
}

static void test_bad_answers(void **state)
{
	struct ends *ends = *state;
	struct channel_answer answer = done_answer(1), two[2] = {answer, answer};

	is_bad(ends, &answer, 1);
	is_bad(ends, &answer, sizeof answer - 1);
	is_bad(ends, two, sizeof answer + 1);
	answer.version++;
	is_bad(ends, &answer, sizeof answer);
	answer = done_answer(1);
	answer.kind = 0;
	is_bad(ends, &answer, sizeof answer);
	answer.kind = _CHANNEL_ANSWER_MAX;
	is_bad(ends, &answer, sizeof answer);
	answer = done_answer(1);
	answer.result = _CHANNEL_RESULT_MAX;
	is_bad(ends, &answer, sizeof answer);
	answer = done_answer(1);
	answer.kind = CHANNEL_FACT; /* of nothing */
	is_bad(ends, &answer, sizeof answer);
	two[1].kind = 0; /* a good one before it does not help */
	is_bad(ends, two, sizeof two);
}

/* Any bytes, as many as there is room for. */
static void test_a_fact(void **state)
{
	struct ends *ends = *state;
	struct channel_answer answer = done_answer(1), got[4];

	answer.kind = CHANNEL_FACT;
	answer.facts.authority_len = 1;
	assert_int_equal(channel_answer(ends->theirs[ANSWERS], &answer, 1), 0);
	answer.facts.authority_len = CHANNEL_AUTHORITY_MAX;
	memset(answer.facts.authority, 0xff, CHANNEL_AUTHORITY_MAX);
	assert_int_equal(channel_answer(ends->theirs[ANSWERS], &answer, 1), 0);
	assert_int_equal(channel_receive(&ends->ours, got, 4), 2);
	assert_memory_equal(&got[1], &answer, sizeof answer);
	answer.facts.authority_len++;
	is_bad(ends, &answer, sizeof answer);
}

static void test_a_master_that_does_not_read(void **state)
{
	struct ends *ends = *state;
	struct channel_answer answer = done_answer(1), got[4];
	int r = 0, sent = 0;

	while (r == 0 && sent < 1000000) {
		r = channel_answer(ends->theirs[ANSWERS], &answer, 1);
		sent++;
	}
	assert_int_equal(r, -EAGAIN);
	/* None of them is torn. */
	for (int left = sent - 1; left > 0;) {
		int n = channel_receive(&ends->ours, got, 4);

		assert_true(n > 0);
		left -= n;
	}
	assert_int_equal(channel_receive(&ends->ours, got, 4), 0);
	ends->ours.answers = fd_close(ends->ours.answers);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(channel_answer(ends->theirs[ANSWERS], &answer, 1), -EPIPE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request_with_descriptors),
		TEST(test_requests_in_their_order),
		TEST(test_who_does_not_read_is_not_waited_for),
		TEST(test_a_worker_that_is_gone),
		TEST(test_a_master_that_is_gone),
		TEST(test_foreign_requests),
		TEST(test_an_empty_request),
		TEST(test_no_room_for_descriptors),
		TEST(test_nothing_comes_back_on_the_socket),
		TEST(test_answers),
		TEST(test_many_answers_at_once),
		TEST(test_bad_answers),
		TEST(test_a_fact),
		TEST(test_a_master_that_does_not_read),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
