/* child: the table of living programs, and how their ends are taken. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "master/child.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define HIGH     300
#define PATIENCE 30000 /* ms */

struct ends {
	struct child_table *table;
	unsigned n;
	struct child_end last;
	struct child *children[200];
};

static void on_end(void *userdata, struct child *child, const struct child_end *end)
{
	struct ends *ends = userdata;

	ends->children[ends->n++] = child;
	ends->last = *end;
	child_free(ends->table, child);
}

static void make_table(struct ends *ends, size_t max)
{
	*ends = (struct ends){0};
	assert_int_equal(child_table_new(max, HIGH, on_end, ends, &ends->table), 0);
}

/* A process of ours that lives until `gate` is closed, then ends as asked. */
static pid_t start(const int gate[2], int status, int sig)
{
	pid_t pid = fork();
	char byte;

	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(60);
		close(gate[1]);
		while (read(gate[0], &byte, 1) > 0)
			;
		if (sig)
			raise(sig);
		_exit(status);
	}
	assert_true(pid > 0);
	return pid;
}

static struct child *add(struct ends *ends, pid_t pid)
{
	struct child *child = child_new(ends->table);

	assert_non_null(child);
	child->pid = pid;
	child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(child->pidfd >= 0);
	child_watch(ends->table, child, clock_monotonic());
	child_begin(ends->table, child);
	return child;
}

