/*
 * sandbox: what a worker needs works in it; how it looks from outside, and how it holds
 * with a wall missing; how it is entered.
 */
#include "os/sandbox_landlock.h"
#include "sandbox-try.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

/* ----------------------------------------------------------------- what works */

static bool wait_for_input(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 10000) == 1;
}

static void send_fd(int channel, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = "c", .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room,
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	assert_int_equal(sendmsg(channel, &message, 0), 1);
}

static int receive_fd(int channel)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room,
	};
	int fd;

	if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		_exit(WRONG);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

static void echo_until_end(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char buffer[256];
	ssize_t n = -1;

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		_exit(WRONG);
	while (n != 0) {
		if (epoll_wait(epoll, &event, 1, 10000) != 1)
			_exit(WRONG);
		n = recv(event.data.fd, buffer, sizeof buffer, MSG_DONTWAIT);
		if (n < 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
			_exit(WRONG);
	}
	shutdown(fd, SHUT_WR);
	close(fd);
	close(epoll);
}

/* What a worker does all day: a connection comes over its channel, is served, and a record
 * of it goes through its pipe. */
static pid_t start_worker(const int channel[2], const int answers[2])
{
	pid_t pid = start();

	if (pid != 0)
		return pid;
	close(channel[0]);
	close(answers[0]);
	enter_or_exit(&plain);
	echo_until_end(receive_fd(channel[1]));
	_exit(write(answers[1], "done", 4) == 4 ? 0 : WRONG);
}

static void test_serves(void **state)
{
	int channel[2], answers[2], client[2];
	char answer[8];
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, client), 0);
	assert_int_equal(pipe(answers), 0);
	pid = start_worker(channel, answers);
	close(channel[1]);
	close(answers[1]);
	send_fd(channel[0], client[1]);
	close(client[1]);

	assert_int_equal(write(client[0], "hello", 5), 5);
	assert_true(wait_for_input(client[0]));
	assert_int_equal(read(client[0], answer, sizeof answer), 5);
	shutdown(client[0], SHUT_WR);
	assert_int_equal(read(client[0], answer, sizeof answer), 0);
	assert_int_equal(read(answers[0], answer, sizeof answer), 4);
	assert_memory_equal(answer, "done", 4);
	assert_true(is_exit(wait_status(pid), 0));
	close(channel[0]);
	close(answers[0]);
	close(client[0]);
}

/* The heap grows and shrinks in all ways. */
static long use_memory(const struct belongings *have)
{
	char *small = malloc(100), *big = malloc(1 << 20), *bigger;

	(void)have;
	if (!small || !big)
		return -1;
	memset(big, 1, 1 << 20);
	bigger = realloc(big, 64 << 20);
	if (!bigger || bigger[(1 << 20) - 1] != 1)
		_exit(WRONG);
	free(bigger);
	for (int i = 0; i < 100; i++)
		free(malloc(100000));
	free(small);
	return 0;
}

/* Of an int, the kernel takes the lower half, and compilers leave anything in the upper. */
static long use_long_options(const struct belongings *have)
{
	const uint64_t high = UINT64_C(0x100000000);
	int value = 1;

	return syscall(SYS_setsockopt, have->tcp, high | IPPROTO_TCP, high | TCP_NODELAY,
		&value, sizeof value);
}

static long use_options(const struct belongings *have)
{
	socklen_t len = sizeof(int);
	int value = 1, flags;

	if (setsockopt(have->tcp, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) < 0 ||
		setsockopt(have->tcp, SOL_SOCKET, SO_SNDBUF, &value, sizeof value) < 0 ||
		getsockopt(have->tcp, SOL_SOCKET, SO_ERROR, &value, &len) < 0 ||
		ioctl(have->tcp, FIONREAD, &value) < 0 ||
		ioctl(have->tcp, SIOCOUTQ, &value) < 0)
		return -1;
	flags = fcntl(have->tcp, F_GETFL);
	return flags < 0 ? -1 : fcntl(have->tcp, F_SETFL, flags | O_NONBLOCK);
}

