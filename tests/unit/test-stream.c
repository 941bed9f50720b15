/*
 * stream: each service over UNIX and TCP, with clients that are slow, silent, greedy,
 * rude, or gone.
 *
 * UNIX sockets hand over at once what is sent, so nothing has to be waited for; where TCP
 * is used, it is waited for with poll(2).
 */
#include "workers/builtin/stream.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/builtin/answers.h"

#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cmocka.h>

/* A test that waits for ever ends here. */
#define PATIENCE 60

#define READ_EVENTS (EPOLLIN | EPOLLRDHUP)

/* Where the time of the tests begins: usec, and seconds since 1970. */
#define NOW  UINT64_C(7000000)
#define WALL 2085978497

/* What the socket of a client has; the other end is the stream's. */
static int client;
static struct stream *stream;

/* Whether there is memory for what is not sent yet. */
static bool short_of_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return short_of_memory ? NULL : __real_malloc(size);
}

static struct stream_setup setup_of(enum service_builtin kind)
{
	return (struct stream_setup){.kind = kind, .now = NOW, .wall = WALL};
}

static int begin_with(const struct stream_setup *setup, int server)
{
	int r = stream_new(setup, server, &stream);

	assert_int_equal(r, stream_end(stream) != STREAM_OPEN);
	assert_int_equal(stream_fd(stream), server);
	return r;
}

static int begin(enum service_builtin kind, int server)
{
	struct stream_setup setup = setup_of(kind);

	return begin_with(&setup, server);
}

static int pair_unix(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	client = fds[0];
	return fds[1];
}

static int pair_tcp(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	socklen_t len = sizeof sin;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&sin, len), 0);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	close(listener);
	return server;
}

static void await(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	assert_int_equal(poll(&p, 1, -1), 1);
}

/* What the stream waits for, as epoll would report it; 0 if there is nothing of it. */
static uint32_t look(int timeout)
{
	struct pollfd p = {.fd = stream_fd(stream), .events = (short)stream_events(stream)};

	assert_true(p.events != 0);
	assert_true(poll(&p, 1, timeout) >= 0);
	return (uint32_t)(unsigned short)p.revents;
}

/* One turn, when there is something to do. */
static bool turn(void)
{
	return stream_go(stream, look(-1), NOW);
}

/* Turns until it is over, or (false) there is nothing to do. */
static bool turn_all(void)
{
	while (stream_end(stream) == STREAM_OPEN) {
		uint32_t events = look(0);

		if (events == 0)
			return false;
		stream_go(stream, events, NOW);
	}
	return true;
}

static void say(const void *bytes, size_t n)
{
	assert_int_equal(send(client, bytes, n, MSG_NOSIGNAL), n);
}

/* So many bytes come. */
static void assert_hears(const void *bytes, size_t n)
{
	uint8_t buf[4096];

	assert_true(n <= sizeof buf);
	assert_int_equal(recv(client, buf, n, MSG_WAITALL), n);
	assert_memory_equal(buf, bytes, n);
}

static void assert_hears_end(void)
{
	char c;

	assert_int_equal(recv(client, &c, 1, 0), 0);
}