static bool readable(const struct child_table *table, int ms)
{
	struct pollfd p = {.fd = child_table_fd(table), .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

static void reap_all(struct ends *ends, unsigned n)
{
	while (ends->n < n) {
		assert_true(readable(ends->table, PATIENCE));
		child_table_reap(ends->table, clock_monotonic());
	}
}

static void open_gate(int gate[2])
{
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
}

/* ------------------------------------------------------------------------ */

static void test_bound(void **ctx)
{
	struct child *a, *b;
	struct ends ends;

	(void)ctx;
	make_table(&ends, 2);
	assert_true(child_table_fd(ends.table) >= HIGH);
	a = child_new(ends.table);
	b = child_new(ends.table);
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	assert_null(child_new(ends.table));
	assert_int_equal(child_table_used(ends.table), 2);

	child_free(ends.table, a);
	assert_int_equal(child_table_used(ends.table), 1);
	assert_ptr_equal(child_new(ends.table), a);
	child_free(ends.table, b);
	child_free(ends.table, a);
	assert_int_equal(child_table_used(ends.table), 0);
	assert_null(child_table_free(ends.table));
}

static void test_how_children_end(void **ctx)
{
	static const struct {
		int status, sig;
		bool killed;
	} cases[] = {{0, 0, false}, {3, 0, false}, {0, SIGTERM, true}, {0, SIGKILL, true}};
	struct rlimit none = {0, 0};

	(void)ctx;
	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ends ends;
		int gate[2];

		make_table(&ends, 4);
		open_gate(gate);
		add(&ends, start(gate, cases[i].status, cases[i].sig));
		assert_false(readable(ends.table, 0));
		fd_close(gate[1]);
		reap_all(&ends, 1);
		assert_int_equal(ends.last.outcome.killed, cases[i].killed);
		assert_int_equal(ends.last.outcome.status,
			cases[i].killed ? cases[i].sig : cases[i].status);
		assert_int_equal(child_table_used(ends.table), 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
		fd_close(gate[0]);
		child_table_free(ends.table);
	}
}

/* More than may stay low, and more than one wake-up takes: each end comes once. */
static void test_many(void **ctx)
{
	enum { N = 150 };
	struct child *children[N];
	struct ends ends;
	unsigned low = 0;
	int gate[2];

	(void)ctx;
	make_table(&ends, N);
	open_gate(gate);
	for (unsigned i = 0; i < N; i++)
		children[i] = add(&ends, start(gate, 0, 0));
	for (unsigned i = 0; i < N; i++)
		low += children[i]->pidfd < HIGH;
	assert_true(low > 0 && low <= 64);
	/* The youngest are the low ones. */
	assert_true(children[N - 1]->pidfd < HIGH);
	assert_true(children[0]->pidfd >= HIGH);

	fd_close(gate[1]);
	reap_all(&ends, N);
	assert_int_equal(ends.n, N);
	for (unsigned i = 0; i < N; i++)
		for (unsigned j = 0; j < i; j++)
			assert_ptr_not_equal(ends.children[i], ends.children[j]);
	assert_int_equal(child_table_used(ends.table), 0);
	assert_false(readable(ends.table, 0));
	fd_close(gate[0]);
	child_table_free(ends.table);
}

/* Ours is closed, somebody else holds a copy: it does not wake us any more. */
static void test_copies_elsewhere(void **ctx)
{
	struct ends ends;
	struct child *child;
	int gate[2], copy;

	(void)ctx;
	make_table(&ends, 4);
	open_gate(gate);
	child = add(&ends, start(gate, 0, 0));
	copy = fcntl(child->pidfd, F_DUPFD_CLOEXEC, 0);
	fd_close(gate[1]);
	reap_all(&ends, 1);
	assert_false(readable(ends.table, 0));
	fd_close(copy);
	fd_close(gate[0]);
	child_table_free(ends.table);
}

static void test_young_ones_in_their_order(void **ctx)
{
	struct child *a, *b, *c;
	struct ends ends;
	int gate[2];

	(void)ctx;
	make_table(&ends, 4);
	open_gate(gate);
	assert_null(child_table_young(ends.table));
	a = add(&ends, start(gate, 0, 0));
	b = add(&ends, start(gate, 0, 0));
	c = add(&ends, start(gate, 0, 0));
	assert_ptr_equal(child_table_young(ends.table), a);
	child_announced(ends.table, a);
	assert_true(a->announced);
	assert_ptr_equal(child_table_young(ends.table), b);
	kill(b->pid, SIGKILL);
	reap_all(&ends, 1);
	assert_ptr_equal(child_table_young(ends.table), c);
	child_announced(ends.table, c);
	assert_null(child_table_young(ends.table));
	fd_close(gate[1]);
	reap_all(&ends, 3);
	fd_close(gate[0]);
	child_table_free(ends.table);
}

/* Traces `pid` until it is killed; says so on `ready`. */
static pid_t start_tracer(pid_t pid, int ready, int gate)
{
	pid_t tracer = fork();

	if (tracer == 0) {
		alarm(60);
		close(gate);
		if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
			_exit(77);
		if (write(ready, "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(tracer > 0);
	return tracer;
}

/*
 * Its end is its tracer's until that lets go: the pidfd is readable all that
 * time, and must not wake us all that time.
 */
static void test_traced_zombie_makes_no_busy_loop(void **ctx)
{
	_cleanup_close_ int pidfd = -EBADF;
	int gate[2], ready[2], status;
	struct pollfd p = {.events = POLLIN};
	struct child *child;
	struct ends ends;
	pid_t tracer;
	uint64_t now;
	char byte;

	(void)ctx;
	make_table(&ends, 4);
	open_gate(gate);
	open_gate(ready);
	child = add(&ends, start(gate, 5, 0));
	pidfd = fcntl(child->pidfd, F_DUPFD_CLOEXEC, 0);
	tracer = start_tracer(child->pid, ready[1], gate[1]);
	fd_close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		print_message("tracing is not allowed here\n");
		fd_close(gate[1]);
		reap_all(&ends, 1);
		waitpid(tracer, &status, 0);
		skip();
	}

	fd_close(gate[1]);
	p.fd = pidfd;
	assert_int_equal(poll(&p, 1, PATIENCE), 1);
	now = clock_monotonic();
	child_table_reap(ends.table, now);
	assert_int_equal(ends.n, 0);
	assert_false(readable(ends.table, 0));
	assert_true(child_table_retry_due(ends.table) > now);
	assert_true(child_table_retry_due(ends.table) < USEC_INFINITY);

	/* Too early: nothing; in time, but still traced: late again. */
	child_table_retry(ends.table, now);
	assert_false(readable(ends.table, 0));
	now = child_table_retry_due(ends.table);
	child_table_retry(ends.table, now);
	child_table_reap(ends.table, now);
	assert_int_equal(ends.n, 0);
	assert_false(readable(ends.table, 0));

	kill(tracer, SIGKILL);
	assert_int_equal(waitpid(tracer, &status, 0), tracer);
	child_table_retry(ends.table, child_table_retry_due(ends.table));
	reap_all(&ends, 1);
	assert_int_equal(ends.last.outcome.status, 5);
	assert_true(child_table_retry_due(ends.table) == USEC_INFINITY);
	fd_close(gate[0]);
	fd_close(ready[0]);
	child_table_free(ends.table);
}

/* Who is due first is first, and who has ended is not due any more. */
static void test_due(void **ctx)
{
	struct child *children[3];
	struct ends ends;
	int gate[2];

	(void)ctx;
	make_table(&ends, 4);
	open_gate(gate);
	assert_true(child_table_due(ends.table) == USEC_INFINITY);
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = add(&ends, start(gate, 0, 0));
		child_set_due(ends.table, children[i], 100 - i);
	}
	assert_int_equal(child_table_due(ends.table), 98);
	assert_null(child_table_overdue(ends.table, 97));
	assert_ptr_equal(child_table_overdue(ends.table, 98), children[2]);
	child_set_due(ends.table, children[2], 200);
	assert_ptr_equal(child_table_overdue(ends.table, 300), children[1]);
	child_set_due(ends.table, children[1], USEC_INFINITY);
	assert_ptr_equal(child_table_overdue(ends.table, 300), children[0]);

	fd_close(gate[1]);
	reap_all(&ends, 3);
	assert_true(child_table_due(ends.table) == USEC_INFINITY);
	fd_close(gate[0]);
	child_table_free(ends.table);
}

/* The whole of its process group, or itself while it has none. */
static void test_signals(void **ctx)
{
	struct child *child;
	struct ends ends;
	int gate[2];

	(void)ctx;
	for (int leads = 0; leads < 2; leads++) {
		make_table(&ends, 1);
		open_gate(gate);
		child = add(&ends, start(gate, 0, 0));
		if (leads)
			assert_int_equal(setpgid(child->pid, child->pid), 0);
		child_signal(child, SIGTERM);
		reap_all(&ends, 1);
		assert_true(ends.last.outcome.killed);
		assert_int_equal(ends.last.outcome.status, SIGTERM);
		fd_close(gate[1]);
		fd_close(gate[0]);
		child_table_free(ends.table);
	}
}

static void test_somebody_else_took_it(void **ctx)
{
	struct child *child;
	struct ends ends;
	int gate[2];

	(void)ctx;
	make_table(&ends, 4);
	open_gate(gate);
	child = add(&ends, start(gate, 0, 0));
	fd_close(gate[1]);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	reap_all(&ends, 1);
	assert_false(ends.last.outcome.killed);
	assert_int_equal(ends.last.outcome.status, 255);
	fd_close(gate[0]);
	child_table_free(ends.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_how_children_end),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_copies_elsewhere),
		cmocka_unit_test(test_young_ones_in_their_order),
		cmocka_unit_test(test_traced_zombie_makes_no_busy_loop),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_somebody_else_took_it),
	};

	return cmocka_run_group_tests_name("child-table", tests, NULL, NULL);
}