static long use_time(const struct belongings *have)
{
	const struct itimerspec at = {.it_value.tv_nsec = 1};
	struct timespec now;
	uint64_t n;
	int timer;

	(void)have;
	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0 || syscall(SYS_getpid) < 0)
		return -1;
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (timer < 0 || timerfd_settime(timer, 0, &at, NULL) < 0)
		return -1;
	return read(timer, &n, sizeof n) == sizeof n ? 0 : -1;
}

/* The C library asks for more than it needs. */
static long print(const struct belongings *have)
{
	char text[16] = {0};

	if (dprintf(have->stream, "%d words", 2) != 7)
		return -1;
	if (read(have->other, text, sizeof text) != 7 || strcmp(text, "2 words") != 0)
		_exit(WRONG);
	return 0;
}

static void on_signal(int nr)
{
	(void)nr;
}

static long handle_signals(const struct belongings *have)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t mask;

	(void)have;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -1;
	return sigaction(SIGTERM, &action, NULL);
}

/* Descriptors have numbers below the limit, and there are no others. */
static long fill_table(const struct belongings *have)
{
	int fd = 0;

	(void)have;
	for (int i = 0; i <= MAX_FDS && fd >= 0; i++) {
		fd = epoll_create1(0);
		if (fd >= MAX_FDS)
			_exit(WRONG);
	}
	if (fd >= 0 || errno != EMFILE)
		_exit(WRONG);
	return 0;
}

static void test_works(void **state)
{
	static const struct trial trials[] = {
		{"memory", use_memory},
		{"options", use_options},
		{"options in 64 bits", use_long_options},
		{"time", use_time},
		{"printing", print},
		{"signals", handle_signals},
		{"limit of descriptors", fill_table},
	};
	uid_t users[2];
	int status, n_wrong = 0;

	for (size_t u = 0; u < identities(users); u++)
		for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
			status = try_as(users[u], &plain, &trials[i], *state);
			if (is_exit(status, 0))
				continue;
			complain("does not work", &trials[i], users[u], status);
			n_wrong++;
		}
	assert_int_equal(n_wrong, 0);
}

/* With their groups, for real: over splice, and to a socket of its own. */
static long use_splice(const struct belongings *have)
{
	char byte = 0;
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0 || write(have->other, "s", 1) != 1)
		return -1;
	if (splice(have->stream, NULL, pipes[1], NULL, 1, 0) != 1 ||
		splice(pipes[0], NULL, have->tcp, NULL, 1, 0) != 1)
		return -1;
	if (read(have->peer, &byte, 1) != 1 || byte != 's')
		_exit(WRONG);
	return fcntl(pipes[0], F_SETPIPE_SZ, 65536);
}

static long use_datagrams(const struct belongings *have)
{
	struct sockaddr_in self;
	socklen_t len = sizeof self;
	char in[2] = {0};
	struct iovec out_iov = {"d", 1}, in_iov = {in, 1};
	struct mmsghdr out = {.msg_hdr = {.msg_name = &self,
				      .msg_namelen = sizeof self,
				      .msg_iov = &out_iov,
				      .msg_iovlen = 1}};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &in_iov, .msg_iovlen = 1}};

	if (getsockname(have->udp, (struct sockaddr *)&self, &len) < 0 ||
		sendmmsg(have->udp, &out, 1, 0) != 1 ||
		recvmmsg(have->udp, &message, 1, 0, NULL) != 1)
		return -1;
	return in[0] == 'd' ? 0 : -1;
}

static long use_connect(const struct belongings *have)
{
	static const int domains[] = {AF_INET, AF_INET6, AF_UNIX};
	struct sockaddr_in addr = loopback(have->port);
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		fd = socket(domains[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0 && errno != EAFNOSUPPORT)
			return -1;
		close(fd);
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno != EINPROGRESS)
		return -1;
	return 0;
}

/* From an address that it has chosen. */
static long use_internet(const struct belongings *have)
{
	struct sockaddr_in from = loopback(0), there = loopback(have->port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int)) < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&there, sizeof there) < 0 && errno != EINPROGRESS)
		return -1;
	return 0;
}

