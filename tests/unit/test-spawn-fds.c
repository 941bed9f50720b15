/*
 * spawn: a child has exactly the descriptors of its plan, under their numbers.
 *
 * Plans are drawn at random from a table that is full of holes: sources that
 * lie where others are to go, one source several times, high ones, all of
 * them; the exec pipe of private children falls anywhere between.
 */
#include "spawn-run.h"

#define N_FILES 64
#define ROUNDS  80

/* Deterministic: a failure names its round, and every run has the same ones. */
static uint64_t random_state;

static unsigned draw(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state % below);
}

struct table {
	int files[N_FILES]; /* all different, at numbers as they fell; -EBADF: none */
	int report;         /* one of them, where the child writes */
};

/* Mostly low, where the child's own numbers are, some far up, some high. */
static int draw_number(void)
{
	switch (draw(4)) {
	case 0:
		return 3 + (int)draw(12);
	case 1:
		return 3 + (int)draw(250);
	case 2:
		return 300 + (int)draw(100);
	default:
		return LOW_LIMIT + (int)draw(400);
	}
}

static void table_fill(struct table *table)
{
	for (unsigned i = 0; i < N_FILES; i++) {
		_cleanup_close_ int file = report_file();

		assert_true(file >= 0);
		table->files[i] = fcntl(file, F_DUPFD_CLOEXEC, draw_number());
		assert_true(table->files[i] >= 0);
	}
	table->report = table->files[draw(N_FILES)];
}

static void table_clear(struct table *table)
{
	for (unsigned i = 0; i < N_FILES; i++)
		table->files[i] = fd_close(table->files[i]);
}

/* A source: a file of the table, at times one of ours below 3. */
static int draw_source(const struct table *table)
{
	return draw(8) == 0 ? (int)draw(3) : table->files[draw(N_FILES)];
}

static unsigned draw_plan(const struct table *table, int fds[SPAWN_FDS_MAX])
{
	static const unsigned sizes[] = {3, 3, 4, 8, 20, 70, 150, SPAWN_FDS_MAX};
	unsigned n = sizes[draw(ARRAY_SIZE(sizes))];

	for (unsigned i = 0; i < n; i++)
		fds[i] = draw_source(table);
	fds[1] = table->report;
	/* Some lie where they belong. */
	for (unsigned i = 0; i < N_FILES; i++)
		if (table->files[i] < (int)n && draw(2) == 0)
			fds[table->files[i]] = table->files[i];
	return n;
}

static void assert_has_exactly(
	const char *text, const int *fds, const struct stat *was, unsigned n)
{
	unsigned found = 0;

	for (const char *line = strstr(text, "\nfd "); line; line = strstr(line + 1, "\nfd "))
		found++;
	assert_int_equal(found, n);
	for (unsigned i = 0; i < n; i++)
		assert_true(report_says(text, "fd %u %ju:%ju", i, (uintmax_t)was[fds[i]].st_dev,
			(uintmax_t)was[fds[i]].st_ino));
}

