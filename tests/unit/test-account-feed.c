/* account_feed: lines get into a file by another process, or are kept for it. */
#include "os/account_feed.h"

#include "base/clock.h"
#include "base/own.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Longest wait for what happens at once. */
#define PATIENCE (20 * USEC_PER_SEC)

static char folder[] = "/tmp/hatchd-test-feed-XXXXXX";
static char one[64], other[64];
static int null;
static struct account_feed *feed;

static int open_program(void)
{
	const char *build = getenv("builddir");
	char path[4096];

	snprintf(path, sizeof path, "%s/hatchd-account", build ? build : ".");
	return open(path, O_PATH | O_CLOEXEC);
}

static void aim(const char *path)
{
	const struct account_feed_target target = {
		.path = path, .size = 1 << 20, .keep = 2, .gid = (gid_t)-1};

	account_feed_aim(feed, &target);
}

static void begin_with(int program)
{
	assert_int_equal(account_feed_new(program, null, 100, &feed), 0);
	aim(one);
}

static int begin(void **state)
{
	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(one, sizeof one, "%s/one", folder);
	snprintf(other, sizeof other, "%s/other", folder);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return 0;
}

static int end(void **state)
{
	(void)state;
	feed = account_feed_free(feed);
	close(null);
	remove(one);
	remove(other);
	return rmdir(folder);
}

static bool put(uint64_t n)
{
	char line[128];
	int len = snprintf(line, sizeof line, "%0100" PRIu64 "\n", n);

	return account_feed_put(feed, line, (size_t)len);
}

/* How many lines the file has, which are the numbers from `first` on. */
static uint64_t count(const char *path, uint64_t first)
{
	FILE *f = fopen(path, "r");
	uint64_t n = 0, number;

	while (f && fscanf(f, "%" SCNu64, &number) == 1)
		assert_int_equal(number, first + n++);
	if (f)
		fclose(f);
	return n;
}

static void test_lines(void **state)
{
	(void)state;
	begin_with(open_program());
	assert_true(put(1) && put(2) && put(3));
	assert_int_equal(account_feed_settle(feed, PATIENCE), 0);
	assert_int_equal(account_feed_pending(feed), 0);
	assert_int_equal(count(one, 1), 3);
}

/* More than a packet, and more than the socket has room for at once. */
static void test_many(void **state)
{
	uint64_t n = 0;

	(void)state;
	begin_with(open_program());
	for (int i = 0; i < 3; i++) {
		while (put(n + 1))
			n++;
		assert_true(n > 2000);
		assert_int_equal(account_feed_settle(feed, PATIENCE), 0);
	}
	assert_int_equal(count(one, 1), n);
}

/* Without a process they are kept, as far as there is room, and told how many. */
static void test_no_program(void **state)
{
	enum account_step step;
	uint64_t n = 0;
	int error;

	(void)state;
	begin_with(-ENOENT);
	while (put(n + 1))
		n++;
	assert_int_equal(n, ACCOUNT_FEED_ROOM / 101);
	assert_false(account_feed_trouble(feed, &step, &error));
	assert_int_equal(account_feed_settle(feed, PATIENCE), n);
	assert_true(account_feed_trouble(feed, &step, &error));
	assert_int_equal(step, _ACCOUNT_STEP_MAX);
	assert_int_equal(error, -ENOENT);
	assert_false(account_feed_trouble(feed, &step, &error));
}

/* What one file did not take goes to the next. */
static void test_another_file(void **state)
{
	enum account_step step;
	int error;

	(void)state;
	assert_int_equal(mkfifo(one, 0600), 0);
	begin_with(open_program());
	assert_true(put(1) && put(2));
	assert_int_equal(account_feed_settle(feed, PATIENCE), 2);
	assert_true(account_feed_trouble(feed, &step, &error));
	assert_int_equal(step, ACCOUNT_IRREGULAR);
	aim(other);
	assert_true(put(3));
	assert_int_equal(account_feed_settle(feed, PATIENCE), 0);
	assert_false(account_feed_trouble(feed, &step, &error));
	assert_int_equal(count(other, 1), 3);
}

static void wait_until_over(void)
{
	uint64_t until = clock_monotonic() + PATIENCE;

	while (!account_feed_is_over(feed) && clock_monotonic() < until) {
		account_feed_tend(feed, clock_monotonic());
		poll(NULL, 0, 1);
	}
}

/* Nothing is left of the process, and it can begin again. */
static void test_end(void **state)
{
	(void)state;
	begin_with(open_program());
	assert_true(put(1));
	assert_int_equal(account_feed_settle(feed, PATIENCE), 0);
	assert_false(account_feed_is_over(feed));
	account_feed_end(feed, clock_monotonic());
	wait_until_over();
	assert_true(account_feed_is_over(feed));
	assert_int_equal(account_feed_tend(feed, clock_monotonic()), USEC_INFINITY);
	aim(other);
	assert_true(put(1));
	assert_int_equal(account_feed_settle(feed, PATIENCE), 0);
	assert_int_equal(count(other, 1), 1);
}

/* This program, in the place of hatchd-account: it says how it is until the socket is full. */
static _Noreturn void talk(void)
{
	static const struct account_status fine = {.step = ACCOUNT_FINE};

	while (send(ACCOUNT_SOCKET_FD, &fine, sizeof fine, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		;
	raise(SIGSTOP);
	_exit(0);
}

static bool is_readable(void)
{
	struct pollfd p = {.fd = account_feed_fd(feed), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* What is left is for the next turn, so that everybody else has his. */
static void test_takes_some(void **state)
{
	siginfo_t info;
	size_t n = 0;

	(void)state;
	begin_with(open("/proc/self/exe", O_PATH | O_CLOEXEC));
	account_feed_tend(feed, clock_monotonic());
	assert_int_equal(waitid(P_ALL, 0, &info, WSTOPPED), 0);
	for (; is_readable(); n++)
		account_feed_tend(feed, clock_monotonic());
	assert_true(n > 2);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, begin, end),
		cmocka_unit_test_setup_teardown(test_many, begin, end),
		cmocka_unit_test_setup_teardown(test_no_program, begin, end),
		cmocka_unit_test_setup_teardown(test_another_file, begin, end),
		cmocka_unit_test_setup_teardown(test_end, begin, end),
		cmocka_unit_test_setup_teardown(test_takes_some, begin, end),
	};

	if (argc > 0 && strcmp(argv[0], "hatchd-account") == 0)
		talk();
	umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
