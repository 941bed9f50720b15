/*
 * target: which target is tried, what becomes of those that do not answer, and that nothing
 * is waited for.
 *
 * Addresses of 127.0.0.0/8, with ports that are bound and not listened at, so that nobody
 * else has them; time is the test's.
 */
#include "workers/relay/target.h"

#include "base/fd.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NOW     UINT64_C(5000000)
#define TIMEOUT UINT64_C(2000000)

#define FDS_MAX 512

static struct targets *targets;
static struct addr addrs[REDIRECT_TARGETS_MAX];
static int fds[FDS_MAX]; /* kept open until the test is over */
static size_t n_fds;
static unsigned n_told;
static int told_error;
static uint32_t asking;   /* number of the service */
static int pending_error; /* what SO_ERROR says; 0: the truth */
static bool far, near;
static uint32_t awaited;  /* which of them is started on demand, */
static uint64_t patience; /* and how long it may be absent; 0: none is */

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int r = __real_getsockopt(fd, level, name, value, len);

	if (level == SOL_SOCKET && name == SO_ERROR && pending_error != 0)
		*(int *)value = pending_error;
	return r;
}

/* On this machine a connection is there at once, most times.  `near`: always; `far`: nobody
 * knows. */
int __real_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	if (!far)
		return __real_getpeername(fd, sa, len);
	errno = ENOTCONN;
	return -1;
}

int __real_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int r = __real_connect(fd, sa, len), error = errno;

	if (near && r < 0 && error == EINPROGRESS)
		poll(&p, 1, -1);
	errno = error;
	return r;
}

static void tell(const struct addr *addr, int error)
{
	(void)addr;
	n_told++;
	told_error = error;
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	targets = calloc(1, sizeof *targets);
	targets->tell = tell;
	n_told = 0;
	asking = 1;
	pending_error = 0;
	far = near = false;
	awaited = 0;
	patience = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(targets);
	while (n_fds > 0)
		close(fds[--n_fds]);
	alarm(0);
	return 0;
}

static int keep(int fd)
{
	assert_true(fd >= 0 && n_fds < FDS_MAX);
	fds[n_fds++] = fd;
	return fd;
}

static struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

/* At a port of its own; a backlog of -1: nobody listens, and nobody else can have it. */
static int open_at(const char *text, int backlog, struct addr *ret)
{
	struct addr addr = address(text);
	int fd = keep(addr_socket(&addr, SOCK_CLOEXEC));

	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(addr_of_socket(fd, ret), 0);
	return fd;
}

static struct addr good(void)
{
	struct addr addr;

	open_at("tcp:127.0.0.1:0", 100, &addr);
	return addr;
}

static struct addr bad(void)
{
	struct addr addr;

	open_at("tcp:127.0.0.1:0", -1, &addr);
	return addr;
}

/* A listener of TCP whose queue is full: who comes hears nothing. */
static struct addr silent(void)
{
	struct addr addr;

	open_at("tcp:127.0.0.1:0", 0, &addr);
	for (;;) {
		int fd = keep(addr_socket(&addr, SOCK_CLOEXEC | SOCK_NONBLOCK));
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (connect(fd, &addr.sa, addr.len) == 0)
			continue;
		assert_int_equal(errno, EINPROGRESS);
		/* Those of loopback are there at once, or not at all. */
		if (poll(&p, 1, 100) == 0)
			return addr;
	}
}

static struct search *begin(enum redirect_order order, uint32_t n)
{
	const struct redirect redirect = {
		.service = asking,
		.order = order,
		.connect_timeout = TIMEOUT,
		.awaited = awaited,
		.await_timeout = patience,
		.n_targets = n,
		.targets = addrs,
	};
	struct search *search;

	assert_int_equal(search_new(targets, &redirect, &search), 0);
	return search;
}

/* As a caller does, as long as nothing but the machine itself has to be waited for. */
static enum search_state go(struct search *search, uint64_t now)
{
	enum search_state state = search_go(search, 0, now);