static void test_groups_work(void **state)
{
	static const struct {
		struct trial trial;
		unsigned group;
	} trials[] = {
		{{"splice", use_splice}, SANDBOX_SPLICE},
		{{"datagrams", use_datagrams}, SANDBOX_DATAGRAMS},
		{{"connect", use_connect}, SANDBOX_CONNECT},
		{{"internet", use_internet}, SANDBOX_INTERNET},
	};
	struct sandbox sandbox = plain;
	int status, n_wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		sandbox.groups = trials[i].group;
		status = try_as(geteuid(), &sandbox, &trials[i].trial, *state);
		if (is_exit(status, 0))
			continue;
		complain("does not work", &trials[i].trial, geteuid(), status);
		n_wrong++;
	}
	assert_int_equal(n_wrong, 0);
}

/* ------------------------------------------------------------------ how it ends */

static long give_up(const struct belongings *have)
{
	(void)have;
	abort();
}

/* An assertion is no break-out, and leaves no core file. */
static void test_abort(void **state)
{
	const struct trial trial = {"abort", give_up};
	struct rlimit old, limit;
	int status;

	getrlimit(RLIMIT_CORE, &old);
	limit = old;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_CORE, &limit);
	status = try_as(geteuid(), &plain, &trial, *state);
	setrlimit(RLIMIT_CORE, &old);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
}

#if SANITIZED
static long use_after_free(const struct belongings *have)
{
	volatile char *volatile p = malloc(10);

	dup2(have->stream, STDERR_FILENO);
	enter_or_exit(&plain);
	free((char *)p);
	p[1] = 1;
	_exit(WRONG);
}

/* Whether a sanitizer's report gets out, to its last line. */
static void test_sanitizer(void **state)
{
	const struct trial trial = {"use after free", use_after_free};
	const struct belongings *have = *state;
	char report[65536] = {0};
	int status = try_as(geteuid(), NULL, &trial, have);
	ssize_t n = recv(have->other, report, sizeof report - 1, MSG_DONTWAIT);

	assert_true(WIFEXITED(status));
	assert_true(n > 0);
	assert_non_null(strstr(report, "heap-use-after-free"));
	assert_non_null(strstr(report, "SUMMARY"));
}
#endif

/* ------------------------------------------------------------ as others see it */

/* A process that waits, until it is killed. */
static pid_t start_waiting(uid_t uid, bool inside)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = start();
	if (pid == 0) {
		become(uid);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		if (inside)
			enter_or_exit(&plain);
		if (write(ready[1], "r", 1) == 1)
			poll(NULL, 0, -1);
		_exit(WRONG);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_waiting(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_status(pid);
}

static void assert_line(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void read_proc(pid_t pid, const char *name, char text[8192])
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, 8191, f);
	text[n] = '\0';
	fclose(f);
}

/* Soft and hard. */
static void assert_limit(const char *text, const char *name, unsigned value)
{
	const char *line = strstr(text, name);
	unsigned soft, hard;

	assert_non_null(line);
	if (sscanf(line + strlen(name), "%u %u", &soft, &hard) != 2 || soft != value ||
		hard != value)
		fail_msg("not %u: %.80s", value, line);
}

static void look_at_limits(pid_t pid)
{
	char text[8192];

	read_proc(pid, "limits", text);
	assert_limit(text, "Max core file size", 0);
	assert_limit(text, "Max file size", 0);
	assert_limit(text, "Max locked memory", 0);
	assert_limit(text, "Max processes", 0);
	assert_limit(text, "Max open files", MAX_FDS);
}

static void look_at(uid_t uid)
{
	pid_t pid = start_waiting(uid, true);
	char text[8192];

	read_proc(pid, "status", text);
	assert_line(text, "\nNoNewPrivs:\t1\n");
	assert_line(text, "\nSeccomp:\t2\n");
	assert_line(text, "\nCapPrm:\t0000000000000000\n");
	assert_line(text, "\nCapEff:\t0000000000000000\n");
	assert_line(text, "\nCapInh:\t0000000000000000\n");
	assert_line(text, "\nCapAmb:\t0000000000000000\n");
	if (uid == 0)
		assert_line(text, "\nCapBnd:\t0000000000000000\n");
	look_at_limits(pid);
	end_waiting(pid);
}