static int n_open(void)
{
	int n = 0;

	for (int fd = 0; fd < REPORT_FDS; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void one_round(struct spawner *spawner)
{
	static struct stat was[REPORT_FDS];
	struct spawn_recipe recipe = reporting_recipe();
	_cleanup_free_ char *text = NULL;
	int fds[SPAWN_FDS_MAX], before;
	struct table table;
	struct run run;
	unsigned n;

	table_fill(&table);
	n = draw_plan(&table, fds);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fstat(fds[i], &was[fds[i]]), 0);
	before = n_open();

	assert_int_equal(run_start(spawner, &recipe, fds, n, own_env, &run), 0);
	assert_int_equal(run_finish(&run), 0);
	assert_true(run_executed(&run));
	assert_int_equal(n_open(), before);
	for (unsigned i = 0; i < n; i++)
		assert_true(fcntl(fds[i], F_GETFD) >= 0);

	text = report_text(table.report);
	assert_has_exactly(text, fds, was, n);
	table_clear(&table);
}

static void test_any_plan(void **ctx)
{
	struct spawner *spawner = new_spawner();

	(void)ctx;
	random_state = 0x9e3779b97f4a7c15;
	for (int i = 0; i < ROUNDS; i++) {
		print_message("round %d\r", i);
		one_round(spawner);
	}
	spawner_free(spawner);
}

/* 253 sockets of LISTEN_FDS and the three standard ones, all from high up. */
static void test_most_descriptors(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	static struct stat was[REPORT_FDS];
	_cleanup_free_ char *text = NULL;
	int fds[SPAWN_FDS_MAX];
	struct run run;

	(void)ctx;
	for (unsigned i = 0; i < SPAWN_FDS_MAX; i++) {
		_cleanup_close_ int file = report_file();

		fds[i] = fcntl(file, F_DUPFD_CLOEXEC, LOW_LIMIT);
		assert_true(fds[i] >= LOW_LIMIT);
		assert_int_equal(fstat(fds[i], &was[fds[i]]), 0);
	}
	assert_int_equal(run_start(spawner, &recipe, fds, SPAWN_FDS_MAX, own_env, &run), 0);
	assert_int_equal(run_finish(&run), 0);
	text = report_text(fds[1]);
	assert_has_exactly(text, fds, was, SPAWN_FDS_MAX);
	for (unsigned i = 0; i < SPAWN_FDS_MAX; i++)
		fd_close(fds[i]);
	spawner_free(spawner);
}

/* In a process of its own: close_range is hidden, and the spawner knows
 * it or finds out; the child closes one by one. */
static int close_one_by_one(bool known, bool may_unshare)
{
	static const struct fault faults[] = {
		{.nr = SYS_close_range, .error = EPERM, .any = true},
		{.nr = SYS_unshare, .error = EPERM, .any = true},
	};
	struct spawner *spawner = known ? NULL : new_spawner();

	for (size_t i = 0; i < (may_unshare ? 1 : 2); i++)
		if (fault_install(&faults[i]) < 0)
			return 77;
	if (known)
		spawner = new_spawner();
	random_state = 42;
	for (int i = 0; i < 5; i++) {
		struct spawn_recipe recipe = reporting_recipe();
		_cleanup_free_ char *text = NULL;
		int fds[SPAWN_FDS_MAX];
		struct table table;
		struct run run;
		unsigned n, found = 0;

		table_fill(&table);
		n = draw_plan(&table, fds);
		if (run_start(spawner, &recipe, fds, n, own_env, &run) < 0 ||
			run_finish(&run) < 0)
			return 1;
		text = report_text(table.report);
		for (const char *at = strstr(text, "\nfd "); at; at = strstr(at + 1, "\nfd "))
			found++;
		if (found != n)
			return 2;
		table_clear(&table);
	}
	return 0;
}

static void try_without(bool known, bool may_unshare)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0)
		_exit(close_one_by_one(known, may_unshare));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_without_close_range(void **ctx)
{
	(void)ctx;
	try_without(true, true);
	try_without(false, true);
}

/* An old container refuses that as well: children are born with a table of their own. */
static void test_without_unshare(void **ctx)
{
	(void)ctx;
	try_without(true, false);
}

/* Two at once: what one child is given is never seen by the other. */
static void test_children_do_not_see_each_others(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	struct run runs[20];
	int outs[20];

	(void)ctx;
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		outs[i] = report_file();
		assert_int_equal(run_start(spawner, &recipe, (int[]){outs[i], outs[i], outs[i]},
					 3, own_env, &runs[i]),
			0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		static struct stat was[REPORT_FDS];
		_cleanup_free_ char *text = NULL;

		assert_int_equal(run_finish(&runs[i]), 0);
		assert_int_equal(fstat(outs[i], &was[outs[i]]), 0);
		text = report_text(outs[i]);
		assert_has_exactly(text, (int[]){outs[i], outs[i], outs[i]}, was, 3);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++)
		fd_close(outs[i]);
	spawner_free(spawner);
}

/* The contract: what is planned stays open until the child says so, what was lent goes then. */
static void test_lent_descriptors_come_back(void **ctx)
{
	struct spawn_recipe recipe = reporting_recipe();
	struct spawner *spawner = new_spawner();
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int high = fcntl(null_fd, F_DUPFD_CLOEXEC, LOW_LIMIT + 1);
	const int fds[] = {high, high, high};
	int before = n_open();
	struct run run;

	(void)ctx;
	assert_int_equal(run_start(spawner, &recipe, fds, 3, own_env, &run), 0);
	assert_true(n_open() >= before + 1 + 3);
	assert_true(run_wait(&run, SPAWN_DETACHED) >= SPAWN_DETACHED);
	assert_true(n_open() <= before + 2);
	assert_int_equal(run_finish(&run), 0);
	assert_int_equal(n_open(), before);
	spawner_free(spawner);
}

static int raise_limit(void **ctx)
{
	struct rlimit limit;

	(void)ctx;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < REPORT_FDS)
		return -1;
	limit.rlim_cur = REPORT_FDS;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static int tests_of(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_plan),
		cmocka_unit_test(test_most_descriptors),
		cmocka_unit_test(test_without_close_range),
		cmocka_unit_test(test_without_unshare),
		cmocka_unit_test(test_children_do_not_see_each_others),
		cmocka_unit_test(test_lent_descriptors_come_back),
	};

	return cmocka_run_group_tests_name(name, tests, raise_limit, NULL);
}

int main(void)
{
	report_if_asked();
	own_path();
	return run_every_way(tests_of);
}