	while (state == SEARCH_WAITS) {
		struct pollfd p = {.fd = search_fd(search), .events = POLLOUT};

		if (search_events(search) == 0 || poll(&p, 1, 500) == 0)
			break;
		state = search_go(search, (uint32_t)p.revents, now);
	}
	return state;
}

/* Which of the addresses it finds; n: none. */
static uint32_t find(enum redirect_order order, uint32_t n, uint64_t now)
{
	struct search *search = begin(order, n);
	uint32_t found = n;

	if (go(search, now) == SEARCH_FOUND) {
		_cleanup_close_ int fd = search_take(search);
		struct sockaddr_storage peer;
		socklen_t len = sizeof peer;
		struct addr addr;

		assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
		addr_from_sockaddr(addrs[0].kind, (struct sockaddr *)&peer, len, &addr);
		for (found = 0; found < n && !addr_equal(&addr, &addrs[found]); found++)
			;
	}
	search_free(search);
	return found;
}

static void test_first(void **state)
{
	(void)state;
	addrs[0] = good();
	addrs[1] = good();
	for (int i = 0; i < 3; i++)
		assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 0);
	assert_int_equal(n_told, 0);
}

static void test_round_robin(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		addrs[i] = good();
	for (uint32_t i = 0; i < 9; i++)
		assert_int_equal(find(REDIRECT_ROUND_ROBIN, 3, NOW), i % 3);
}

/* The next one takes its turn. */
static void test_round_robin_without_one(void **state)
{
	(void)state;
	addrs[0] = good();
	addrs[1] = bad();
	addrs[2] = good();
	assert_int_equal(find(REDIRECT_ROUND_ROBIN, 3, NOW), 0);
	assert_int_equal(find(REDIRECT_ROUND_ROBIN, 3, NOW), 2);
	assert_int_equal(find(REDIRECT_ROUND_ROBIN, 3, NOW), 2);
	assert_int_equal(find(REDIRECT_ROUND_ROBIN, 3, NOW), 0);
	assert_int_equal(n_told, 1);
}

/* It is not tried again for a while, though it would answer; then it is. */
static void test_failing_is_skipped(void **state)
{
	int first;

	(void)state;
	first = open_at("tcp:127.0.0.1:0", -1, &addrs[0]);
	addrs[1] = good();
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 1);
	assert_int_equal(n_told, 1);
	assert_int_equal(told_error, ECONNREFUSED);
	assert_int_equal(listen(first, 10), 0);
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW + TARGET_SKIP_TIME - 1), 1);
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW + TARGET_SKIP_TIME), 0);
	assert_int_equal(targets->n_failing, 0);
	assert_int_equal(n_told, 1);
}

/* Where all fail, all are tried all the same. */
static void test_all_fail(void **state)
{
	struct search *search;
	int second;

	(void)state;
	addrs[0] = bad();
	second = open_at("tcp:127.0.0.1:0", -1, &addrs[1]);
	for (int i = 0; i < 3; i++) {
		search = begin(REDIRECT_FIRST, 2);
		assert_int_equal(go(search, NOW), SEARCH_FAILED);
		assert_true(search_is_unreachable(search));
		assert_int_equal(search_error(search), ECONNREFUSED);
		assert_int_equal(search_attempt(search), 2);
		search_free(search);
	}
	assert_int_equal(n_told, 2);
	assert_int_equal(listen(second, 10), 0);
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 1);
	assert_int_equal(targets->n_failing, 1);
}

/* Another service has other limits of time, and perhaps other luck. */
static void test_failing_for_one_service(void **state)
{
	int first;

	(void)state;
	first = open_at("tcp:127.0.0.1:0", -1, &addrs[0]);
	addrs[1] = good();
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 1);
	assert_int_equal(listen(first, 10), 0);
	asking = 2;
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 0);
	asking = 1;
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 1);
	assert_int_equal(targets->n_failing, 1);
}

/* What is not known at first. */
static struct search *begin_far_away(void)
{
	struct search *search = begin(REDIRECT_FIRST, 1);
	struct pollfd p = {.events = POLLOUT};

