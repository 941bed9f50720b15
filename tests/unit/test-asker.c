/* asker: every question has an answer, or is known to be held; groups are not in each
 * other's way. */
#include "os/asker.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOWEST 100

/* Seconds for all tests; they need a few. */
#define PATIENCE 60

/* What one group may have of an empty room, see asker.h. */
#define SHARE(room) (((room) + 2) / 3)

static int open_program(void)
{
	const char *build = getenv("builddir");
	char path[4096];

	snprintf(path, sizeof path, "%s/hatchd-ask", build ? build : ".");
	return open(path, O_PATH | O_CLOEXEC);
}

static int null_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

static struct asker *new_asker_of(int program)
{
	struct asker *asker;

	assert_true(program >= 0);
	assert_int_equal(asker_new(program, null_fd(), LOWEST, &asker), 0);
	return asker;
}

static struct asker *new_asker(void)
{
	return new_asker_of(open_program());
}

/* As the master does it: tend at every turn, sleep until something is due. */
static void turn(struct asker *asker)
{
	struct pollfd p = {.fd = asker_fd(asker), .events = POLLIN};
	uint64_t now = clock_monotonic(), due = asker_tend(asker, now);

	poll(&p, 1, due == USEC_INFINITY ? -1 : due > now ? (int)((due - now) / 1000 + 1) : 0);
}

static void take(struct asker *asker, struct asker_answer *ret)
{
	while (!asker_take(asker, clock_monotonic(), ret))
		turn(asker);
}

/* Nobody has a connection from port 0 to port 0. */
static struct asker_question question(uint64_t id, uint64_t group)
{
	struct asker_question q = {
		.owner = &take,
		.id = id,
		.group = group,
		.handle = {.cookie = id},
	};

	q.local = (struct addr){.kind = ADDR_TCP, .in.sin_family = AF_INET};
	q.local.len = sizeof q.local.in;
	q.peer = q.local;
	return q;
}

static bool put(struct asker *asker, uint64_t id, uint64_t group)
{
	const struct asker_question q = question(id, group);

	return asker_put(asker, &q);
}

static void test_answer(void **ctx)
{
	struct asker_answer answer;
	struct asker *asker = new_asker();

	(void)ctx;
	assert_true(asker_fd(asker) >= LOWEST);
	assert_false(asker_take(asker, clock_monotonic(), &answer));
	assert_true(put(asker, 4711, 1));
	/* Nobody is at it before asker_tend(). */
	assert_int_equal(asker_pid(asker), -1);
	take(asker, &answer);
	assert_true(asker_pid(asker) > 0);
	assert_ptr_equal(answer.owner, &take);
	assert_int_equal(answer.id, 4711);
	assert_int_equal(answer.result, -ENOENT);
	assert_false(asker_take(asker, clock_monotonic(), &answer));
	assert_false(asker_is_held(asker, &take, 4711));
	assert_int_equal(asker_trouble(asker), 0);
	asker_done(asker);
}

/* Each once, and room for as many again. */
static void test_full(void **ctx)
{
	struct asker *asker = new_asker();
	struct asker_answer answer;

	(void)ctx;
	for (int round = 0; round < 3; round++) {
		bool seen[ASKER_ROOM] = {false};
		uint64_t n = 0;

		/* Each of another group, so that there is room to the last. */
		while (put(asker, n + 1, n + 1))
			n++;
		assert_int_equal(n, ASKER_ROOM);
		for (size_t i = 0; i < n; i++) {
			take(asker, &answer);
			assert_in_range(answer.id, 1, n);
			assert_false(seen[answer.id - 1]);
			seen[answer.id - 1] = true;
		}
		assert_false(asker_take(asker, clock_monotonic(), &answer));
	}
	asker_done(asker);
}

/* However much one group wants, the others find room. */
static void test_share(void **ctx)
{
	struct asker *asker = new_asker();
	struct asker_answer answer;
	uint64_t n = 0;

	(void)ctx;
	while (put(asker, n + 1, 1))
		n++;
	assert_in_range(n, SHARE(ASKER_ROOM) - 1, SHARE(ASKER_ROOM) + 1);
	assert_true(put(asker, n + 1, 2));
	for (uint64_t i = 0; i <= n; i++)
		take(asker, &answer);
	asker_done(asker);
}

static void test_nothing_to_tend(void **ctx)
{
	struct asker *asker = new_asker();

	(void)ctx;
	assert_int_equal(asker_tend(asker, clock_monotonic()), USEC_INFINITY);
	assert_int_equal(asker_pid(asker), -1);
	asker_done(asker);
	asker_done(NULL);
}

