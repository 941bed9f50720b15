/* asker: every question has an answer, and there are no threads without one. */
#include "os/asker.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define LOWEST 100

/* As the master does it: tend at every turn, sleep until something is due. */
static void take(struct asker *asker, struct asker_answer *ret)
{
	struct pollfd p = {.fd = asker_fd(asker), .events = POLLIN};
	eventfd_t n;

	while (!asker_take(asker, ret)) {
		uint64_t now = clock_monotonic(), due = asker_tend(asker, now);

		poll(&p, 1, due == USEC_INFINITY ? -1 : (int)((due - now) / 1000 + 1));
		eventfd_read(asker_fd(asker), &n);
	}
}

/* Nobody has a connection from port 0 to port 0. */
static struct asker_question question(uint64_t id)
{
	struct asker_question q = {.owner = &take, .id = id, .handle = {.cookie = id}};

	q.local = (struct addr){.kind = ADDR_TCP, .in.sin_family = AF_INET};
	q.local.len = sizeof q.local.in;
	q.peer = q.local;
	return q;
}

static void test_answer(void **ctx)
{
	const struct asker_question q = question(4711);
	struct asker_answer answer;
	struct asker *asker;

	(void)ctx;
	assert_int_equal(asker_new(LOWEST, &asker), 0);
	assert_true(asker_fd(asker) >= LOWEST);
	assert_false(asker_take(asker, &answer));
	assert_true(asker_put(asker, &q, clock_monotonic()));
	/* Nobody is at it before asker_tend(). */
	assert_false(asker_is_stuck(asker, &take, 4711));
	take(asker, &answer);
	assert_ptr_equal(answer.owner, &take);
	assert_int_equal(answer.id, 4711);
	assert_int_equal(answer.result, -ENOENT);
	assert_false(asker_take(asker, &answer));
	assert_false(asker_is_stuck(asker, &take, 4711));
	asker_done(asker);
}

/* Each once, and room for as many again. */
static void test_full(void **ctx)
{
	struct asker_question q;
	struct asker_answer answer;
	struct asker *asker;

	(void)ctx;
	assert_int_equal(asker_new(LOWEST, &asker), 0);
	for (int round = 0; round < 3; round++) {
		bool seen[ASKER_ROOM] = {false};

		for (uint64_t i = 0; i < ASKER_ROOM; i++) {
			q = question(i + 1);
			assert_true(asker_put(asker, &q, clock_monotonic()));
		}
		assert_false(asker_put(asker, &q, clock_monotonic()));
		for (size_t i = 0; i < ASKER_ROOM; i++) {
			take(asker, &answer);
			assert_in_range(answer.id, 1, ASKER_ROOM);
			assert_false(seen[answer.id - 1]);
			seen[answer.id - 1] = true;
		}
		assert_false(asker_take(asker, &answer));
	}
	asker_done(asker);
}

/* An answer that waits to be taken is not one that does not come. */
static void test_answered_is_not_stuck(void **ctx)
{
	const struct asker_question q = question(1);
	struct pollfd p = {.events = POLLIN};
	struct asker_answer answer;
	struct asker *asker;

	(void)ctx;
	assert_int_equal(asker_new(LOWEST, &asker), 0);
	assert_true(asker_put(asker, &q, clock_monotonic()));
	asker_tend(asker, clock_monotonic());
	p.fd = asker_fd(asker);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_false(asker_is_stuck(asker, &take, 1));
	assert_true(asker_take(asker, &answer));
	asker_done(asker);
}

static void test_nothing_to_tend(void **ctx)
{
	struct asker *asker;

	(void)ctx;
	assert_int_equal(asker_new(LOWEST, &asker), 0);
	assert_int_equal(asker_tend(asker, clock_monotonic()), USEC_INFINITY);
	asker_done(asker);
	asker_done(NULL);
}

/* Questions that nobody has asked yet go with it. */
static void test_end_with_questions(void **ctx)
{
	const struct asker_question q = question(1);
	struct asker *asker;

	(void)ctx;
	for (int tended = 0; tended < 2; tended++) {
		assert_int_equal(asker_new(LOWEST, &asker), 0);
		for (int i = 0; i < ASKER_ROOM; i++)
			assert_true(asker_put(asker, &q, clock_monotonic()));
		if (tended)
			asker_tend(asker, clock_monotonic());
		asker_done(asker);
	}
}

static size_t count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void *do_nothing(void *arg)
{
	return arg;
}

/* When nothing has been asked for a while they end, with their descriptors. */
static void test_threads_end(void **ctx)
{
	const struct asker_question q = question(1);
	struct asker_answer answer;
	struct asker *asker;
	pthread_t first;
	size_t before;

	(void)ctx;
	/* With the first thread of all a sanitizer starts one of its own. */
	assert_int_equal(pthread_create(&first, NULL, do_nothing, NULL), 0);
	assert_int_equal(pthread_join(first, NULL), 0);
	before = count_threads();
	assert_int_equal(asker_new(LOWEST, &asker), 0);
	assert_true(asker_put(asker, &q, clock_monotonic()));
	take(asker, &answer);
	while (count_threads() > before)
		poll(NULL, 0, 10);
	assert_true(asker_put(asker, &q, clock_monotonic()));
	take(asker, &answer);
	assert_int_equal(answer.result, -ENOENT);
	asker_done(asker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* While there are none of the others. */
		cmocka_unit_test(test_threads_end),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_answered_is_not_stuck),
		cmocka_unit_test(test_nothing_to_tend),
		cmocka_unit_test(test_end_with_questions),
	};

	return cmocka_run_group_tests_name("asker", tests, NULL, NULL);
}