static void assert_silent(void)
{
	char c;

	assert_int_equal(recv(client, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void assert_counts(uint64_t in, uint64_t out)
{
	assert_int_equal(stream_bytes_in(stream), in);
	assert_int_equal(stream_bytes_out(stream), out);
}

static void assert_ended(enum stream_end end)
{
	assert_int_equal(stream_end(stream), end);
	assert_int_equal(stream_events(stream), 0);
	assert_true(stream_due(stream) == USEC_INFINITY);
	assert_true(stream_go(stream, EPOLLIN, NOW));
}

/* Close so that the other end is reset. */
static void reset_client(void)
{
	static const struct linger hard = {.l_onoff = 1};

	setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	client = fd_close(client);
}

/* Byte number `i` of much; no short piece of it comes again soon. */
static uint8_t byte_of(uint64_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

/*
 * Both at once: send so many bytes, read as many, end when all is sent.  The client does
 * what he can, and so does the stream, until the client has heard the end.
 */
static void exchange(uint64_t n, size_t piece)
{
	uint64_t sent = 0, heard = 0;
	uint8_t buf[65536];
	bool ended = false;
	ssize_t k;

	while (!ended) {
		size_t len = sent + piece < n ? piece : (size_t)(n - sent);

		for (size_t i = 0; i < len; i++)
			buf[i] = byte_of(sent + i);
		k = len > 0 ? send(client, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		if (k > 0 && (sent += (uint64_t)k) == n)
			shutdown(client, SHUT_WR);
		if (stream_end(stream) == STREAM_OPEN)
			stream_go(stream, look(0), NOW);
		k = recv(client, buf, sizeof buf, MSG_DONTWAIT);
		for (ssize_t i = 0; i < k; i++)
			if (buf[i] != byte_of(heard + (uint64_t)i))
				fail();
		heard += k > 0 ? (uint64_t)k : 0;
		ended = k == 0;
	}
	assert_int_equal(heard, n);
	assert_counts(n, n);
	assert_ended(STREAM_DONE);
}

/*
 * Echo, RFC 862
 */

static void test_echo(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_unix()), 0);
	assert_int_equal(stream_events(stream), READ_EVENTS);
	assert_true(stream_due(stream) == USEC_INFINITY);
	say("question", 8);
	assert_false(turn());
	assert_hears("question", 8);
	assert_silent();
	assert_int_equal(stream_events(stream), READ_EVENTS);
	assert_counts(8, 8);
}

/* All is there before anybody looks: nothing is to be waited for. */
static void test_echo_at_once(void **ctx)
{
	int server = pair_tcp();

	(void)ctx;
	say("question", 8);
	shutdown(client, SHUT_WR);
	await(server, POLLRDHUP);
	assert_int_equal(begin(BUILTIN_ECHO, server), 1);
	assert_ended(STREAM_DONE);
	assert_counts(8, 8);
	assert_hears("question", 8);
	assert_hears_end();
}

static void test_echo_nothing(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_unix()), 0);
	shutdown(client, SHUT_WR);
	assert_true(turn());
	assert_ended(STREAM_DONE);
	assert_counts(0, 0);
	assert_hears_end();
}

static void test_echo_much_unix(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_unix()), 0);
	exchange(5000011, 65536);
}

static void test_echo_much_tcp(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_tcp()), 0);
	exchange(5000011, 50021);
}

static void test_echo_tiny_pieces(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_tcp()), 0);
	exchange(3001, 1);
}

/* The client fills all that lies between, and does not read. */
static uint64_t say_until_full(void)
{
	uint8_t buf[4096];
	uint64_t sum = 0;
	ssize_t n;

	do {
		for (size_t i = 0; i < sizeof buf; i++)
			buf[i] = byte_of(sum + i);
		n = send(client, buf, sizeof buf, MSG_DONTWAIT);
		sum += n > 0 ? (uint64_t)n : 0;
		if (turn_all())
			fail();
	} while (n > 0);
	return sum;
}

static void test_echo_to_one_who_does_not_read(void **ctx)
{
	uint64_t sent, heard = 0;
	uint8_t buf[1000];

	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_unix()), 0);
	sent = say_until_full();

	/* It keeps little, and reads no more, so that the client has to wait. */
	assert_int_equal(stream_events(stream), EPOLLOUT);
	assert_true(stream_bytes_out(stream) > 0);
	assert_true(stream_bytes_in(stream) > stream_bytes_out(stream));
	assert_true(stream_bytes_in(stream) - stream_bytes_out(stream) <= STREAM_CHUNK);
	assert_true(stream_bytes_in(stream) < sent);
	assert_int_equal(look(0), 0);

	/* He does, and everything goes on where it stood. */
	shutdown(client, SHUT_WR);
	while (heard < sent) {
		ssize_t n = recv(client, buf, sizeof buf, MSG_DONTWAIT);

		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_of(heard + (uint64_t)i))
				fail();
		heard += n > 0 ? (uint64_t)n : 0;
		turn_all();
	}
	assert_ended(STREAM_DONE);
	assert_hears_end();
	assert_counts(sent, sent);
}

