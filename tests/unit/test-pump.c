/* pump: both directions, both ends, and every way in which one can break. */
#include "hatchctl/connect/pump.h"

#include "base/fd.h"
#include "base/own.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* Bytes that go each way in the big test: many times what pipes and buffers hold. */
#define BIG (8 * 1024 * 1024)

/* A test that waits for ever ends here. */
#define PATIENCE 60

/* The pump, and what the test holds: the other ends of its three descriptors. */
struct bench {
	int typist; /* writes the input */
	int reader; /* reads the output */
	int remote; /* is the peer */
	int input;
	int peer;
	struct pump *pump;
};

static int set_up_over(struct bench *b, int peer, int remote)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(fd_set_nonblock(in[1], true), 0);
	assert_int_equal(fd_set_nonblock(out[0], true), 0);
	assert_int_equal(fd_set_nonblock(peer, true), 0);
	assert_int_equal(fd_set_nonblock(remote, true), 0);

	*b = (struct bench){in[1], out[0], remote, in[0], peer, pump_new(in[0], out[1], peer)};
	assert_non_null(b->pump);
	alarm(PATIENCE);
	return 0;
}

static int set_up(void **ctx)
{
	static struct bench bench;
	int sv[2];

	*ctx = &bench;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	return set_up_over(&bench, sv[0], sv[1]);
}

/* Two ends of a TCP connection: only these can be reset. */
static int set_up_tcp(void **ctx)
{
	static struct bench bench;
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof sin;
	int listener, peer, remote;

	*ctx = &bench;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&sin, len), 0);
	remote = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return set_up_over(&bench, peer, remote);
}

static int tear_down(void **ctx)
{
	struct bench *b = *ctx;

	alarm(0);
	fd_close(b->typist);
	fd_close(b->reader);
	fd_close(b->remote);
	fd_close(b->input);
	fd_close(b->peer);
	fd_close(b->pump->output.fd);
	b->pump = pump_free(b->pump);
	return 0;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What is there to be read, and nothing behind it. */
static void assert_says(int fd, const char *text)
{
	char buf[256];
	ssize_t n;

	n = read(fd, buf, sizeof buf);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void assert_silent(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void assert_ended(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 0);
}

/* One turn reads, the next one writes and passes on an end. */
static void turn_twice(struct bench *b)
{
	assert_true(pump_turn(b->pump));
	assert_true(pump_turn(b->pump));
}

static void test_passes_both_ways(void **ctx)
{
	struct bench *b = *ctx;

	say(b->typist, "question");
	turn_twice(b);
	assert_says(b->remote, "question");
	say(b->remote, "answer");
	turn_twice(b);
	assert_says(b->reader, "answer");
	assert_silent(b->reader);
	assert_silent(b->remote);
}

static void test_end_of_input_is_half_an_end(void **ctx)
{
	struct bench *b = *ctx;

	say(b->typist, "question");
	b->typist = fd_close(b->typist);
	turn_twice(b);
	assert_says(b->remote, "question");
	assert_ended(b->remote);

	say(b->remote, "answer");
	b->remote = fd_close(b->remote);
	assert_int_equal(pump_run(b->pump), 0);
	assert_int_equal(b->pump->broken, PUMP_NOWHERE);
	assert_says(b->reader, "answer");
	assert_ended(b->reader);
}

static void test_end_of_answer_is_the_other_half(void **ctx)
{
	struct bench *b = *ctx;

	say(b->remote, "answer");
	shutdown(b->remote, SHUT_WR);
	turn_twice(b);
	assert_says(b->reader, "answer");
	assert_ended(b->reader);

	say(b->typist, "late");
	turn_twice(b);
	assert_says(b->remote, "late");
	b->typist = fd_close(b->typist);
	assert_int_equal(pump_run(b->pump), 0);
	assert_ended(b->remote);
}

static void test_end_of_answer_is_enough_for_a_person(void **ctx)
{
	struct bench *b = *ctx;

	b->pump->ends_with_answer = true;
	say(b->remote, "answer");
	shutdown(b->remote, SHUT_WR);
	assert_int_equal(pump_run(b->pump), 0);
	assert_says(b->reader, "answer");
}

static void test_nothing_at_all(void **ctx)
{
	struct bench *b = *ctx;

	b->typist = fd_close(b->typist);
	shutdown(b->remote, SHUT_WR);
	assert_int_equal(pump_run(b->pump), 0);
	assert_ended(b->remote);
	assert_ended(b->reader);
}

static unsigned char pattern(size_t at, unsigned salt)
{
	return (unsigned char)((at * 2654435761u + salt) >> 11);
}

/* Write the pattern from *at on for as long as it goes. */
static void pour(int fd, size_t *at, unsigned salt)
{
	unsigned char buf[5000];
	size_t n = BIG - *at < sizeof buf ? BIG - *at : sizeof buf;
	ssize_t written;

	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(*at + i, salt);
	written = n > 0 ? write(fd, buf, n) : 0;
	if (written > 0)
		*at += (size_t)written;
}

/* Read all there is; it must go on with the pattern. */
static void drain(int fd, size_t *at, unsigned salt)
{
	unsigned char buf[7000];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != pattern(*at + (size_t)i, salt))
				fail_msg("wrong byte at %zu", *at + (size_t)i);
		}
		*at += (size_t)n;
	}
}

