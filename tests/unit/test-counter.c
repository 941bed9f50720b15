/* counter: who was named is told of once, with what it was; the process may end at any time. */
#include "os/counter.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/tcp-diag.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOWEST 50

struct pair {
	int client, server;
	uint64_t cookie;
};

static int open_program(void)
{
	const char *build = getenv("builddir");
	char path[4096];

	snprintf(path, sizeof path, "%s/hatchd-bytes", build ? build : ".");
	return open(path, O_PATH | O_CLOEXEC);
}

static int null_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

static struct counter *new_counter_of(int program)
{
	struct counter *counter;

	assert_int_equal(counter_new(program, null_fd(), LOWEST, &counter), 0);
	counter_want(counter, true);
	return counter;
}

/* As long as nothing happens it waits for what is due. */
static void turn(struct counter *counter)
{
	struct pollfd p = {.fd = counter_fd(counter), .events = POLLIN};
	uint64_t now = clock_monotonic(), due = counter_tend(counter, now);
	uint64_t wait = due == USEC_INFINITY ? 10 * USEC_PER_SEC : due > now ? due - now : 0;

	assert_true(poll(&p, 1, (int)(wait / 1000 + 1)) >= 0);
}

static struct counter_news take(struct counter *counter)
{
	struct counter_news news;

	while (!counter_take(counter, clock_monotonic(), &news))
		turn(counter);
	return news;
}

static struct pair connect_pair(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof addr;
	struct tcp_handle handle;
	struct pair pair;

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	pair.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair.client, (struct sockaddr *)&addr, len), 0);
	pair.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	assert_int_equal(tcp_diag_learn(pair.server, &handle), 0);
	pair.cookie = handle.cookie;
	return pair;
}

static void say(int from, int to, size_t n)
{
	static char text[1000];

	assert_int_equal(send(from, text, n, 0), n);
	assert_int_equal(recv(to, text, n, MSG_WAITALL), n);
}

static void end(const struct pair *pair)
{
	close(pair->server);
	close(pair->client);
}

/* Until it hears the kernel: connections that end sooner may be missed. */
static void wait_until_ready(struct counter *counter)
{
	struct counter_news news = {.ticket = 0};
	struct pair pair = {0};

	do {
		struct pollfd p;

		counter_tend(counter, clock_monotonic());
		p = (struct pollfd){.fd = counter_fd(counter), .events = POLLIN};
		pair = connect_pair();
		counter_watch(counter, pair.cookie, 1);
		end(&pair);
		assert_true(poll(&p, 1, 20) >= 0);
	} while (!counter_take(counter, clock_monotonic(), &news));
	while (counter_take(counter, clock_monotonic(), &news))
		;
}

static struct counter *new_counter(void)
{
	struct counter *counter = new_counter_of(open_program());

	wait_until_ready(counter);
	return counter;
}

static void test_counts(void **ctx)
{
	struct counter *counter = new_counter();
	struct pair pairs[10], stranger = connect_pair();
	bool known[10] = {false};
	size_t n_known = 0;

	(void)ctx;
	assert_true(counter_fd(counter) >= LOWEST);
	for (size_t i = 0; i < 10; i++) {
		pairs[i] = connect_pair();
		assert_true(counter_watch(counter, pairs[i].cookie, i + 100));
		say(pairs[i].client, pairs[i].server, i + 1);
		say(pairs[i].server, pairs[i].client, 2 * i + 1);
	}
	end(&stranger);
	for (size_t i = 10; i-- > 0;)
		end(&pairs[i]);
	/* In no order. */
	while (n_known < 10) {
		struct counter_news news = take(counter);
		uint64_t i = news.ticket - 100;

		if (news.ticket == 1)
			continue;
		assert_true(i < 10 && !known[i]);
		assert_int_equal(news.bytes.in, i + 1);
		assert_int_equal(news.bytes.out, 2 * i + 1);
		known[i] = true;
		n_known++;
	}
	assert_int_equal(counter_trouble(counter), 0);
	counter_done(counter);
}

static void test_forgets(void **ctx)
{
	struct counter *counter = new_counter();
	struct pair a = connect_pair(), b = connect_pair();
	struct counter_news news;

	(void)ctx;
	assert_true(counter_watch(counter, a.cookie, 100));
	assert_true(counter_watch(counter, b.cookie, 101));
	counter_forget(counter, a.cookie);
	end(&a);
	end(&b);
	do
		news = take(counter);
	while (news.ticket == 1);
	assert_int_equal(news.ticket, 101);
	counter_done(counter);
}

