/* watchdog: the service manager hears from a loop that turns, and from no other. */
#include "master/master.h"
#include "master/watchdog.h"

#include "base/clock.h"
#include "base/own.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

/* Shorter than anybody may ask for, as the test waits for it. */
#define TIMEOUT (40 * USEC_PER_MSEC)

static void test_what_is_asked_for(void **state)
{
	static const struct {
		const char *usec, *pid;
		int r;
		uint64_t timeout;
	} cases[] = {
		{NULL, NULL, 0, 0},
		{NULL, "7", 0, 0},
		{"30000000", NULL, 0, 30000000},
		{"30000000", "7", 0, 30000000},
		{"30000000", "8", 0, 0},
		{"1", "7", 0, 1},
		{"0", "7", -EINVAL, 0},
		{"", "7", -EINVAL, 0},
		{"30s", "7", -EINVAL, 0},
		{"-1", "7", -EINVAL, 0},
		{"18446744073709551615", "7", -EINVAL, 0},
		{"99999999999999999999", "7", -EINVAL, 0},
		{"30000000", "", -EINVAL, 0},
		{"30000000", "x", -EINVAL, 0},
		{"30000000", "0", -EINVAL, 0},
		{"30000000", "-7", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t timeout = 0;

		assert_int_equal(
			watchdog_parse(cases[i].usec, cases[i].pid, 7, &timeout), cases[i].r);
		assert_int_equal(timeout, cases[i].timeout);
	}
}

static void set_environment(const char *usec, const char *pid, const char *socket)
{
	const char *const names[] = {"WATCHDOG_USEC", "WATCHDOG_PID", "NOTIFY_SOCKET"};
	const char *const values[] = {usec, pid, socket};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (values[i])
			assert_int_equal(setenv(names[i], values[i], 1), 0);
		else
			assert_int_equal(unsetenv(names[i]), 0);
}

/* The next image is the same process, also where this one was not the one that was started. */
static void test_environment_is_for_the_next_image(void **state)
{
	struct master master = {.inherited.pid = getpid()};
	char text[WATCHDOG_TEXT_MAX], pid[16];

	(void)state;
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	set_environment("30000000", pid, "@x");
	watchdog_init(&master);
	assert_int_equal(master.watchdog.timeout, 30000000);
	assert_string_equal(watchdog_request(&master.watchdog, text), "");
	assert_string_equal(getenv("WATCHDOG_USEC"), "30000000");
	assert_null(getenv("WATCHDOG_PID"));

	master.watchdog.timeout = 0;
	watchdog_init(&master);
	assert_int_equal(master.watchdog.timeout, 30000000);
	set_environment(NULL, NULL, NULL);
}

static void test_not_for_us(void **state)
{
	struct master master = {.inherited.pid = getpid()};

	(void)state;
	set_environment("30000000", "1", "@x");
	watchdog_init(&master);
	assert_int_equal(master.watchdog.timeout, 0);
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));

	set_environment("30000000", NULL, NULL);
	watchdog_init(&master);
	assert_int_equal(master.watchdog.timeout, 0);
	set_environment("soon", NULL, "@x");
	watchdog_init(&master);
	assert_int_equal(master.watchdog.timeout, 0);
	set_environment(NULL, NULL, NULL);
}

/* The manager is asked for more than it has said, or it would end us again and again. */
static void test_too_short(void **state)
{
	struct master master = {0};
	char text[WATCHDOG_TEXT_MAX];

	(void)state;
	set_environment("1000", NULL, "@x");
	watchdog_init(&master);
	assert_int_equal(master.watchdog.timeout, WATCHDOG_TIMEOUT_MIN);
	assert_string_equal(
		watchdog_request(&master.watchdog, text), "WATCHDOG_USEC=1000000\n");
	set_environment(NULL, NULL, NULL);
}

/* -------------------------------------------------------------------------- the loop */

/* A manager, and a master that tells it. */
struct pair {
	struct master master;
	int manager;
};

static void open_pair_for(struct pair *pair, uint64_t timeout)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char name[64];
	int len = snprintf(name, sizeof name, "@hatchd-test-watchdog/%d", (int)getpid());

	*pair = (struct pair){.master.watchdog.timeout = timeout};
	pair->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(pair->manager >= 0);
	memcpy(addr.sun_path + 1, name + 1, (size_t)len - 1);
	assert_int_equal(
		bind(pair->manager, (struct sockaddr *)&addr,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)),
		0);
	assert_int_equal(notify_new(name, &pair->master.notify), 0);
	assert_int_equal(sd_event_new(&pair->master.event), 0);
	assert_int_equal(watchdog_begin(&pair->master), 0);
}