static void test_status(void **state)
{
	uid_t users[2];

	(void)state;
	for (size_t u = 0; u < identities(users); u++)
		look_at(users[u]);
}

/* 0, or the errno with which a process of that user cannot read the other's memory. */
static int read_memory(uid_t uid, pid_t of)
{
	static char there[8];
	pid_t pid = start();
	char here[8];
	struct iovec local = {here, sizeof here}, remote = {there, sizeof there};

	if (pid == 0) {
		become(uid);
		_exit(process_vm_readv(of, &local, 1, &remote, 1, 0) < 0 ? errno : 0);
	}
	return WEXITSTATUS(wait_status(pid));
}

/* Another process of the same user cannot look into it, or take what it holds. */
static void test_memory_is_closed(void **state)
{
	uid_t uid = geteuid() == 0 ? NOBODY : geteuid();
	pid_t outside = start_waiting(uid, false), inside = start_waiting(uid, true);
	int control = read_memory(uid, outside), r = read_memory(uid, inside);

	(void)state;
	end_waiting(outside);
	end_waiting(inside);
	if (control == EPERM)
		skip(); /* this machine lets nobody look into anybody */
	assert_int_equal(control, 0);
	assert_int_equal(r, EPERM);
}

/* ------------------------------------------------------------ with a wall missing */

/* A kernel or a container that refuses a call with that errno; `first` is its first
 * argument, or -1: whatever it is. */
static void hide(int call, int first, unsigned error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (first < 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), call, 0);
	else
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), call, 1,
			SCMP_A0(SCMP_CMP_EQ, (unsigned)first, 0));
	if (r < 0 || seccomp_load(filter) < 0)
		_exit(NOT_ENTERED);
	seccomp_release(filter);
}

static void hide_seccomp(void)
{
	hide(SCMP_SYS(prctl), PR_SET_SECCOMP, EINVAL);
	hide(SCMP_SYS(seccomp), -1, ENOSYS);
}

static long enter_without_seccomp(const struct belongings *have)
{
	struct sandbox_report report;
	int r;

	(void)have;
	hide_seccomp();
	r = sandbox_enter(&plain, &report);
	if (r == 0 || !report.failed || strcmp(report.failed, "use the sandbox") != 0)
		_exit(WRONG);
	errno = -r;
	return -1;
}

static void test_no_seccomp(void **state)
{
	const struct trial trial = {"without seccomp", enter_without_seccomp};

	assert_true(is_exit(try_as(geteuid(), NULL, &trial, *state), EOPNOTSUPP));
}

static struct sandbox_report enter_half(const struct belongings *have)
{
	const struct sandbox half = {.max_fds = MAX_FDS, .seccomp_optional = true};
	struct sandbox_report report;

	(void)have;
	hide_seccomp();
	if (sandbox_enter(&half, &report) < 0 || report.seccomp)
		_exit(NOT_ENTERED);
	return report;
}

/* Exits by what the trial says, and with 0 where the kernel has nothing to refuse it with. */
static void expect(bool refusable, long r, int error)
{
	if (refusable && (r >= 0 || errno != error))
		_exit(r >= 0 ? WRONG : errno);
}

static long connect_abstract(const struct belongings *have)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return connect(fd, (struct sockaddr *)&have->abstract, have->abstract_len);
}

static long reach_out(const struct belongings *have)
{
	struct sandbox_report report = enter_half(have);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in any = loopback(0), there = loopback(have->port);

	expect(report.landlock >= 1, open("/dev/null", O_RDONLY), EACCES);
	expect(report.landlock >= 1, open("/", O_RDONLY | O_DIRECTORY), EACCES);
	expect(report.landlock >= 4, connect(tcp, (struct sockaddr *)&there, sizeof there),
		EACCES);
	expect(report.landlock >= 4, bind(tcp, (struct sockaddr *)&any, sizeof any), EACCES);
	expect(report.landlock >= 6, kill(have->outer, 0), EPERM);
	expect(report.landlock >= 6, connect_abstract(have), EPERM);
	return 0;
}