/* Work is done in shares, also if there is more to do. */
static void test_echo_is_fair(void **ctx)
{
	static uint8_t much[3 * STREAM_SHARE];
	int server = pair_tcp();
	uint64_t before = 0;

	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, server), 0);
	for (size_t sent = 0; sent < sizeof much; sent = stream_bytes_in(stream)) {
		ssize_t n = send(client, much, sizeof much - sent, MSG_DONTWAIT);

		if (n > 0)
			await(server, POLLIN);
		turn();
		assert_true(stream_bytes_in(stream) - before < STREAM_SHARE + STREAM_CHUNK);
		before = stream_bytes_in(stream);
		while (recv(client, much, sizeof much, MSG_DONTWAIT) > 0)
			;
	}
}

static void test_echo_reset_while_idle(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_tcp()), 0);
	reset_client();
	assert_true(turn());
	assert_ended(STREAM_RESET);
	assert_int_equal(stream_error(stream), 0);
}

static void test_echo_reset_while_waiting(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_unix()), 0);
	say_until_full();
	assert_int_equal(stream_events(stream), EPOLLOUT);
	client = fd_close(client);
	assert_true(turn());
	assert_ended(STREAM_RESET);
}

static void test_echo_reset_by_tcp_while_waiting(void **ctx)
{
	static const int small = 4096;
	int server = pair_tcp();

	(void)ctx;
	setsockopt(server, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	assert_int_equal(begin(BUILTIN_ECHO, server), 0);
	while (stream_events(stream) != EPOLLOUT) {
		char much[4096] = {0};

		if (send(client, much, sizeof much, MSG_DONTWAIT) > 0)
			await(server, POLLIN);
		turn_all();
	}
	reset_client();
	while (!turn())
		;
	assert_ended(STREAM_RESET);
}

static void test_echo_without_memory(void **ctx)
{
	uint8_t buf[4096] = {0};

	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_unix()), 0);
	short_of_memory = true;
	do {
		while (send(client, buf, sizeof buf, MSG_DONTWAIT) > 0)
			;
	} while (!turn());
	short_of_memory = false;
	assert_ended(STREAM_ERROR);
	assert_int_equal(stream_error(stream), ENOMEM);
}

/* It costs the kernel much more than us. */
static void test_idle_is_small(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_ECHO, pair_unix()), 0);
	assert_true(malloc_usable_size(stream) <= 128);
}

/*
 * Discard, RFC 863
 */

static void discard_at(int server)
{
	static uint8_t much[100000];
	uint64_t sum = 0;

	assert_int_equal(begin(BUILTIN_DISCARD, server), 0);
	while (sum < 1000000) {
		ssize_t n = send(client, much, sizeof much, MSG_DONTWAIT);

		sum += n > 0 ? (uint64_t)n : 0;
		if (turn_all())
			fail();
	}
	assert_silent();
	shutdown(client, SHUT_WR);
	while (!turn())
		;
	assert_ended(STREAM_DONE);
	assert_counts(sum, 0);
	assert_hears_end();
}

static void test_discard_unix(void **ctx)
{
	(void)ctx;
	discard_at(pair_unix());
}

static void test_discard_tcp(void **ctx)
{
	(void)ctx;
	discard_at(pair_tcp());
}

static void test_discard_reset(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_DISCARD, pair_tcp()), 0);
	reset_client();
	assert_true(turn());
	assert_ended(STREAM_RESET);
}

/*
 * Chargen, RFC 864
 */

/* Read `n` bytes, of which the first is number `at`, in pieces of `piece` bytes. */
static void hear_lines(uint64_t at, uint64_t n, size_t piece)
{
	uint8_t all[ANSWER_CHARGEN_PERIOD], buf[1024];

	answer_chargen(all);
	for (uint64_t end = at + n; at < end;) {
		size_t len = end - at < piece ? (size_t)(end - at) : piece;
		ssize_t k = recv(client, buf, len, MSG_DONTWAIT);

		for (ssize_t i = 0; i < k; i++)
			if (buf[i] != all[(at + (uint64_t)i) % sizeof all])
				fail();
		if (k > 0)
			at += (uint64_t)k;
		else
			turn();
	}
}

static void test_chargen_lines(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_CHARGEN, pair_unix()), 0);
	assert_int_equal(stream_events(stream), READ_EVENTS | EPOLLOUT);
	hear_lines(0, ANSWER_CHARGEN_PERIOD, 1);
	hear_lines(ANSWER_CHARGEN_PERIOD, 400 * ANSWER_CHARGEN_LINE, 997);
}