	far = true;
	assert_int_equal(search_go(search, 0, NOW), SEARCH_WAITS);
	assert_int_equal(search_events(search), EPOLLOUT);
	p.fd = search_fd(search);
	assert_int_equal(poll(&p, 1, -1), 1);
	far = false;
	return search;
}

/* Who is there when connect(2) returns is not waited for; who refuses is still found out. */
static void test_connected_at_once(void **state)
{
	struct search *search;

	(void)state;
	near = true;
	addrs[0] = good();
	search = begin(REDIRECT_FIRST, 1);
	assert_int_equal(search_go(search, 0, NOW), SEARCH_FOUND);
	search_free(search);
	addrs[0] = bad();
	assert_int_equal(find(REDIRECT_FIRST, 1, NOW), 1);
	assert_int_equal(told_error, ECONNREFUSED);
}

/* When its time is over, and whoever looks is late as well, it is what it is. */
static void test_connected_in_the_last_moment(void **state)
{
	struct search *search;

	(void)state;
	addrs[0] = good();
	search = begin_far_away();
	assert_int_equal(search_go(search, 0, NOW + TIMEOUT), SEARCH_FOUND);
	assert_int_equal(n_told, 0);
	search_free(search);
}

/* What an ICMP message has said on the way is no failure of a connection that is there. */
static void test_soft_error(void **state)
{
	struct search *search;

	(void)state;
	addrs[0] = good();
	pending_error = EHOSTUNREACH;
	search = begin_far_away();
	assert_int_equal(search_go(search, EPOLLOUT, NOW), SEARCH_FOUND);
	search_free(search);
	addrs[0] = silent();
	search = begin(REDIRECT_FIRST, 1);
	assert_int_equal(search_go(search, 0, NOW), SEARCH_WAITS);
	assert_int_equal(search_go(search, 0, NOW + 1), SEARCH_WAITS);
	/* But a better word for it than the end of patience. */
	assert_int_equal(search_go(search, 0, NOW + TIMEOUT), SEARCH_FAILED);
	assert_int_equal(search_error(search), EHOSTUNREACH);
	search_free(search);
}

static void test_timeout(void **state)
{
	struct search *search;

	(void)state;
	addrs[0] = silent();
	addrs[1] = good();
	search = begin(REDIRECT_FIRST, 2);
	assert_int_equal(search_go(search, 0, NOW), SEARCH_WAITS);
	assert_int_equal(search_due(search), NOW + TIMEOUT);
	assert_int_equal(search_events(search), EPOLLOUT);
	/* What is not there does not make it believe that it is connected. */
	assert_int_equal(search_go(search, EPOLLOUT, NOW), SEARCH_WAITS);
	assert_int_equal(search_go(search, 0, NOW + TIMEOUT - 1), SEARCH_WAITS);
	assert_int_equal(search_attempt(search), 1);
	assert_int_equal(go(search, NOW + TIMEOUT), SEARCH_FOUND);
	assert_int_equal(search_attempt(search), 2);
	assert_int_equal(told_error, ETIMEDOUT);
	search_free(search);
}

/* How often it wants to go on until it has failed. */
static unsigned count_until_late(struct search *search)
{
	unsigned n = 1;

	while (search_go(search, 0, search_due(search)) == SEARCH_WAITS)
		n++;
	return n;
}

