/* orphan-search: those are found who have a mark whose hatchd is no more, and whatever the
 * process that looks for them does, the search is over in the end. */
#include "os/orphan_search.h"

#include "base/clock.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#define LOWEST 50

/* A pid that nobody has. */
#define DEAD 0x7ffffffe

static int open_program(const char *name)
{
	const char *build = getenv("builddir");
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", build ? build : ".", name);
	return open(name[0] == '/' ? name : path, O_PATH | O_CLOEXEC);
}

static struct orphan_search *new_search(int program)
{
	static int null = -1;
	struct orphan_search *search;

	if (null < 0)
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(orphan_search_new(program, null, LOWEST, &search), 0);
	assert_false(orphan_search_runs(search));
	return search;
}

static uint64_t start_of(pid_t pid)
{
	_cleanup_close_ int folder = process_open(pid);
	struct process_stat stat;

	assert_true(folder >= 0 && process_look(folder, &stat) == 0);
	return stat.start;
}

/* As if we were the master. */
static struct orphan_order make_order(uint32_t kind, uint64_t family)
{
	struct orphan_order order = {.kind = kind, .mark = {.family = family, .pid = getpid()}};

	order.mark.start = start_of(getpid());
	return order;
}

static void wait_for_news(struct orphan_search *search)
{
	struct pollfd p = {.fd = orphan_search_fd(search), .events = POLLIN};

	assert_int_equal(poll(&p, 1, 60000), 1);
}

static struct orphan_news take(struct orphan_search *search)
{
	struct orphan_news news;

	while (!orphan_search_take(search, clock_monotonic(), &news))
		wait_for_news(search);
	return news;
}

/* The next one, but for what other tests may have left. */
static struct orphan_news search_all(
	struct orphan_search *search, const struct orphan_order *order, struct orphan *ret)
{
	struct orphan_news news;

	memset(ret, 0, sizeof *ret);
	orphan_search_begin(search, order, clock_monotonic());
	assert_true(orphan_search_runs(search));
	while ((news = take(search)).kind == ORPHAN_FOUND)
		*ret = news.orphan;
	assert_int_equal(news.kind, ORPHAN_OVER);
	assert_false(orphan_search_runs(search));
	return news;
}

/* In the session that its mark names, which it makes, unless there is one. */
static _Noreturn void run_marked(struct mark mark, int ready)
{
	char entry[MARK_ENTRY_MAX];
	char *argv[] = {(char *)"sleep", (char *)"1000", NULL};
	char *envp[] = {
		entry, (char *)"HATCHD_SERVICE=upper", (char *)"HATCHD_CONNECTION=17", NULL};

	setsid();
	if (mark.session == 0)
		mark.session = getpid();
	mark_format(&mark, entry);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fcntl(ready, F_SETFD, FD_CLOEXEC);
	execve("/bin/sleep", argv, envp);
	_exit(1);
}

/* It runs when this returns: the pipe is closed by the exec. */
static pid_t start_marked(const struct mark *mark)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		run_marked(*mark, ready[1]);
	assert_true(pid > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_finds(void **ctx)
{
	struct orphan_order order = make_order(ORPHAN_LOOK, 0xabc0000 + (uint64_t)getpid());
	struct mark dead = {.family = order.mark.family, .pid = DEAD, .start = 1};
	pid_t pid = start_marked(&dead);
	struct orphan_search *search = new_search(open_program("hatchd-orphans"));
	struct orphan found;
	struct orphan_news over = search_all(search, &order, &found);

	(void)ctx;
	assert_int_equal(over.result, 0);
	assert_int_equal(over.n_found, 1);
	assert_int_equal(over.n_told, 0);
	assert_int_equal(found.pid, pid);
	assert_int_equal(found.uid, geteuid());
	assert_int_equal(found.connection, 17);
	assert_string_equal(found.service, "upper");
	assert_string_equal(found.command, "sleep");
	assert_true(found.age < 600 * USEC_PER_SEC);
	end_child(pid);
	over = search_all(search, &order, &found);
	assert_int_equal(over.n_found, 0);
	orphan_search_done(search);
}

/* Those of a hatchd that lives, of another family, and of a pid that was given anew. */
static void test_whose(void **ctx)
{
	struct orphan_order order = make_order(ORPHAN_LOOK, 0xabd0000 + (uint64_t)getpid());
	struct orphan_search *search = new_search(open_program("hatchd-orphans"));
	const struct {
		struct mark mark;
		uint32_t found;
	} cases[] = {
		{order.mark, 0},
		{{order.mark.family + 1, DEAD, 1, 0}, 0},
		{{order.mark.family, order.mark.pid, order.mark.start + 1, 0}, 1},
		{{order.mark.family, getppid(), 1, 0}, 1},
		{{order.mark.family, getppid(), start_of(getppid()), 0}, 0},
		/* Who has left the session of the child is on his own. */
		{{order.mark.family, DEAD, 1, getpid()}, 0},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid = start_marked(&cases[i].mark);
		struct orphan found;

		assert_int_equal(search_all(search, &order, &found).n_found, cases[i].found);
		end_child(pid);
	}
	orphan_search_done(search);
}

/* One that has ended, and for whom nobody has waited, serves nobody. */
static void test_zombie(void **ctx)
{
	struct orphan_order order = make_order(ORPHAN_LOOK, 0xabf0000 + (uint64_t)getpid());
	struct orphan_search *search = new_search(open_program("hatchd-orphans"));
	struct mark mark = {.family = order.mark.family, .pid = fork()};
	siginfo_t info;
	struct orphan found;
	pid_t pid;

	(void)ctx;
	if (mark.pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)mark.pid, &info, WEXITED | WNOWAIT), 0);
	mark.start = start_of(mark.pid);
	pid = start_marked(&mark);
	assert_int_equal(search_all(search, &order, &found).n_found, 1);
	end_child(pid);
	end_child(mark.pid);
	orphan_search_done(search);
}

