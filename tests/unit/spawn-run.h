/*
 * spawn-run: start children by os/spawn, for the tests of it.
 *
 * Every test runs in four ways: memory shared or private, clone3 there or
 * hidden by a filter.  A filter cannot be taken off again, so each way is a
 * process of its own.  The program that is started is the test itself, which
 * then reports what it finds: descriptors, limits, signals, environment.
 */
#ifndef HATCHD_TESTS_SPAWN_RUN_H
#define HATCHD_TESTS_SPAWN_RUN_H

#include "base/fd.h"
#include "base/own.h"
#include "os/spawn.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Longest wait for anything, in looks of a millisecond. */
#define PATIENCE 30000

/* Numbers of descriptors that a child looks at. */
#define REPORT_FDS 2048

/* ------------------------------------------------------------- faults */

/* A system call that fails from now on, here and in every child. */
struct fault {
	int nr;
	int error; /* 0: pretends to have succeeded */
	bool any;  /* whatever its first argument is; else only with `first` */
	uint32_t first;
};

/* A list of them ends with a number below 0. */
#define NO_FAULT         \
	{                \
		.nr = -1 \
	}

static inline int fault_install(const struct fault *fault)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)fault->nr, 0, fault->any ? 1 : 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fault->first, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)fault->error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter whatever[] = {
		code[0],
		code[1],
		code[4],
		code[5],
	};
	struct sock_fprog program = {
		.len = fault->any ? ARRAY_SIZE(whatever) : ARRAY_SIZE(code),
		.filter = fault->any ? whatever : code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

/* ----------------------------------------------------------------- ways */

struct way {
	const char *name;
	enum spawn_mode mode;
	bool hide_clone3;
};

static const struct way spawn_ways[] = {
	{"shared memory, clone3", SPAWN_SHARED, false},
	{"private memory, clone3", SPAWN_PRIVATE, false},
	{"shared memory, clone", SPAWN_SHARED, true},
	{"private memory, clone", SPAWN_PRIVATE, true},
};

/* In force in this process. */
static const struct way *spawn_way = spawn_ways;

/* Connections and the like stay below; what is from here on is not copied. */
#define LOW_LIMIT 512

static inline struct spawner *new_spawner(void)
{
	struct spawner_setup setup = {.mode = spawn_way->mode, .low_limit = LOW_LIMIT};
	struct spawner *spawner;

	if (spawner_new(&setup, &spawner) < 0)
		return NULL;
	spawner_set_fd_limit(spawner, REPORT_FDS);
	return spawner;
}

/*
 * Every signal as in a fresh process.  A background job ignores two, nohup one,
 * and make 4.3 those that libc keeps to itself, hence the raw call.
 */
static inline void signals_reset(void)
{
	static const uint64_t by_default[8];
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, by_default, NULL, sizeof(uint64_t));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static inline int run_way(const struct way *way, int (*tests)(const char *name))
{
	struct fault hidden = {.nr = SYS_clone3, .error = ENOSYS, .any = true};
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		spawn_way = way;
		signals_reset();
		if (way->hide_clone3 && fault_install(&hidden) < 0)
			exit(77);
		exit(tests(way->name));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

/* The exit status for main(). */
static inline int run_every_way(int (*tests)(const char *name))
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(spawn_ways); i++) {
		int r = run_way(&spawn_ways[i], tests);

		if (r == 77)
			printf("skipped: %s (no filter may be set here)\n", spawn_ways[i].name);
		else if (r != 0)
			failed = 1;
	}
	return failed;
}

/* --------------------------------------------------------------- children */

struct run {
	struct spawner *spawner;
	struct spawn_slot *slot;
	pid_t pid;
	int pidfd;
	struct spawn_report report;
	siginfo_t end;
};