static long fork_once(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static long get_rights(const struct belongings *have)
{
	bool root = geteuid() == 0;
	struct sandbox_report report = enter_half(have);

	expect(report.mdwe, mprotect(have->page, 4096, PROT_READ | PROT_EXEC), EACCES);
	expect(true, syscall(SYS_mlock, have->page, 4096), EPERM);
	expect(root, setresuid(NOBODY, NOBODY, NOBODY), EPERM);
	expect(!root, fork_once(), EAGAIN);
	expect(true, mount("none", "/", "tmpfs", MS_REMOUNT, NULL), EPERM);
	return 0;
}

static long write_file(const struct belongings *have)
{
	FILE *file = tmpfile();

	if (!file)
		_exit(NOT_ENTERED);
	enter_half(have);
	expect(true, write(fileno(file), "x", 1), EFBIG);
	return 0;
}

/* Landlock, limits and lost rights refuse what seccomp does not see. */
static void test_other_walls(void **state)
{
	static const struct trial trials[] = {
		{"reach out", reach_out}, {"get rights", get_rights}, {"write", write_file}};
	uid_t users[2];
	int status, n_wrong = 0;

	for (size_t u = 0; u < identities(users); u++)
		for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
			status = try_as(users[u], NULL, &trials[i], *state);
			if (is_exit(status, 0))
				continue;
			complain("not refused", &trials[i], users[u], status);
			n_wrong++;
		}
	assert_int_equal(n_wrong, 0);
}

/* Not built, switched off, and filtered by a container. */
static long enter_without_landlock(const struct belongings *have)
{
	struct sandbox_report report;
	char text[SANDBOX_TEXT_MAX];

	hide(SCMP_SYS(landlock_create_ruleset), -1, (unsigned)have->port);
	if (sandbox_enter(&plain, &report) < 0 || report.landlock != 0)
		_exit(NOT_ENTERED);
	sandbox_describe(&report, text);
	if (strncmp(text, "seccomp, no landlock, ", 22) != 0)
		_exit(WRONG);
	return fork_once();
}

static void test_no_landlock(void **state)
{
	static const int errors[] = {ENOSYS, EOPNOTSUPP, EPERM};
	const struct trial trial = {"without landlock", enter_without_landlock};
	struct belongings have = *(struct belongings *)*state;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		have.port = errors[i];
		assert_true(is_broken_out(try_as(geteuid(), NULL, &trial, &have)));
	}
}

/* Entering the domain of each version on the newest kernel that there is. */
static void refuse_by(int version, unsigned groups, const struct belongings *have)
{
	struct sockaddr_in any = loopback(0), there = loopback(have->port);
	int tcp = socket(AF_INET, SOCK_STREAM, 0), tcp2 = socket(AF_INET, SOCK_STREAM, 0);
	bool binds = groups & SANDBOX_INTERNET;
	bool connects = binds || groups & SANDBOX_CONNECT;
	bool names = groups & (SANDBOX_CONNECT | SANDBOX_ABSTRACT);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		sandbox_landlock_enter(version, groups, -EBADF) < 0)
		_exit(NOT_ENTERED);
	expect(true, open("/dev/null", O_RDONLY), EACCES);
	if ((bind(tcp, (struct sockaddr *)&any, sizeof any) < 0) != (version >= 4 && !binds))
		_exit(WRONG);
	if ((connect(tcp2, (struct sockaddr *)&there, sizeof there) < 0) !=
		(version >= 4 && !connects))
		_exit(WRONG);
	if ((kill(have->outer, 0) < 0) != (version >= 6))
		_exit(WRONG);
	if ((connect_abstract(have) < 0) != (version >= 6 && !names))
		_exit(WRONG);
	_exit(0);
}