/* However few descriptors there are: nobody is taken for dead because he could not be looked
 * at. */
static void test_shortage(void **ctx)
{
	struct orphan_order order = make_order(ORPHAN_LOOK, 0xac00000 + (uint64_t)getpid());
	struct mark mark = {.family = order.mark.family, .pid = getppid()};
	struct orphan_search *search = new_search(open_program("hatchd-orphans"));
	pid_t pid, pids[HELPER_PIDS_MAX];

	(void)ctx;
	mark.start = start_of(mark.pid);
	pid = start_marked(&mark);
	for (rlim_t n = 4; n < 16; n++) {
		struct rlimit few = {n, n};
		struct orphan_news news;

		orphan_search_begin(search, &order, clock_monotonic());
		assert_true(orphan_search_pids(search, pids) > 0);
		/* It may have been quicker: it has ended, or is another user already. */
		if (prlimit(pids[0], RLIMIT_NOFILE, &few, NULL) < 0)
			assert_true(errno == ESRCH || errno == EPERM);
		while ((news = take(search)).kind == ORPHAN_FOUND)
			assert_int_not_equal(news.orphan.pid, pid);
		assert_int_equal(news.n_found, 0);
	}
	end_child(pid);
	orphan_search_done(search);
}

static void test_ends(void **ctx)
{
	struct orphan_order order = make_order(ORPHAN_END, 0xabe0000 + (uint64_t)getpid());
	struct mark dead = {.family = order.mark.family, .pid = DEAD, .start = 1};
	pid_t pid = start_marked(&dead);
	struct orphan_search *search = new_search(open_program("hatchd-orphans"));
	struct orphan found;
	int status;

	(void)ctx;
	strcpy(order.service, "lower");
	assert_int_equal(search_all(search, &order, &found).n_told, 0);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	strcpy(order.service, "upper");
	assert_int_equal(search_all(search, &order, &found).n_told, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	pid = start_marked(&dead);
	order.kind = ORPHAN_KILL;
	order.service[0] = '\0';
	assert_int_equal(search_all(search, &order, &found).n_told, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	orphan_search_done(search);
}

static void test_no_program(void **ctx)
{
	struct orphan_search *search = new_search(-ENOENT);
	struct orphan_order order = make_order(ORPHAN_LOOK, 1);
	struct orphan found;

	(void)ctx;
	assert_int_equal(search_all(search, &order, &found).result, -ENOENT);
	orphan_search_done(search);
}

/* It ends at once. */
static void test_dies(void **ctx)
{
	struct orphan_search *search = new_search(open_program("/bin/false"));
	struct orphan_order order = make_order(ORPHAN_LOOK, 1);
	struct orphan found;

	(void)ctx;
	assert_int_equal(search_all(search, &order, &found).result, -ECHILD);
	orphan_search_done(search);
}

/* It reads what it is told, and says nothing. */
static void test_hangs(void **ctx)
{
	struct orphan_search *search = new_search(open_program("/bin/cat"));
	struct orphan_order order = make_order(ORPHAN_LOOK, 1);
	uint64_t now = clock_monotonic();
	struct orphan_news news;

	(void)ctx;
	orphan_search_begin(search, &order, now);
	assert_int_equal(orphan_search_tend(search, now), now + ORPHAN_PATIENCE);
	assert_false(orphan_search_take(search, now + ORPHAN_PATIENCE - 1, &news));
	assert_true(orphan_search_take(search, now + ORPHAN_PATIENCE, &news));
	assert_int_equal(news.kind, ORPHAN_OVER);
	assert_int_equal(news.result, -ETIME);
	assert_false(orphan_search_runs(search));
	orphan_search_done(search);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds),
		cmocka_unit_test(test_whose),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_shortage),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_dies),
		cmocka_unit_test(test_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