/* A queue that is full says so, and is asked again until the time is over. */
static void test_full_unix_socket(void **state)
{
	struct search *search;
	struct addr addr;
	int listener;

	(void)state;
	listener = open_at("unix:@hatchd-test-target", 0, &addr);
	for (;;) {
		int fd = keep(addr_socket(&addr, SOCK_CLOEXEC | SOCK_NONBLOCK));

		if (connect(fd, &addr.sa, addr.len) < 0)
			break;
	}
	assert_int_equal(errno, EAGAIN);
	addrs[0] = addr;
	search = begin(REDIRECT_FIRST, 1);
	assert_int_equal(search_go(search, 0, NOW), SEARCH_WAITS);
	assert_int_equal(search_events(search), 0);
	assert_int_equal(search_due(search), NOW + TARGET_RETRY_MIN);
	assert_int_equal(search_go(search, 0, search_due(search)), SEARCH_WAITS);
	assert_int_equal(search_due(search), NOW + 3 * TARGET_RETRY_MIN);
	keep(accept(listener, NULL, NULL));
	assert_int_equal(search_go(search, 0, search_due(search)), SEARCH_FOUND);
	search_free(search);

	search = begin(REDIRECT_FIRST, 1);
	assert_int_equal(search_go(search, 0, NOW), SEARCH_WAITS);
	assert_int_equal(count_until_late(search), 8); /* 10, 30, 70 ms ... 1.27 s, 2 s */
	assert_int_equal(search_error(search), ETIMEDOUT);
	search_free(search);
}

/* A machine that has vanished is found out. */
static void test_keepalive(void **state)
{
	struct search *search;
	socklen_t len = sizeof(int);
	int on = 0;

	(void)state;
	addrs[0] = good();
	search = begin(REDIRECT_FIRST, 1);
	assert_int_equal(go(search, NOW), SEARCH_FOUND);
	assert_int_equal(
		__real_getsockopt(search_fd(search), SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
	assert_int_equal(on, 1);
	search_free(search);
}

/* Until it is absent, or else until there is nothing to wait for. */
static enum search_state look(struct search *search, uint64_t now)
{
	unsigned attempt = search_attempt(search);
	enum search_state state = go(search, now);

	/* Who watches a descriptor has to know that it is not the one from before. */
	if (search_fd(search) < 0)
		assert_true(search_attempt(search) != attempt);
	return state;
}

/* It is looked for again and again, less and less often, and is there at last. */
static void test_awaited(void **state)
{
	struct search *search;
	uint64_t now = NOW, pause = TARGET_AWAIT_MIN;
	int listener;

	(void)state;
	listener = open_at("tcp:127.0.0.1:0", -1, &addrs[0]);
	patience = 10 * TARGET_AWAIT_MAX;
	search = begin(REDIRECT_FIRST, 1);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(look(search, now), SEARCH_WAITS);
		assert_int_equal(search_fd(search), -EBADF);
		assert_int_equal(search_events(search), 0);
		assert_int_equal(search_due(search), now + pause);
		assert_int_equal(search_go(search, 0, now + pause - 1), SEARCH_WAITS);
		assert_int_equal(search_fd(search), -EBADF);
		now += pause;
		pause = 2 * pause < TARGET_AWAIT_MAX ? 2 * pause : TARGET_AWAIT_MAX;
	}
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(go(search, now), SEARCH_FOUND);
	assert_true(search_has_come(search));
	assert_false(search_has_missed(search));
	assert_int_equal(n_told, 0);
	search_free(search);
}

/* Its time is over, once; the next one who comes waits for it all the same. */
static void test_awaited_in_vain(void **state)
{
	struct search *search;

	(void)state;
	addrs[0] = bad();
	patience = 3 * TARGET_AWAIT_MIN + 1;
	for (int i = 0; i < 2; i++) {
		search = begin(REDIRECT_FIRST, 1);
		assert_int_equal(look(search, NOW), SEARCH_WAITS);
		assert_int_equal(look(search, search_due(search)), SEARCH_WAITS);
		assert_int_equal(look(search, search_due(search)), SEARCH_WAITS);
		assert_int_equal(search_due(search), NOW + patience);
		assert_int_equal(look(search, search_due(search)), SEARCH_FAILED);
		assert_true(search_has_missed(search));
		assert_true(search_is_unreachable(search));
		assert_int_equal(search_error(search), ECONNREFUSED);
		search_free(search);
	}
	assert_int_equal(n_told, 0);
	assert_int_equal(targets->n_failing, 0);
}

/* It will not come: the others have their turn, and who has none is over. */
static void test_awaited_given_up(void **state)
{
	struct search *search;

	(void)state;
	addrs[0] = bad();
	addrs[1] = good();
	patience = TIMEOUT;
	for (uint32_t n = 1; n <= 2; n++) {
		search = begin(REDIRECT_FIRST, n);
		assert_int_equal(look(search, NOW), SEARCH_WAITS);
		search_give_up(search);
		assert_int_equal(go(search, NOW), n == 1 ? SEARCH_FAILED : SEARCH_FOUND);
		assert_false(search_has_come(search));
		assert_false(search_has_missed(search));
		search_free(search);
	}
	/* Before anybody has looked. */
	search = begin(REDIRECT_FIRST, 1);
	search_give_up(search);
	assert_int_equal(go(search, NOW), SEARCH_FAILED);
	search_free(search);
}

/* Who is no part of it is never waited for. */
static void test_only_one_is_awaited(void **state)
{
	(void)state;
	addrs[0] = bad();
	addrs[1] = good();
	awaited = 1;
	patience = TIMEOUT;
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 1);
	assert_int_equal(n_told, 1);
}