/* 0, or what spawn_slot_start() says; `env` is a list ended by NULL. */
static inline int run_start(struct spawner *spawner, const struct spawn_recipe *recipe,
	const int *fds, unsigned n_fds, char *const *env, struct run *ret)
{
	struct spawn_plan *plan;
	int r;

	*ret = (struct run){.spawner = spawner, .slot = spawner_take(spawner), .pidfd = -EBADF};
	if (!ret->slot)
		return -EBUSY;
	plan = spawn_slot_plan(ret->slot);
	plan->recipe = recipe;
	memcpy(plan->fds, fds, n_fds * sizeof *fds);
	plan->n_fds = n_fds;
	for (; *env; env++)
		plan->envp[plan->n_env++] = *env;
	r = spawn_slot_start(spawner, ret->slot, ret, &ret->pid, &ret->pidfd);
	if (r < 0)
		spawn_slot_cancel(spawner, ret->slot);
	return r;
}

/* Wait for the state or a later one, or for the end of the child.  -1: it never came. */
static inline int run_wait(const struct run *run, enum spawn_state wanted)
{
	struct pollfd p = {.fd = run->pidfd, .events = POLLIN};

	for (int i = 0; i < PATIENCE; i++) {
		enum spawn_state state = spawn_slot_poll(run->slot);

		if (state >= wanted)
			return (int)state;
		if (poll(&p, 1, 1) > 0) {
			spawn_slot_poll(run->slot);
			return SPAWN_DONE;
		}
	}
	return -1;
}

/* Wait for the child's end and reap it: waitid's answer is in run->end. */
static inline int run_reap(struct run *run)
{
	struct pollfd p = {.fd = run->pidfd, .events = POLLIN};

	if (poll(&p, 1, PATIENCE) != 1)
		return -ETIME;
	if (waitid(P_PIDFD, (id_t)run->pidfd, &run->end, WEXITED) < 0)
		return -errno;
	run->pidfd = fd_close(run->pidfd);
	return 0;
}

/* Until the slot is free and the child is gone. */
static inline int run_finish(struct run *run)
{
	if (run_wait(run, SPAWN_DONE) < 0)
		return -ETIME;
	run->report = spawn_slot_reclaim(run->spawner, run->slot);
	return run_reap(run);
}

static inline bool run_executed(const struct run *run)
{
	return run->report.step == SPAWN_EXEC && run->report.error == 0;
}

static inline bool run_exited(const struct run *run, int status)
{
	return run->end.si_code == CLD_EXITED && run->end.si_status == status;
}

/* ------------------------------------------------------- what the child finds */

/* Environment of a child: report to descriptor 1. */
#define REPORT "SPAWN_TEST_REPORT=1"

static inline void report_status(FILE *out)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[512];

	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "Sig", 3) == 0 || strncmp(line, "Cap", 3) == 0 ||
			strncmp(line, "ShdPnd", 6) == 0)
			fputs(line, out);
	if (file)
		fclose(file);
}

static inline void report_limits(FILE *out)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		fprintf(out, "nofile %ju %ju\n", (uintmax_t)limit.rlim_cur,
			(uintmax_t)limit.rlim_max);
}

static inline void report_descriptors(FILE *out, const struct stat *st, const int *flags)
{
	for (int fd = 0; fd < REPORT_FDS; fd++)
		if (flags[fd] >= 0)
			fprintf(out, "fd %d %ju:%ju%s\n", fd, (uintmax_t)st[fd].st_dev,
				(uintmax_t)st[fd].st_ino,
				flags[fd] & FD_CLOEXEC ? " cloexec" : "");
}

extern char **environ;

/* Being started by ourselves: tell, and end.  First thing in main(). */
static inline void report_if_asked(void)
{
	static struct stat st[REPORT_FDS];
	static int flags[REPORT_FDS];
	char cwd[PATH_MAX];
	mode_t mask;
	FILE *out;

	if (!getenv("SPAWN_TEST_REPORT"))
		return;
	for (int fd = 0; fd < REPORT_FDS; fd++) {
		flags[fd] = fcntl(fd, F_GETFD);
		if (flags[fd] >= 0)
			fstat(fd, &st[fd]);
	}

	out = fdopen(1, "w");
	if (!out)
		_exit(1);
	mask = umask(0);
	fprintf(out, "pid %d\nsid %d\numask %03o\n", getpid(), getsid(0), mask);
	fprintf(out, "cwd %s\n", getcwd(cwd, sizeof cwd) ? cwd : "?");
	fprintf(out, "nice %d\n", getpriority(PRIO_PROCESS, 0));
	for (char **entry = environ; *entry; entry++)
		fprintf(out, "env %s\n", *entry);
	report_descriptors(out, st, flags);
	report_limits(out);
	report_status(out);
	fprintf(out, "end\n");
	fflush(out);
	_exit(0);
}