static void test_landlock_versions(void **state)
{
	static const unsigned groups[] = {
		0, SANDBOX_CONNECT, SANDBOX_ABSTRACT, SANDBOX_INTERNET};
	pid_t pid;

	for (int version = 1; version <= sandbox_landlock_version(); version++)
		for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
			pid = start();
			if (pid == 0)
				refuse_by(version, groups[i], *state);
			assert_true(is_exit(wait_status(pid), 0));
		}
}

/* ---------------------------------------------------------------------- entering */

static long enter_twice(const struct belongings *have)
{
	struct sandbox_report report;
	int r;

	(void)have;
	enter_or_exit(&plain);
	r = sandbox_enter(&plain, &report);
	if (r == 0 || !report.failed)
		_exit(WRONG);
	errno = -r;
	return -1;
}

static void test_twice(void **state)
{
	const struct trial trial = {"twice", enter_twice};

	assert_true(is_exit(try_as(geteuid(), NULL, &trial, *state), EALREADY));
}

static void *wait_for_ever(void *arg)
{
	(void)arg;
	poll(NULL, 0, -1);
	return NULL;
}

static long enter_with_thread(const struct belongings *have)
{
	struct sandbox_report report;
	pthread_t thread;

	(void)have;
	if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
		_exit(NOT_ENTERED);
	errno = -sandbox_enter(&plain, &report);
	return -1;
}

static void test_threads(void **state)
{
	const struct trial trial = {"with a thread", enter_with_thread};

	assert_true(is_exit(try_as(geteuid(), NULL, &trial, *state), EBUSY));
}

/* A container may forbid what asks for threads. */
static long enter_without_unshare(const struct belongings *have)
{
	(void)have;
	hide(SCMP_SYS(unshare), -1, EPERM);
	enter_or_exit(&plain);
	return 0;
}

static void test_no_unshare(void **state)
{
	const struct trial trial = {"without unshare", enter_without_unshare};

	assert_true(is_exit(try_as(geteuid(), NULL, &trial, *state), 0));
}

static void test_no_sandbox(void **state)
{
	const struct sandbox no_fds = {.max_fds = 0};
	const struct sandbox no_group = {.max_fds = 1, .groups = SANDBOX_GROUPS + 1};
	struct sandbox_report report;

	(void)state;
	assert_int_equal(sandbox_enter(&no_fds, &report), -EINVAL);
	assert_string_equal(report.failed, "use the sandbox");
	assert_int_equal(sandbox_enter(&no_group, &report), -EINVAL);
}

static long enter_with_few(const struct belongings *have)
{
	const struct rlimit few = {.rlim_cur = 20, .rlim_max = 40};
	struct sandbox_report report;

	(void)have;
	if (setrlimit(RLIMIT_NOFILE, &few) < 0 || sandbox_enter(&plain, &report) < 0)
		_exit(NOT_ENTERED);
	return report.max_fds == 40 && report.seccomp && !report.failed ? 0 : -1;
}

/* The hard limit is not raised, not even by root; the soft one is. */
static void test_few_fds(void **state)
{
	const struct trial trial = {"few descriptors", enter_with_few};

	assert_true(is_exit(try_as(geteuid(), NULL, &trial, *state), 0));
}

static void test_describe(void **state)
{
	const struct sandbox_report all = {.seccomp = true, .mdwe = true, .landlock = 6};
	const struct sandbox_report none = {0};
	char text[SANDBOX_TEXT_MAX];

	(void)state;
	sandbox_describe(&all, text);
	assert_string_equal(text, "seccomp, landlock 6, mdwe");
	sandbox_describe(&none, text);
	assert_string_equal(text, "no seccomp, no landlock, no mdwe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_serves),
		test(test_works),
		test(test_groups_work),
		test(test_abort),
#if SANITIZED
		test(test_sanitizer),
#endif
		test(test_status),
		test(test_memory_is_closed),
		test(test_no_seccomp),
		test(test_other_walls),
		test(test_no_landlock),
		test(test_landlock_versions),
		test(test_twice),
		test(test_threads),
		test(test_no_unshare),
		test(test_no_sandbox),
		test(test_few_fds),
		test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