/* A socket in the file system is made, opened to others, and listened at. */
static void test_awaited_unix(void **state)
{
	char path[] = "/tmp/hatchd-target-XXXXXX", text[64];
	struct search *search;
	int listener;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(text, sizeof text, "unix:%s/app", path);
	addrs[0] = address(text);
	patience = TIMEOUT;
	search = begin(REDIRECT_FIRST, 1);
	assert_int_equal(look(search, NOW), SEARCH_WAITS);
	listener = keep(addr_socket(&addrs[0], SOCK_CLOEXEC));
	assert_int_equal(bind(listener, &addrs[0].sa, addrs[0].len), 0);
	assert_int_equal(look(search, search_due(search)), SEARCH_WAITS);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(go(search, search_due(search)), SEARCH_FOUND);
	search_free(search);
	unlink(addrs[0].un.sun_path);
	rmdir(path);
}

/* To drop one may take as long as he likes who has sent it (Linux 6.16). */
static void test_no_descriptors_from_targets(void **state)
{
	enum { PASSRIGHTS = 83 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec byte = {.iov_base = &(char){0}, .iov_len = 1};
	const struct msghdr message = {.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	int listener = open_at("unix:@hatchd-test-target-rights", 1, &addrs[0]);
	struct search *search = begin(REDIRECT_FIRST, 1);

	(void)state;
	if (setsockopt(listener, SOL_SOCKET, PASSRIGHTS, &(int){1}, sizeof(int)) < 0) {
		search_free(search);
		skip();
	}
	assert_int_equal(search_go(search, 0, NOW), SEARCH_FOUND);
	*(int *)CMSG_DATA(&control.header) = listener;
	assert_int_equal(
		sendmsg(keep(accept(listener, NULL, NULL)), &message, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPERM);
	search_free(search);
}

static void test_unix_that_is_not_there(void **state)
{
	(void)state;
	addrs[0] = address("unix:/nonexistent/hatchd-test");
	assert_int_equal(find(REDIRECT_FIRST, 1, NOW), 1);
	assert_int_equal(told_error, ENOENT);
}

/* What is ours to blame is not remembered of a target. */
static void test_without_descriptors(void **state)
{
	struct search *search;
	int all[FDS_MAX], n = 0, fd;
	const struct rlimit few = {FDS_MAX - 2, FDS_MAX - 2};
	pid_t pid;

	(void)state;
	addrs[0] = good();
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_NOFILE, &few);
		while (n < FDS_MAX && (fd = dup(0)) >= 0)
			all[n++] = fd;
		(void)all;
		search = begin(REDIRECT_FIRST, 1);
		_exit(search_go(search, 0, NOW) == SEARCH_FAILED &&
					search_error(search) == EMFILE &&
					!search_is_unreachable(search) &&
					targets->n_failing == 0
				? 0
				: 1);
	}
	assert_int_equal(waitpid(pid, &n, 0), pid);
	assert_int_equal(n, 0);
}

static struct addr nobody(uint32_t number)
{
	char text[64];

	snprintf(text, sizeof text, "unix:@hatchd-test-nobody-%u", number);
	return address(text);
}

/* The table of failing ones does not grow. */
static void test_many_failing(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2 * TARGET_FAILING_MAX; i++) {
		addrs[0] = nobody(i);
		assert_int_equal(find(REDIRECT_FIRST, 1, NOW + i), 1);
	}
	assert_int_equal(targets->n_failing, TARGET_FAILING_MAX);
	assert_int_equal(n_told, 2 * TARGET_FAILING_MAX);
	/* The newest are those that are known. */
	for (uint32_t i = TARGET_FAILING_MAX; i < 2 * TARGET_FAILING_MAX; i++) {
		addrs[0] = nobody(i);
		assert_int_equal(find(REDIRECT_FIRST, 1, NOW + 2 * TARGET_FAILING_MAX), 1);
	}
	assert_int_equal(n_told, 2 * TARGET_FAILING_MAX);
}