/* Only while it is wanted. */
static void test_not_wanted(void **ctx)
{
	struct counter *counter = new_counter();

	(void)ctx;
	assert_true(counter_pid(counter) > 0);
	assert_int_not_equal(counter_generation(counter), 0);
	counter_want(counter, false);
	counter_tend(counter, clock_monotonic());
	assert_int_equal(counter_pid(counter), -1);
	assert_int_equal(counter_generation(counter), 0);
	assert_false(counter_watch(counter, 4711, 1));
	assert_int_equal(counter_trouble(counter), 0);
	while (counter_tend(counter, clock_monotonic()) != USEC_INFINITY)
		turn(counter);
	counter_done(counter);
	counter_done(NULL);
}

static void test_starts_again(void **ctx)
{
	struct counter *counter = new_counter();
	uint32_t generation = counter_generation(counter);
	struct counter_news news;
	pid_t pid = counter_pid(counter);

	(void)ctx;
	kill(pid, SIGKILL);
	while (counter_pid(counter) == pid) {
		turn(counter);
		counter_take(counter, clock_monotonic(), &news);
	}
	assert_int_equal(counter_generation(counter), 0);
	assert_int_equal(counter_trouble(counter), -ECHILD);
	assert_int_equal(counter_trouble(counter), 0);
	wait_until_ready(counter);
	assert_int_not_equal(counter_generation(counter), generation);
	counter_done(counter);
}

/* It cannot read: what it is told is bounded, and nobody waits for it. */
static void test_is_behind(void **ctx)
{
	struct counter *counter = new_counter();
	pid_t pid = counter_pid(counter);
	size_t n = 0;

	(void)ctx;
	kill(pid, SIGSTOP);
	while (n < 1000000 && counter_watch(counter, n + (UINT64_C(1) << 60), n))
		n++;
	assert_true(n >= 100 && n < 1000000);
	assert_int_equal(counter_trouble(counter), -EAGAIN);
	counter_forget(counter, 4711);
	kill(pid, SIGCONT);
	counter_done(counter);
}

static void test_program_is_missing(void **ctx)
{
	struct counter *counter = new_counter_of(-ENOENT);
	uint64_t now = clock_monotonic(), pause = 100 * USEC_PER_MSEC;

	(void)ctx;
	for (int i = 0; i < 12; i++) {
		uint64_t due = counter_tend(counter, now);

		assert_int_equal(counter_trouble(counter), -ENOENT);
		assert_int_equal(due, now + pause);
		assert_int_equal(counter_tend(counter, due - 1), due);
		assert_int_equal(counter_trouble(counter), 0);
		now = due;
		pause = pause * 2 < 30 * USEC_PER_SEC ? pause * 2 : 30 * USEC_PER_SEC;
	}
	assert_false(counter_watch(counter, 4711, 1));
	counter_done(counter);
}

static void wait_for_trouble(struct counter *counter, int expected)
{
	struct counter_news news;
	int trouble;

	while ((trouble = counter_trouble(counter)) == 0) {
		assert_false(counter_take(counter, clock_monotonic(), &news));
		turn(counter);
	}
	assert_int_equal(trouble, expected);
}

static void test_program_is_no_counter(void **ctx)
{
	struct counter *counter = new_counter_of(open("/bin/true", O_PATH | O_CLOEXEC));

	(void)ctx;
	wait_for_trouble(counter, -ECHILD);
	counter_done(counter);
}

/* ------------------------------------------------------------- another hatchd-bytes */

/* The cookie that it is named says what it does. */
enum lie {
	LOST_FOR_EVER = 1, /* until the socket is full: then it waits */
	ENDED_TWICE,
	READY_TWICE,
};