static void test_chargen_tcp(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_CHARGEN, pair_tcp()), 0);
	hear_lines(0, 100 * ANSWER_CHARGEN_PERIOD + 1, 1021);
}

static void test_chargen_is_fair(void **ctx)
{
	static const int big = 4 * STREAM_SHARE;
	int server = pair_unix();

	(void)ctx;
	setsockopt(server, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
	assert_int_equal(begin(BUILTIN_CHARGEN, server), 0);
	assert_true(stream_bytes_out(stream) <= STREAM_SHARE);
	assert_false(turn());
	assert_true(stream_bytes_out(stream) <= 2 * STREAM_SHARE);
}

/* What comes in is thrown away, so that a client who writes first can write. */
static void test_chargen_reads(void **ctx)
{
	static uint8_t much[10000];
	uint64_t sum = 0;

	(void)ctx;
	assert_int_equal(begin(BUILTIN_CHARGEN, pair_unix()), 0);
	while (sum < 1000000) {
		ssize_t n = send(client, much, sizeof much, MSG_DONTWAIT);

		sum += n > 0 ? (uint64_t)n : 0;
		if (turn_all())
			fail();
	}
	assert_int_equal(stream_bytes_in(stream), sum);
	hear_lines(0, 10 * ANSWER_CHARGEN_PERIOD, 1024);
}

/* He has ended his side, and reads on. */
static void test_chargen_half_close(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_CHARGEN, pair_tcp()), 0);
	shutdown(client, SHUT_WR);
	await(stream_fd(stream), POLLRDHUP);
	assert_false(turn());
	assert_int_equal(stream_events(stream), EPOLLOUT);
	hear_lines(0, 1000000, 1024);
	client = fd_close(client);
	while (!turn())
		;
	assert_ended(STREAM_DONE);
}

static void test_chargen_client_goes(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_CHARGEN, pair_tcp()), 0);
	hear_lines(0, 1000, 1000);
	client = fd_close(client);
	while (!turn())
		;
	/* With bytes unread, that is a reset. */
	assert_ended(STREAM_RESET);
}

static void test_chargen_client_is_gone_already(void **ctx)
{
	int server = pair_unix();

	(void)ctx;
	client = fd_close(client);
	assert_int_equal(begin(BUILTIN_CHARGEN, server), 1);
	assert_ended(STREAM_DONE);
	assert_counts(0, 0);
}

/*
 * Daytime, time, qotd, text: RFC 867, 868, 865
 */

static void test_daytime(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_DAYTIME, pair_tcp()), 1);
	assert_ended(STREAM_DONE);
	assert_counts(0, 26);
	/* Also while somebody has the descriptor still. */
	assert_hears("Thu Feb  7 06:28:17 2036\r\n", 26);
	assert_hears_end();
}

static void test_time(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_TIME, pair_unix()), 1);
	assert_hears("\0\0\0\1", 4);
	assert_hears_end();
}

static void test_qotd(void **ctx)
{
	struct stream_setup setup = setup_of(BUILTIN_QOTD);

	(void)ctx;
	setup.text = (const uint8_t *)"one\n%\ntwo\n";
	setup.text_len = 10;
	setup.random = 2;
	assert_int_equal(begin_with(&setup, pair_unix()), 1);
	assert_hears("two\r\n", 5);
	assert_hears_end();
}

/* There is none, or no text: only an end. */
static void test_nothing_to_say(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_QOTD, pair_tcp()), 1);
	assert_ended(STREAM_DONE);
	assert_hears_end();
}

/* The client's end is there already. */
static void test_daytime_with_end(void **ctx)
{
	int server = pair_tcp();

	(void)ctx;
	shutdown(client, SHUT_WR);
	await(server, POLLRDHUP);
	assert_int_equal(begin(BUILTIN_DAYTIME, server), 1);
	assert_ended(STREAM_DONE);
}

static void test_daytime_to_nobody(void **ctx)
{
	int server = pair_unix();

	(void)ctx;
	client = fd_close(client);
	assert_int_equal(begin(BUILTIN_DAYTIME, server), 1);
	assert_ended(STREAM_RESET);
}