/* A network without anybody else, in which clients get a single port. */
static bool become_alone(unsigned port)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	_cleanup_close_ int fd = -EBADF, range = -EBADF;
	char text[32];
	int len = snprintf(text, sizeof text, "%u %u", port, port);

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	range = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
	return ioctl(fd, SIOCSIFFLAGS, &lo) == 0 && range >= 0 &&
	       write(range, text, (size_t)len) == len;
}

/* Nobody listens at the port that the kernel gives to who looks for it. */
static void expect_not_itself(const char *text)
{
	enum { CANNOT = 77 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct search *search;

		if (!become_alone(40000))
			_exit(CANNOT);
		addrs[0] = address(text);
		search = begin(REDIRECT_FIRST, 1);
		_exit(go(search, NOW) == SEARCH_FAILED && search_error(search) == ECONNREFUSED
				? 0
				: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(status, 0);
}

static void test_not_itself(void **state)
{
	(void)state;
	expect_not_itself("tcp:127.0.0.1:40000");
	expect_not_itself("udp:127.0.0.1:40000");
}

static struct addr datagrams(void)
{
	struct addr addr;

	open_at("udp:127.0.0.1:0", -1, &addr);
	return addr;
}

/* That somebody is there is what he has answered, not that he can be sent something. */
static void test_datagrams(void **state)
{
	(void)state;
	addrs[0] = datagrams();
	addrs[1] = datagrams();
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 0);
	targets_failed(targets, asking, &addrs[0], ECONNREFUSED, NOW);
	assert_int_equal(n_told, 1);
	assert_int_equal(told_error, ECONNREFUSED);
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW), 1);
	/* Where all fail they are tried all the same, and that makes none of them good. */
	targets_failed(targets, asking, &addrs[1], ECONNREFUSED, NOW + 1);
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW + 1), 0);
	assert_int_equal(targets->n_failing, 2);
	targets_failed(targets, asking, &addrs[0], ECONNREFUSED, NOW + 2);
	assert_int_equal(n_told, 2);
	targets_answered(targets, asking, &addrs[1]);
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW + 2), 1);
	assert_int_equal(find(REDIRECT_FIRST, 2, NOW + 2 + TARGET_SKIP_TIME), 0);
	/* One that was not known to fail. */
	targets_answered(targets, asking, &addrs[1]);
	assert_int_equal(targets->n_failing, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first),
		TEST(test_round_robin),
		TEST(test_round_robin_without_one),
		TEST(test_failing_is_skipped),
		TEST(test_all_fail),
		TEST(test_failing_for_one_service),
		TEST(test_connected_at_once),
		TEST(test_connected_in_the_last_moment),
		TEST(test_soft_error),
		TEST(test_timeout),
		TEST(test_full_unix_socket),
		TEST(test_keepalive),
		TEST(test_awaited),
		TEST(test_awaited_in_vain),
		TEST(test_awaited_given_up),
		TEST(test_only_one_is_awaited),
		TEST(test_awaited_unix),
		TEST(test_no_descriptors_from_targets),
		TEST(test_unix_that_is_not_there),
		TEST(test_without_descriptors),
		TEST(test_many_failing),
		TEST(test_not_itself),
		TEST(test_datagrams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