static void test_loses_nothing(void **ctx)
{
	struct bench *b = *ctx;
	size_t typed = 0, sent = 0, answered = 0, read = 0;
	bool more = true;

	while (more) {
		pour(b->typist, &typed, 1);
		pour(b->remote, &answered, 2);
		if (typed == BIG)
			b->typist = fd_close(b->typist);
		if (answered == BIG)
			shutdown(b->remote, SHUT_WR);
		more = pump_turn(b->pump);
		drain(b->remote, &sent, 1);
		drain(b->reader, &read, 2);
	}
	assert_int_equal(b->pump->error, 0);
	assert_int_equal(sent, BIG);
	assert_int_equal(read, BIG);
	assert_ended(b->reader);
	assert_ended(b->remote);
}

/* Nobody reads the output: the peer has to wait, the input has not. */
static void test_slow_reader_slows_only_its_sender(void **ctx)
{
	struct bench *b = *ctx;
	size_t typed = 0, sent = 0, answered = 0;

	while (typed < BIG) {
		pour(b->typist, &typed, 1);
		pour(b->remote, &answered, 2);
		assert_true(pump_turn(b->pump));
		drain(b->remote, &sent, 1);
	}
	assert_true(sent > BIG / 2);
	assert_true(answered < BIG / 2);
	assert_silent(b->remote);
}

static void test_reset_comes_after_what_was_said(void **ctx)
{
	struct bench *b = *ctx;
	struct linger now = {.l_onoff = 1};

	say(b->remote, "answer");
	assert_int_equal(setsockopt(b->remote, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	b->remote = fd_close(b->remote);

	assert_int_equal(pump_run(b->pump), -ECONNRESET);
	assert_int_equal(b->pump->broken, PUMP_PEER_READ);
	assert_says(b->reader, "answer");
	assert_ended(b->reader);
}

/* The answer is complete, the question did not arrive: that is a failure. */
static void test_input_that_nobody_takes(void **ctx)
{
	struct bench *b = *ctx;

	say(b->remote, "answer");
	b->remote = fd_close(b->remote);
	turn_twice(b);
	assert_says(b->reader, "answer");
	assert_ended(b->reader);

	say(b->typist, "question");
	assert_int_equal(pump_run(b->pump), -EPIPE);
	assert_int_equal(b->pump->broken, PUMP_PEER_WRITE);
}

static void test_output_that_nobody_reads(void **ctx)
{
	struct bench *b = *ctx;

	b->reader = fd_close(b->reader);
	say(b->remote, "answer");
	assert_int_equal(pump_run(b->pump), -EPIPE);
	assert_int_equal(b->pump->broken, PUMP_OUTPUT);
}

/* A part must not look like the whole: the stream is not ended in order. */
static void test_input_that_cannot_be_read(void **ctx)
{
	struct bench *b = *ctx;

	fd_close(b->input);
	b->input = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b->pump->input = b->input;
	assert_int_equal(pump_run(b->pump), -EISDIR);
	assert_int_equal(b->pump->broken, PUMP_INPUT);
	assert_silent(b->remote);
}

/* As a service of its own: input and output are one socket. */
static void test_one_socket_for_input_and_output(void **ctx)
{
	struct bench *b = *ctx;
	int sv[2];

	fd_close(b->typist);
	fd_close(b->input);
	fd_close(b->pump->output.fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	b->typist = sv[0];
	b->input = b->pump->input = sv[1];
	output_init(&b->pump->output, fcntl(sv[1], F_DUPFD_CLOEXEC, 0));

	shutdown(b->remote, SHUT_WR);
	assert_true(pump_turn(b->pump));
	assert_ended(b->typist);

	say(b->typist, "late");
	shutdown(b->typist, SHUT_WR);
	assert_int_equal(pump_run(b->pump), 0);
	assert_says(b->remote, "late");
	assert_ended(b->remote);
}

#define IN_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		IN_BENCH(test_passes_both_ways),
		IN_BENCH(test_end_of_input_is_half_an_end),
		IN_BENCH(test_end_of_answer_is_the_other_half),
		IN_BENCH(test_end_of_answer_is_enough_for_a_person),
		IN_BENCH(test_nothing_at_all),
		IN_BENCH(test_loses_nothing),
		IN_BENCH(test_slow_reader_slows_only_its_sender),
		cmocka_unit_test_setup_teardown(
			test_reset_comes_after_what_was_said, set_up_tcp, tear_down),
		IN_BENCH(test_input_that_nobody_takes),
		IN_BENCH(test_output_that_nobody_reads),
		IN_BENCH(test_input_that_cannot_be_read),
		IN_BENCH(test_one_socket_for_input_and_output),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
