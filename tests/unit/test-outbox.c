/*
 * outbox: which answers go as one message, and what arrives, over the loopback interface.
 * What the kernel says to each call can be laid down before.
 */
#include "workers/builtin/outbox.h"

#include "base/fd.h"
#include "base/own.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A test that waits for ever ends here. */
#define PATIENCE 60

#define HOPS      64
#define CALLS_MAX 128

static struct outbox *outbox;
static int server, clients[2];
static struct sockaddr_in names[2];
static struct endpoint own;

/* What sendmmsg() was asked, and what it says to the calls in turn; 0: what is true. */
static struct {
	unsigned n_calls;
	unsigned n_messages[CALLS_MAX];
	size_t pieces[CALLS_MAX]; /* of the first message */
	int errors[CALLS_MAX];
} kernel;

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	unsigned i = kernel.n_calls++;

	assert_true(i < CALLS_MAX);
	kernel.n_messages[i] = n;
	kernel.pieces[i] = messages->msg_hdr.msg_iovlen;
	if (kernel.errors[i] == 0)
		return __real_sendmmsg(fd, messages, n, flags);
	errno = kernel.errors[i];
	return -1;
}

static int bind_to_loopback(struct sockaddr_in *ret)
{
	socklen_t len = sizeof *ret;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET};
	ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof *ret), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
	return fd;
}

static void begin(bool joins)
{
	outbox_clear(outbox, joins);
}

/* The same kernel that runs the test may be too old. */
static void begin_joining(void)
{
	if (!outbox_can_join(server))
		skip();
	begin(true);
}

static struct outbox_letter letter_to(int client, const void *bytes, size_t len)
{
	return (struct outbox_letter){
		.to = (struct sockaddr *)&names[client],
		.to_len = sizeof names[client],
		.from = &own,
		.hops = HOPS,
		.said = {(void *)bytes, len},
	};
}

static void put(int client, const void *bytes, size_t len)
{
	struct outbox_letter letter = letter_to(client, bytes, len);

	outbox_put(outbox, &letter);
}

static void put_text(int client, const char *text)
{
	put(client, text, strlen(text));
}

static void send_all(unsigned sent, unsigned failed, uint64_t bytes)
{
	struct outbox_counts counts;

	outbox_send(outbox, server, &counts);
	assert_int_equal(counts.sent, sent);
	assert_int_equal(counts.failed, failed);
	assert_int_equal(counts.bytes, bytes);
}