static void tell(enum bytes_news_kind kind, uint64_t ticket)
{
	const struct bytes_news news = {.kind = kind, .ticket = ticket};

	if (send(STDIN_FILENO, &news, sizeof news, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		raise(SIGSTOP);
}

/* This program, in the place of hatchd-bytes. */
static _Noreturn void lie(void)
{
	struct bytes_order order;

	tell(BYTES_READY, 0);
	while (recv(STDIN_FILENO, &order, sizeof order, 0) == sizeof order) {
		while (order.cookie == LOST_FOR_EVER)
			tell(BYTES_LOST, 0);
		tell(BYTES_ENDED, order.ticket);
		tell(order.cookie == READY_TWICE ? BYTES_READY : BYTES_ENDED, order.ticket);
	}
	_exit(0);
}

static struct counter *new_liar(enum lie lie)
{
	struct counter *counter = new_counter_of(open("/proc/self/exe", O_PATH | O_CLOEXEC));

	counter_tend(counter, clock_monotonic());
	assert_true(counter_watch(counter, lie, 4711));
	return counter;
}

static void wait_until_stopped(struct counter *counter)
{
	siginfo_t info;

	assert_int_equal(
		waitid(P_PID, (id_t)counter_pid(counter), &info, WSTOPPED | WNOWAIT), 0);
}

static bool is_readable(struct counter *counter)
{
	struct pollfd p = {.fd = counter_fd(counter), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* All that has come in a day, because nobody has read it, or a flood: the rest is for the next
 * call, as everybody else's turn comes before it. */
static void test_takes_some(void **ctx)
{
	struct counter *counter = new_liar(LOST_FOR_EVER);
	uint64_t later = clock_monotonic() + 24 * 3600 * USEC_PER_SEC;
	struct counter_news news;
	size_t n = 0;

	(void)ctx;
	wait_until_stopped(counter);
	while (is_readable(counter)) {
		assert_false(counter_take(counter, later, &news));
		assert_int_equal(counter_trouble(counter), -ENOBUFS);
		assert_true(counter_pid(counter) > 0);
		n++;
	}
	assert_true(n > 2);
	counter_done(counter);
}

static void test_loses_too_often(void **ctx)
{
	struct counter *counter = new_liar(LOST_FOR_EVER);
	struct counter_news news;

	(void)ctx;
	wait_until_stopped(counter);
	assert_false(counter_take(counter, clock_monotonic(), &news));
	assert_int_equal(counter_trouble(counter), -EBADMSG);
	assert_int_equal(counter_pid(counter), -1);
	counter_done(counter);
}

/* However quickly it is ready each time, unless it has lived for a while. */
static void test_is_started_less_often(void **ctx)
{
	struct counter *counter = new_liar(LOST_FOR_EVER);
	uint64_t now = clock_monotonic(), pause = 100 * USEC_PER_MSEC;
	struct counter_news news;

	(void)ctx;
	for (int i = 0; i < 4; i++) {
		wait_until_stopped(counter);
		assert_false(counter_take(counter, now, &news));
		assert_int_equal(counter_trouble(counter), -EBADMSG);
		counter_tend(counter, now + pause - 1);
		assert_int_equal(counter_pid(counter), -1);
		now += pause;
		counter_tend(counter, now);
		assert_true(counter_watch(counter, LOST_FOR_EVER, 4711));
		pause *= 2;
	}
	kill(counter_pid(counter), SIGKILL);
	now += 60 * USEC_PER_SEC;
	while (counter_pid(counter) > 0)
		assert_false(counter_take(counter, now, &news));
	counter_tend(counter, now + 100 * USEC_PER_MSEC);
	assert_true(counter_pid(counter) > 0);
	counter_done(counter);
}

/* What nobody has asked for. */
static void test_says_too_much(void **ctx)
{
	static const enum lie lies[] = {ENDED_TWICE, READY_TWICE};

	(void)ctx;
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct counter *counter = new_liar(lies[i]);

		assert_int_equal(take(counter).ticket, 4711);
		wait_for_trouble(counter, -EBADMSG);
		assert_int_equal(counter_pid(counter), -1);
		counter_done(counter);
	}
}

static void test_explains(void **ctx)
{
	static const int known[] = {-ENOENT, -ECHILD, -EBADMSG, -EBUSY, -EAGAIN};
	char why[HELPER_WHY_MAX];

	(void)ctx;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		assert_non_null(strstr(counter_explain(known[i], why), "hatchd-bytes"));
	assert_string_equal(counter_explain(-EMFILE, why), strerror(EMFILE));
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_not_wanted),
		cmocka_unit_test(test_starts_again),
		cmocka_unit_test(test_is_behind),
		cmocka_unit_test(test_program_is_missing),
		cmocka_unit_test(test_program_is_no_counter),
		cmocka_unit_test(test_takes_some),
		cmocka_unit_test(test_loses_too_often),
		cmocka_unit_test(test_is_started_less_often),
		cmocka_unit_test(test_says_too_much),
		cmocka_unit_test(test_explains),
	};

	if (argc > 0 && strcmp(argv[0], "hatchd-bytes") == 0)
		lie();
	return cmocka_run_group_tests_name("counter", tests, NULL, NULL);
}