static void open_pair(struct pair *pair)
{
	open_pair_for(pair, TIMEOUT);
}

static void close_pair(struct pair *pair)
{
	watchdog_done(&pair->master.watchdog);
	sd_event_unref(pair->master.event);
	notify_free(pair->master.notify);
	close(pair->manager);
}

/* One message; "" if none is there. */
static const char *heard(const struct pair *pair, char buf[64])
{
	ssize_t n = recv(pair->manager, buf, 63, 0);

	buf[n < 0 ? 0 : n] = '\0';
	return buf;
}

static void turn_until_heard(struct pair *pair)
{
	struct pollfd p = {.fd = pair->manager, .events = POLLIN};
	char text[64];

	while (poll(&p, 1, 0) == 0)
		assert_true(sd_event_run(pair->master.event, USEC_INFINITY) >= 0);
	assert_string_equal(heard(pair, text), "WATCHDOG=1");
}

static void test_as_often_as_it_is_to(void **state)
{
	uint64_t before = clock_monotonic(), took;
	struct pair pair;
	char text[64];

	(void)state;
	open_pair(&pair);
	assert_string_equal(heard(&pair, text), "");
	/* The first is at once. */
	for (int i = 0; i < 4; i++)
		turn_until_heard(&pair);
	took = clock_monotonic() - before;
	assert_true(took >= 3 * TIMEOUT / 2);
	close_pair(&pair);
}

static void test_a_loop_that_stands_still(void **state)
{
	struct pair pair;
	char text[64];

	(void)state;
	open_pair(&pair);
	turn_until_heard(&pair);
	poll(NULL, 0, 2 * TIMEOUT / USEC_PER_MSEC);
	assert_string_equal(heard(&pair, text), "");
	/* What was missed is not said several times. */
	turn_until_heard(&pair);
	assert_string_equal(heard(&pair, text), "");
	close_pair(&pair);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	++*(unsigned *)userdata;
	return 0;
}

/* Clients who come all the time do not keep it from being said. */
static void test_among_others(void **state)
{
	_cleanup_close_ int always = eventfd(1, EFD_CLOEXEC);
	struct pair pair;
	unsigned n = 0;

	(void)state;
	open_pair(&pair);
	assert_true(
		sd_event_add_io(pair.master.event, NULL, always, EPOLLIN, on_client, &n) >= 0);
	for (int i = 0; i < 3; i++)
		turn_until_heard(&pair);
	assert_true(n > 3);
	close_pair(&pair);
}

static unsigned fill(struct pair *pair)
{
	unsigned n = 0;

	while (notify_pass(pair->master.notify, "N=1", -EBADF))
		n++;
	return n;
}

/* What counts is not crowded out of the queue by it, and goes first. */
static void test_a_manager_that_takes_nothing(void **state)
{
	uint64_t end = clock_monotonic() + 2 * TIMEOUT;
	struct pair pair;
	char text[64];
	unsigned n;

	(void)state;
	open_pair(&pair);
	n = fill(&pair);
	notify_send(pair.master.notify, "READY=1");
	while (clock_monotonic() < end)
		assert_true(sd_event_run(pair.master.event, TIMEOUT) >= 0);
	while (n-- > 0)
		assert_string_equal(heard(&pair, text), "N=1");
	assert_false(notify_flush(pair.master.notify));
	assert_string_equal(heard(&pair, text), "READY=1");
	assert_string_equal(heard(&pair, text), "");
	turn_until_heard(&pair);
	close_pair(&pair);
}

/* It looks for us when it has emptied its queue, however long it may wait otherwise. */
static void test_a_manager_that_has_room_again(void **state)
{
	uint64_t end = clock_monotonic() + 10 * USEC_PER_SEC;
	struct pair pair;
	char text[64];
	unsigned n;

	(void)state;
	open_pair_for(&pair, 300 * USEC_PER_SEC);
	for (n = fill(&pair); n > 0; n--) {
		assert_true(sd_event_run(pair.master.event, 0) >= 0);
		assert_string_equal(heard(&pair, text), "N=1");
	}
	turn_until_heard(&pair);
	assert_true(clock_monotonic() < end);
	close_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_asked_for),
		cmocka_unit_test(test_environment_is_for_the_next_image),
		cmocka_unit_test(test_not_for_us),
		cmocka_unit_test(test_too_short),
		cmocka_unit_test(test_as_often_as_it_is_to),
		cmocka_unit_test(test_a_loop_that_stands_still),
		cmocka_unit_test(test_among_others),
		cmocka_unit_test(test_a_manager_that_takes_nothing),
		cmocka_unit_test(test_a_manager_that_has_room_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