/* Questions that nobody has asked yet go with it, and the process too. */
static void test_end_with_questions(void **ctx)
{
	(void)ctx;
	for (int tended = 0; tended < 2; tended++) {
		struct asker *asker = new_asker();
		uint64_t n = 0;

		while (put(asker, n + 1, n + 1))
			n++;
		if (tended)
			asker_tend(asker, clock_monotonic());
		asker_done(asker);
	}
	/* Reaped here, if it was not. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	assert_int_equal(errno, ECHILD);
}

/* It is started again, and what it has not answered is answered by the next. */
static void test_killed(void **ctx)
{
	struct asker *asker = new_asker();
	struct asker_answer answer;
	pid_t pid;

	(void)ctx;
	assert_true(put(asker, 1, 1));
	take(asker, &answer);
	for (uint64_t id = 2; id < 6; id++) {
		pid = asker_pid(asker);
		assert_int_equal(kill(pid, SIGSTOP), 0);
		assert_true(put(asker, id, 1));
		assert_true(put(asker, id + 100, 2));
		asker_tend(asker, clock_monotonic());
		assert_int_equal(kill(pid, SIGKILL), 0);
		take(asker, &answer);
		assert_int_equal(answer.id, id);
		assert_int_equal(answer.result, -ENOENT);
		take(asker, &answer);
		assert_int_equal(answer.id, id + 100);
		assert_int_not_equal(asker_pid(asker), pid);
		assert_int_equal(asker_trouble(asker), -ECHILD);
		assert_int_equal(asker_trouble(asker), 0);
		/* No zombie stays. */
		while (waitpid(pid, NULL, WNOHANG) == 0)
			turn(asker);
		assert_int_equal(errno, ECHILD);
	}
	asker_done(asker);
}

/* One that does not run is no reason to judge anybody. */
static void test_stopped(void **ctx)
{
	struct asker *asker = new_asker();
	struct asker_answer answer;
	uint64_t now;
	pid_t pid;

	(void)ctx;
	assert_true(put(asker, 1, 1));
	take(asker, &answer);
	pid = asker_pid(asker);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_true(put(asker, 2, 1));
	now = clock_monotonic();
	asker_tend(asker, now);
	assert_false(asker_is_held(asker, &take, 2));
	/* After a while it is given up. */
	assert_true(asker_tend(asker, now + 9 * USEC_PER_SEC) <= now + 10 * USEC_PER_SEC);
	assert_int_equal(asker_pid(asker), pid);
	asker_tend(asker, now + 10 * USEC_PER_SEC);
	assert_int_equal(asker_pid(asker), -1);
	assert_int_equal(asker_trouble(asker), -ETIME);
	asker_tend(asker, now + 11 * USEC_PER_SEC);
	assert_true(asker_pid(asker) > 0);
	take(asker, &answer);
	assert_int_equal(answer.id, 2);
	asker_done(asker);
}

/* What a question comes to while so many descriptors are allowed. */
static int ask_with(struct asker *asker, uint64_t id, rlim_t descriptors)
{
	struct asker_answer answer;
	struct rlimit limit;

	if (prlimit(asker_pid(asker), RLIMIT_NOFILE, NULL, &limit) < 0)
		return 1;
	limit.rlim_cur = descriptors;
	if (prlimit(asker_pid(asker), RLIMIT_NOFILE, &limit, NULL) < 0)
		return 2;
	if (!put(asker, id, 1))
		return 3;
	take(asker, &answer);
	return answer.result;
}

/* Two of each kind, so that no thread keeps what it had. */
static int run_short_of_descriptors(int program)
{
	struct asker *asker = new_asker_of(program);
	struct asker_answer answer;
	int r = -ENOENT;

	put(asker, 1, 1);
	take(asker, &answer);
	for (uint64_t id = 2; id < 10 && r == -ENOENT; id += 2) {
		if (ask_with(asker, id, 3) != -EMFILE)
			return 4;
		r = ask_with(asker, id + 1, 64);
	}
	asker_done(asker);
	return r == -ENOENT ? 0 : 5;
}

/* A shortage is over when it is over.  Limits of another user's process are not for
 * everybody to set, so this one becomes the same. */
static void test_no_descriptors(void **ctx)
{
	int program = open_program(), status; /* it may lie where only we can go */
	pid_t pid;

	(void)ctx;
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && setresuid(65533, 65533, 65533) < 0)
			_exit(6);
		_exit(run_short_of_descriptors(program));
	}
	close(program);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* It is said why, and tried again, ever more rarely. */
static void test_no_program(void **ctx)
{
	struct asker *asker;
	uint64_t now = clock_monotonic(), due, pause = 0;

	(void)ctx;
	assert_int_equal(asker_new(-ENOENT, null_fd(), LOWEST, &asker), 0);
	assert_true(put(asker, 1, 1));
	for (int i = 0; i < 12; i++) {
		due = asker_tend(asker, now);
		assert_int_equal(asker_trouble(asker), -ENOENT);
		assert_true(due - now >= pause);
		assert_in_range(due - now, 100 * USEC_PER_MSEC, 30 * USEC_PER_SEC);
		pause = due - now;
		/* Not before its time. */
		assert_int_equal(asker_tend(asker, now), due);
		assert_int_equal(asker_trouble(asker), 0);
		now = due;
	}
	assert_int_equal(pause, 30 * USEC_PER_SEC);
	assert_false(asker_is_held(asker, &take, 1));
	asker_done(asker);
}

/* A program that is another one: it ends at once, and that is no answer. */
static void test_wrong_program(void **ctx)
{
	struct asker_answer answer;
	struct asker *asker;

	(void)ctx;
	assert_int_equal(
		asker_new(open("/bin/true", O_PATH | O_CLOEXEC), null_fd(), LOWEST, &asker), 0);
	assert_true(put(asker, 1, 1));
	for (int i = 0; i < 3; i++) {
		int trouble;

		while ((trouble = asker_trouble(asker)) == 0) {
			assert_false(asker_take(asker, clock_monotonic(), &answer));
			turn(asker);
		}
		assert_int_equal(trouble, -ECHILD);
	}
	asker_done(asker);
}

static void test_words(void **ctx)
{
	static const int known[] = {-ENOENT, -ECHILD, -ETIME, -EBADMSG, -EBUSY};
	char why[HELPER_WHY_MAX];

	(void)ctx;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		assert_non_null(strstr(asker_explain(known[i], why), "hatchd-ask"));
	assert_string_equal(asker_explain(-EMFILE, why), strerror(EMFILE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_nothing_to_tend),
		cmocka_unit_test(test_end_with_questions),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_wrong_program),
		cmocka_unit_test(test_words),
	};

	/* A question that nobody answers would be waited for. */
	alarm(PATIENCE);
	return cmocka_run_group_tests_name("asker", tests, NULL, NULL);
}
