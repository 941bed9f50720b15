/* exchange: messages and their answers. */
#include "hatchctl/connect/exchange.h"

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

/* A test that waits for ever ends here. */
#define PATIENCE 60

/* Longer than any test takes. */
#define LONG (UINT64_C(1000) * 1000 * 1000)

struct bench {
	int typist; /* writes the input */
	int reader; /* reads the output */
	int remote; /* is the peer */
	struct exchange *x;
};

static int set_up(void **ctx, int type)
{
	static struct bench b;
	int in[2], out[2], sv[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(fd_set_nonblock(out[0], true), 0);

	b = (struct bench){in[1], out[0], sv[1], exchange_new(out[1])};
	assert_non_null(b.x);
	b.x->input = in[0];
	b.x->peer = sv[0];
	b.x->has_end = type == SOCK_SEQPACKET;
	b.x->message_max = EXCHANGE_UNIX_MAX;
	b.x->wait = LONG;
	*ctx = &b;
	alarm(PATIENCE);
	return 0;
}

static int set_up_datagram(void **ctx)
{
	return set_up(ctx, SOCK_DGRAM);
}

static int set_up_seqpacket(void **ctx)
{
	return set_up(ctx, SOCK_SEQPACKET);
}

static int tear_down(void **ctx)
{
	struct bench *b = *ctx;

	alarm(0);
	fd_close(b->typist);
	fd_close(b->reader);
	fd_close(b->remote);
	fd_close(b->x->input);
	fd_close(b->x->peer);
	fd_close(b->x->output.fd);
	b->x = exchange_free(b->x);
	return 0;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void assert_says(int fd, const char *text)
{
	char buf[256];
	ssize_t n;

	n = read(fd, buf, sizeof buf);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void turn(struct bench *b, int times)
{
	for (int i = 0; i < times; i++)
		assert_true(exchange_turn(b->x));
}

static void test_one_read_is_one_message(void **ctx)
{
	struct bench *b = *ctx;

	say(b->typist, "one");
	turn(b, 2);
	say(b->typist, "three");
	turn(b, 2);
	assert_says(b->remote, "one");
	assert_says(b->remote, "three");
}

static void test_ends_with_as_many_answers_as_messages(void **ctx)
{
	struct bench *b = *ctx;

	say(b->typist, "a");
	turn(b, 2);
	say(b->typist, "b");
	turn(b, 2);
	b->typist = fd_close(b->typist);
	say(b->remote, "A");
	turn(b, 2);
	say(b->remote, "B");
	assert_int_equal(exchange_run(b->x), 0);
	assert_says(b->reader, "AB");
}

static void test_answers_before_the_end_of_input_count(void **ctx)
{
	struct bench *b = *ctx;

	say(b->typist, "a");
	turn(b, 2);
	say(b->remote, "A");
	turn(b, 2);
	b->typist = fd_close(b->typist);
	assert_int_equal(exchange_run(b->x), 0);
	assert_says(b->reader, "A");
}

static void test_empty_input_is_an_empty_datagram(void **ctx)
{
	struct bench *b = *ctx;
	char c;

	b->typist = fd_close(b->typist);
	turn(b, 2);
	assert_int_equal(recv(b->remote, &c, 1, MSG_TRUNC), 0);
	assert_int_equal(b->x->n_sent, 1);

	assert_int_equal(send(b->remote, "", 0, 0), 0);
	assert_int_equal(exchange_run(b->x), 0);
	assert_int_equal(b->x->n_answers, 1);
}

static void test_no_answer_is_a_failure(void **ctx)
{
	struct bench *b = *ctx;

	b->x->wait = 1;
	say(b->typist, "a");
	b->typist = fd_close(b->typist);
	assert_int_equal(exchange_run(b->x), -ETIMEDOUT);
	assert_int_equal(b->x->broken, PUMP_PEER_READ);
	assert_says(b->remote, "a");
}

static void test_fewer_answers_than_messages_are_enough(void **ctx)
{
	struct bench *b = *ctx;

	b->x->wait = 1;
	say(b->typist, "a");
	turn(b, 2);
	say(b->typist, "b");
	say(b->remote, "A");
	b->typist = fd_close(b->typist);
	assert_int_equal(exchange_run(b->x), 0);
	assert_says(b->reader, "A");
}

static void test_waiting_for_nothing_succeeds(void **ctx)
{
	struct bench *b = *ctx;

	b->x->wait = 0;
	say(b->typist, "a");
	b->typist = fd_close(b->typist);
	assert_int_equal(exchange_run(b->x), 0);
	assert_says(b->remote, "a");
}

static void test_seqpacket_goes_on_to_its_end(void **ctx)
{
	struct bench *b = *ctx;
	char c;

	say(b->typist, "a");
	b->typist = fd_close(b->typist);
	turn(b, 3);
	assert_says(b->remote, "a");
	assert_int_equal(recv(b->remote, &c, 1, 0), 0);

	say(b->remote, "A");
	say(b->remote, "B");
	turn(b, 4);
	assert_says(b->reader, "AB");
	b->remote = fd_close(b->remote);
	assert_int_equal(exchange_run(b->x), 0);
}

static void test_seqpacket_end_without_answer_is_no_failure(void **ctx)
{
	struct bench *b = *ctx;

	b->remote = fd_close(b->remote);
	assert_int_equal(exchange_run(b->x), 0);
}

static void test_empty_packet_is_not_the_end(void **ctx)
{
	struct bench *b = *ctx;

	assert_int_equal(send(b->remote, "", 0, 0), 0);
	turn(b, 1);
	assert_int_equal(b->x->n_answers, 1);
	say(b->remote, "A");
	turn(b, 2);
	assert_says(b->reader, "A");
}

static int udp_socket(struct sockaddr_in *ret)
{
	socklen_t len = sizeof *ret;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET};
	ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)ret, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
	return fd;
}

/* The first place refuses the message; the same message goes to the second. */
static void test_restart_after_refusal(void **ctx)
{
	struct bench *b = *ctx;
	struct sockaddr_in own, gone;
	int served = b->x->peer, refused = udp_socket(&own), other = udp_socket(&gone);

	fd_close(other);
	assert_int_equal(connect(refused, (struct sockaddr *)&gone, sizeof gone), 0);
	b->x->peer = refused;
	say(b->typist, "a");
	b->typist = fd_close(b->typist);
	assert_int_equal(exchange_run(b->x), -ECONNREFUSED);

	assert_true(exchange_restart(b->x, served));
	fd_close(refused);
	turn(b, 1);
	assert_says(b->remote, "a");
	say(b->remote, "A");
	assert_int_equal(exchange_run(b->x), 0);
	assert_says(b->reader, "A");
	assert_false(exchange_restart(b->x, served));
}

#define DATAGRAM(test)  cmocka_unit_test_setup_teardown(test, set_up_datagram, tear_down)
#define SEQPACKET(test) cmocka_unit_test_setup_teardown(test, set_up_seqpacket, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		DATAGRAM(test_one_read_is_one_message),
		DATAGRAM(test_ends_with_as_many_answers_as_messages),
		DATAGRAM(test_answers_before_the_end_of_input_count),
		DATAGRAM(test_empty_input_is_an_empty_datagram),
		DATAGRAM(test_no_answer_is_a_failure),
		DATAGRAM(test_fewer_answers_than_messages_are_enough),
		DATAGRAM(test_waiting_for_nothing_succeeds),
		SEQPACKET(test_seqpacket_goes_on_to_its_end),
		SEQPACKET(test_seqpacket_end_without_answer_is_no_failure),
		SEQPACKET(test_empty_packet_is_not_the_end),
		DATAGRAM(test_restart_after_refusal),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