static void begin_asked(const char *question)
{
	int server = pair_tcp();

	say(question, strlen(question));
	await(server, POLLIN);
	assert_int_equal(begin(BUILTIN_DAYTIME, server), 0);
	assert_int_equal(stream_events(stream), READ_EVENTS);
	assert_true(stream_due(stream) == NOW + STREAM_LINGER_TIME);
}

/* A close with that unread would be a reset, which destroys the answer. */
static void test_daytime_asked(void **ctx)
{
	(void)ctx;
	begin_asked("GET / HTTP/1.0\r\n\r\n");
	say("more", 4);
	assert_false(turn());
	assert_hears("Thu Feb  7 06:28:17 2036\r\n", 26);
	assert_hears_end();
	client = fd_close(client);
	assert_true(turn());
	assert_ended(STREAM_DONE);
	assert_counts(22, 26);
}

static void test_daytime_asked_and_never_ended(void **ctx)
{
	(void)ctx;
	begin_asked("?");
	assert_false(stream_go(stream, 0, stream_due(stream) - 1));
	assert_true(stream_go(stream, 0, stream_due(stream)));
	assert_ended(STREAM_DONE);
}

static void test_daytime_asked_without_end(void **ctx)
{
	static uint8_t much[4096];

	(void)ctx;
	begin_asked("?");
	do {
		while (send(client, much, sizeof much, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
	} while (!turn());
	assert_ended(STREAM_DONE);
	assert_true(stream_bytes_in(stream) >= STREAM_LINGER_BYTES);
	assert_true(stream_bytes_in(stream) < STREAM_LINGER_BYTES + STREAM_SHARE);
}

static void test_daytime_asked_and_reset(void **ctx)
{
	(void)ctx;
	begin_asked("?");
	reset_client();
	assert_true(turn());
	assert_ended(STREAM_RESET);
}

static struct stream_setup setup_of_text(const uint8_t *text, size_t len)
{
	struct stream_setup setup = setup_of(BUILTIN_TEXT);

	setup.text = text;
	setup.text_len = len;
	return setup;
}

/* Who is answered with a text may be about to speak. */
static void test_text_waits_for_the_end(void **ctx)
{
	struct stream_setup setup = setup_of_text((const uint8_t *)"out of order\n", 13);

	(void)ctx;
	assert_int_equal(begin_with(&setup, pair_tcp()), 0);
	assert_hears("out of order\n", 13);
	assert_hears_end();
	assert_true(stream_due(stream) == NOW + STREAM_LINGER_TIME);
	say("HELO", 4);
	assert_false(turn());
	shutdown(client, SHUT_WR);
	assert_true(turn());
	assert_ended(STREAM_DONE);
	assert_counts(4, 13);
}

/* A text that no socket takes at once, which the caller forgets. */
static void begin_long_text(size_t len)
{
	uint8_t *text = test_malloc(len);
	struct stream_setup setup = setup_of_text(text, len);

	for (size_t i = 0; i < len; i++)
		text[i] = byte_of(i);
	assert_int_equal(begin_with(&setup, pair_unix()), 0);
	memset(text, 0, len);
	test_free(text);
	assert_int_equal(stream_events(stream), READ_EVENTS | EPOLLOUT);
	assert_true(stream_due(stream) == NOW + STREAM_ANSWER_TIME);
}

static void test_long_text(void **ctx)
{
	uint64_t heard = 0;
	uint8_t buf[5000];
	ssize_t n;

	(void)ctx;
	begin_long_text(3000000);
	say("a question", 10);
	while ((n = recv(client, buf, sizeof buf, MSG_DONTWAIT)) != 0) {
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_of(heard + (uint64_t)i))
				fail();
		heard += n > 0 ? (uint64_t)n : 0;
		turn_all();
	}
	assert_int_equal(heard, 3000000);
	assert_true(stream_due(stream) == NOW + STREAM_LINGER_TIME);
	client = fd_close(client);
	assert_true(turn());
	assert_ended(STREAM_DONE);
	assert_counts(10, 3000000);
}

static void test_long_text_not_fetched(void **ctx)
{
	(void)ctx;
	begin_long_text(3000000);
	assert_false(stream_go(stream, 0, stream_due(stream) - 1));
	assert_true(stream_go(stream, 0, stream_due(stream)));
	assert_ended(STREAM_ERROR);
	assert_int_equal(stream_error(stream), ETIMEDOUT);
}

/* He sends more than is thrown away, and reads nothing: he waits then, as we do. */
static void test_long_text_and_much_to_say(void **ctx)
{
	static uint8_t much[4096];

	(void)ctx;
	begin_long_text(3000000);
	while (stream_events(stream) != EPOLLOUT) {
		send(client, much, sizeof much, MSG_DONTWAIT);
		assert_false(turn_all());
	}
	assert_true(stream_bytes_in(stream) < STREAM_LINGER_BYTES + STREAM_SHARE);
}

static void test_long_text_and_half_close(void **ctx)
{
	(void)ctx;
	begin_long_text(3000000);
	shutdown(client, SHUT_WR);
	assert_false(turn_all());
	assert_int_equal(stream_events(stream), EPOLLOUT);
	client = fd_close(client);
	assert_true(turn());
	assert_ended(STREAM_RESET);
}

/*
 * The rest
 */

static void test_abort(void **ctx)
{
	(void)ctx;
	begin_long_text(3000000);
	stream_abort(stream);
	assert_ended(STREAM_ABORTED);
}

/* What is over stays as it ended. */
static void test_abort_too_late(void **ctx)
{
	(void)ctx;
	assert_int_equal(begin(BUILTIN_TIME, pair_unix()), 1);
	stream_abort(stream);
	assert_ended(STREAM_DONE);
}

static void test_no_service(void **ctx)
{
	struct stream_setup setup = setup_of(BUILTIN_NONE);
	int server = pair_unix();

	(void)ctx;
	assert_int_equal(stream_new(&setup, server, &stream), -EINVAL);
	setup.kind = BUILTIN_TEXT + 1;
	assert_int_equal(stream_new(&setup, server, &stream), -EINVAL);
	assert_null(stream);
	/* It is still the caller's. */
	assert_int_equal(close(server), 0);
	assert_null(stream_free(NULL));
}

static int set_up(void **ctx)
{
	(void)ctx;
	setenv("TZ", "UTC0", 1);
	client = -EBADF;
	stream = NULL;
	alarm(PATIENCE);
	return 0;
}

static int tear_down(void **ctx)
{
	(void)ctx;
	alarm(0);
	short_of_memory = false;
	stream = stream_free(stream);
	client = fd_close(client);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_echo),
		TEST(test_echo_at_once),
		TEST(test_echo_nothing),
		TEST(test_echo_much_unix),
		TEST(test_echo_much_tcp),
		TEST(test_echo_tiny_pieces),
		TEST(test_echo_to_one_who_does_not_read),
		TEST(test_echo_is_fair),
		TEST(test_echo_reset_while_idle),
		TEST(test_echo_reset_while_waiting),
		TEST(test_echo_reset_by_tcp_while_waiting),
		TEST(test_echo_without_memory),
		TEST(test_idle_is_small),
		TEST(test_discard_unix),
		TEST(test_discard_tcp),
		TEST(test_discard_reset),
		TEST(test_chargen_lines),
		TEST(test_chargen_tcp),
		TEST(test_chargen_is_fair),
		TEST(test_chargen_reads),
		TEST(test_chargen_half_close),
		TEST(test_chargen_client_goes),
		TEST(test_chargen_client_is_gone_already),
		TEST(test_daytime),
		TEST(test_time),
		TEST(test_qotd),
		TEST(test_nothing_to_say),
		TEST(test_daytime_with_end),
		TEST(test_daytime_to_nobody),
		TEST(test_daytime_asked),
		TEST(test_daytime_asked_and_never_ended),
		TEST(test_daytime_asked_without_end),
		TEST(test_daytime_asked_and_reset),
		TEST(test_text_waits_for_the_end),
		TEST(test_long_text),
		TEST(test_long_text_not_fetched),
		TEST(test_long_text_and_much_to_say),
		TEST(test_long_text_and_half_close),
		TEST(test_abort),
		TEST(test_abort_too_late),
		TEST(test_no_service),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