/* A copy of this program that every user may run, wherever the build lies. */
static char own_copy[] = "/tmp/hatchd-test-XXXXXX";
static pid_t own_copy_of; /* who made it, and removes it */

static inline void remove_own_copy(void)
{
	if (own_copy_of == getpid())
		unlink(own_copy);
}

static inline int make_own_copy(void)
{
	_cleanup_close_ int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int to = mkostemp(own_copy, O_CLOEXEC);
	struct stat st;

	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		return -errno;
	own_copy_of = getpid();
	atexit(remove_own_copy);
	for (off_t at = 0; at < st.st_size;)
		if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
			return -EIO;
	return fchmod(to, 0755) < 0 ? -errno : 0;
}

static inline char *own_path(void)
{
	if (own_copy_of == 0 && make_own_copy() < 0)
		fail_msg("no copy of the test program in /tmp");
	return own_copy;
}

static char *const own_argv[] = {"report", NULL};
static char *const own_env[] = {REPORT, NULL};

/* Reports, and lives in /. */
static inline struct spawn_recipe reporting_recipe(void)
{
	return (struct spawn_recipe){
		.path = own_path(),
		.clear_capabilities = true,
		.argv = own_argv,
		.directory = "/",
		.umask = 022,
		.core = {.resource = RLIMIT_CORE, .soft = 0, .hard = RLIM_INFINITY},
	};
}

/* Where a report goes, and how it is read. */
static inline int report_file(void)
{
	return memfd_create("report", MFD_CLOEXEC);
}

static inline char *report_text(int fd)
{
	char *text = NULL;
	size_t len;

	if (lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, 1 << 20, &text, &len) < 0)
		return NULL;
	return text;
}

/* Does the report have that line? */
static inline _printf_(2, 3) bool report_says(const char *text, const char *format, ...)
{
	char line[1024];
	va_list args;
	int len;

	line[0] = '\n';
	va_start(args, format);
	len = vsnprintf(line + 1, sizeof line - 2, format, args);
	va_end(args);
	line[len + 1] = '\n';
	line[len + 2] = '\0';
	if (strncmp(text, line + 1, (size_t)len + 1) == 0 || strstr(text, line))
		return true;
	fprintf(stderr, "no line '%.*s' in:\n%s", len, line + 1, text);
	return false;
}

/* ------------------------------------------------------------------ holding */

/*
 * A program that cannot be executed for the time being: somebody has a write
 * lease on it.  This is a copy, the holder is this process.
 */
struct leased {
	char path[64];
	int fd;
};

static inline int copy_file(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	char buffer[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		return -errno;
	while ((n = read(in, buffer, sizeof buffer)) > 0)
		if (write(out, buffer, (size_t)n) != n)
			return -EIO;
	return n < 0 ? -errno : 0;
}

static inline int lease_take(struct leased *ret, const char *folder)
{
	int r;

	snprintf(ret->path, sizeof ret->path, "%s/leased", folder);
	r = copy_file(own_path(), ret->path);
	if (r < 0)
		return r;
	ret->fd = open(ret->path, O_RDONLY | O_CLOEXEC);
	if (ret->fd < 0)
		return -errno;
	/* Somebody who wants the file makes himself known by this signal. */
	signal(SIGIO, SIG_IGN);
	return fcntl(ret->fd, F_SETLEASE, F_WRLCK) < 0 ? -errno : 0;
}

/* Whoever waited goes on. */
static inline void lease_give_up(struct leased *leased)
{
	fcntl(leased->fd, F_SETLEASE, F_UNLCK);
	leased->fd = fd_close(leased->fd);
}

#endif