static void assert_hears(int client, const char *text)
{
	char buf[65536];
	ssize_t n = recv(clients[client], buf, sizeof buf, 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void assert_hears_no_more(int client)
{
	char byte;

	assert_int_equal(recv(clients[client], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* In one call: so many messages. */
static void assert_messages(unsigned n)
{
	assert_int_equal(kernel.n_calls, 1);
	assert_int_equal(kernel.n_messages[0], n);
}

/*
 * What goes together
 */

static void test_nothing(void **ctx)
{
	(void)ctx;
	begin(true);
	send_all(0, 0, 0);
	assert_int_equal(kernel.n_calls, 0);
}

static void test_alike(void **ctx)
{
	(void)ctx;
	begin_joining();
	put_text(0, "one");
	put_text(0, "two");
	put_text(0, "six");
	send_all(3, 0, 9);
	assert_messages(1);
	assert_hears(0, "one");
	assert_hears(0, "two");
	assert_hears(0, "six");
	assert_hears_no_more(0);
}

static void test_not_where_the_kernel_cannot(void **ctx)
{
	(void)ctx;
	begin(false);
	put_text(0, "one");
	put_text(0, "two");
	send_all(2, 0, 6);
	assert_messages(2);
	assert_hears(0, "one");
	assert_hears(0, "two");
}

static void test_sizes(void **ctx)
{
	(void)ctx;
	begin_joining();
	put_text(0, "one");
	put_text(0, "two");
	put_text(0, "three");
	put_text(0, "seven");
	put_text(0, "");
	put_text(0, "");
	send_all(6, 0, 16);
	/* Nothing cannot be cut into pieces. */
	assert_messages(4);
	assert_hears(0, "one");
	assert_hears(0, "two");
	assert_hears(0, "three");
	assert_hears(0, "seven");
	assert_hears(0, "");
	assert_hears(0, "");
}

static void test_clients(void **ctx)
{
	(void)ctx;
	begin_joining();
	put_text(0, "one");
	put_text(1, "two");
	put_text(1, "six");
	put_text(0, "ten");
	send_all(4, 0, 12);
	assert_messages(3);
	assert_hears(0, "one");
	assert_hears(0, "ten");
	assert_hears(1, "two");
	assert_hears(1, "six");
}

static void test_our_addresses(void **ctx)
{
	struct endpoint another = own;
	struct outbox_letter letter = letter_to(0, "two", 3);

	(void)ctx;
	begin_joining();
	another.ip.s6_addr[15] = 2;
	letter.from = &another;
	put_text(0, "one");
	outbox_put(outbox, &letter);
	letter = letter_to(0, "six", 3);
	outbox_put(outbox, &letter);
	send_all(3, 0, 9);
	assert_messages(3);
}

static void test_hops(void **ctx)
{
	struct outbox_letter letter = letter_to(0, "two", 3);

	(void)ctx;
	begin_joining();
	put_text(0, "one");
	letter.hops = 3;
	outbox_put(outbox, &letter);
	send_all(2, 0, 6);
	assert_messages(2);
}

/* More than every packet has room for is not joined, nor more than a message may have. */
static void test_large_ones(void **ctx)
{
	static char bytes[65536];

	(void)ctx;
	memset(bytes, 'x', sizeof bytes);
	begin_joining();
	put(0, bytes, 1233);
	put(0, bytes, 1233);
	send_all(2, 0, 2466);
	assert_messages(2);

	kernel.n_calls = 0;
	outbox_clear(outbox, true);
	for (unsigned i = 0; i < OUTBOX_MAX; i++)
		put(1, bytes, 1232);
	send_all(OUTBOX_MAX, 0, UINT64_C(1232) * OUTBOX_MAX);
	assert_messages(2);
	assert_int_equal(kernel.pieces[0], 65000 / 1232);
}

static void test_as_many_as_there_may_be(void **ctx)
{
	(void)ctx;
	begin_joining();
	for (unsigned i = 0; i < OUTBOX_MAX + 1; i++)
		put_text(0, "x");
	send_all(OUTBOX_MAX, 0, OUTBOX_MAX);
	for (unsigned i = 0; i < OUTBOX_MAX; i++)
		assert_hears(0, "x");
	assert_hears_no_more(0);
}

/*
 * What cannot be sent
 */

/* Two that go together, one behind them, and what the kernel says to each call. */
static void send_three(const int *errors, size_t n)
{
	begin_joining();
	memcpy(kernel.errors, errors, n * sizeof *errors);
	put_text(0, "one");
	put_text(0, "two");
	put_text(0, "three");
}

/* As where the way is narrower, or the network card does not sum up. */
static void test_pieces_are_refused(void **ctx)
{
	const int errors[] = {EIO};

	(void)ctx;
	send_three(errors, 1);
	send_all(3, 0, 11);
	assert_int_equal(kernel.n_calls, 4);
	assert_int_equal(kernel.pieces[1], 1);
	assert_hears(0, "one");
	assert_hears(0, "two");
	assert_hears(0, "three");
}

static void test_one_piece_fails(void **ctx)
{
	const int errors[] = {EMSGSIZE, EPERM};

	(void)ctx;
	send_three(errors, 2);
	send_all(2, 1, 8);
	assert_hears(0, "two");
	assert_hears(0, "three");
}

static void test_no_room_between_pieces(void **ctx)
{
	const int errors[] = {EIO, 0, ENOBUFS};

	(void)ctx;
	send_three(errors, 3);
	send_all(1, 2, 3);
	assert_int_equal(kernel.n_calls, 3);
	assert_hears(0, "one");
	assert_hears_no_more(0);
}

static void test_no_room(void **ctx)
{
	const int errors[] = {EAGAIN};

	(void)ctx;
	send_three(errors, 1);
	send_all(0, 3, 0);
	assert_int_equal(kernel.n_calls, 1);
}

static void test_interrupted(void **ctx)
{
	const int errors[] = {EINTR, EINTR};

	(void)ctx;
	send_three(errors, 2);
	send_all(3, 0, 11);
	assert_int_equal(kernel.n_calls, 3);
}

static void test_one_cannot_be_reached(void **ctx)
{
	const int errors[] = {EHOSTUNREACH};

	(void)ctx;
	begin(false);
	kernel.errors[0] = errors[0];
	put_text(0, "one");
	put_text(0, "two");
	send_all(1, 1, 3);
	assert_hears(0, "two");
}

/*
 * Whether the kernel can
 */

static void test_what_cannot_join(void **ctx)
{
	int fds[2];

	(void)ctx;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_false(outbox_can_join(fds[0]));
	assert_false(outbox_can_join(-1));
	close(fds[0]);
	close(fds[1]);
}

static int set_up(void **ctx)
{
	struct sockaddr_in name;

	(void)ctx;
	alarm(PATIENCE);
	memset(&kernel, 0, sizeof kernel);
	outbox = outbox_new();
	server = bind_to_loopback(&name);
	own = (struct endpoint){.ip = endpoint_ipv4(name.sin_addr)};
	for (unsigned i = 0; i < 2; i++)
		clients[i] = bind_to_loopback(&names[i]);
	return outbox ? 0 : -1;
}

static int tear_down(void **ctx)
{
	(void)ctx;
	alarm(0);
	outbox = outbox_free(outbox);
	fd_close(server);
	fd_close(clients[0]);
	fd_close(clients[1]);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing),
		TEST(test_alike),
		TEST(test_not_where_the_kernel_cannot),
		TEST(test_sizes),
		TEST(test_clients),
		TEST(test_our_addresses),
		TEST(test_hops),
		TEST(test_large_ones),
		TEST(test_as_many_as_there_may_be),
		TEST(test_pieces_are_refused),
		TEST(test_one_piece_fails),
		TEST(test_no_room_between_pieces),
		TEST(test_no_room),
		TEST(test_interrupted),
		TEST(test_one_cannot_be_reached),
		TEST(test_what_cannot_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
