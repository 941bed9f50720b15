/*
 * sandbox-try: try something in a process of its own, in a sandbox or outside, for the
 * tests of it.
 *
 * The process tells by how it ends: with SIGSYS, with an errno, or with 0.
 */
#ifndef HATCHD_TESTS_SANDBOX_TRY_H
#define HATCHD_TESTS_SANDBOX_TRY_H

#include "base/own.h"
#include "os/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define NOBODY  65534
#define MAX_FDS 64

/* Exit statuses of a try, beside 0 and errno. */
#define NOT_ENTERED 254
#define WRONG       253

/* Opened before the sandbox is entered, as a worker has it. */
struct belongings {
	int listener;
	int namesake; /* listens at an abstract name */
	int tcp;      /* one end of a connection */
	int peer;     /* the other */
	int udp;      /* bound to a port of loopback */
	int stream;   /* one end of a UNIX pair */
	int other;    /* the other */
	int folder;   /* O_PATH, and empty */
	int port;     /* of a listener, host byte order */
	void *page;   /* mapped */
	pid_t outer;  /* the test program */

	/* Of a listener with an abstract name. */
	struct sockaddr_un abstract;
	socklen_t abstract_len;
};

struct trial {
	const char *name;
	long (*act)(const struct belongings *have); /* result of a system call */
};

static const struct sandbox plain = {.max_fds = MAX_FDS};

/* ----------------------------------------------------------------------- set-up */

static inline int listen_on_loopback(int *ret_port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static inline struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static inline int bind_datagrams(void)
{
	struct sockaddr_in addr = loopback(0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	return fd;
}

/* With a name of the kernel's choice. */
static inline void listen_at_abstract(struct belongings *have)
{
	struct sockaddr *addr = (struct sockaddr *)&have->abstract;

	have->namesake = socket(AF_UNIX, SOCK_STREAM, 0);
	have->abstract.sun_family = AF_UNIX;
	have->abstract_len = sizeof have->abstract;
	assert_int_equal(bind(have->namesake, addr, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(have->namesake, 64), 0);
	assert_int_equal(getsockname(have->namesake, addr, &have->abstract_len), 0);
}

static inline void make_connection(struct belongings *have)
{
	struct sockaddr_in addr;

	have->listener = listen_on_loopback(&have->port);
	addr = loopback(have->port);
	have->peer = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(have->peer, (struct sockaddr *)&addr, sizeof addr), 0);
	have->tcp = accept(have->listener, NULL, NULL);
	assert_true(have->tcp >= 0);
}

/* It is gone already, so that nothing is left of it. */
static inline int open_folder(void)
{
	char path[] = "/tmp/hatchd-test-sandbox-XXXXXX";
	int fd;

	assert_non_null(mkdtemp(path));
	fd = open(path, O_PATH | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(rmdir(path), 0);
	return fd;
}

/* Anew for each test: tries share it with those before them. */
static inline int set_up(void **state)
{
	static struct belongings have;
	int pair[2];

	memset(&have, 0, sizeof have);
	make_connection(&have);
	listen_at_abstract(&have);
	have.udp = bind_datagrams();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	have.stream = pair[0];
	have.other = pair[1];
	have.folder = open_folder();
	have.page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(have.page != MAP_FAILED);
	have.outer = getpid();
	*state = &have;
	return 0;
}

static inline int tear_down(void **state)
{
	struct belongings *have = *state;
	const int fds[] = {have->listener, have->namesake, have->tcp, have->peer, have->udp,
		have->stream, have->other, have->folder};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	munmap(have->page, 4096);
	return 0;
}

/* ---------------------------------------------------------------------- children */

/* A process for a try, which does not outlive it by much whatever goes wrong. */
static inline pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0)
		alarm(60);
	return pid;
}

static inline void become(uid_t uid)
{
	if (geteuid() == uid)
		return;
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
		setresuid(uid, uid, uid) < 0)
		_exit(NOT_ENTERED);
}

static inline void enter_or_exit(const struct sandbox *sandbox)
{
	struct sandbox_report report;

	if (sandbox_enter(sandbox, &report) < 0)
		_exit(NOT_ENTERED);
}

/* Both identities that there are for us, the second one only for root. */
static inline size_t identities(uid_t ret[2])
{
	ret[0] = geteuid();
	ret[1] = NOBODY;
	return geteuid() == 0 ? 2 : 1;
}

static inline int wait_status(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Try it in the sandbox, or outside if that is NULL. */
static inline int try_as(uid_t uid, const struct sandbox *sandbox, const struct trial *trial,
	const struct belongings *have)
{
	pid_t pid = start();

	if (pid == 0) {
		become(uid);
		if (sandbox)
			enter_or_exit(sandbox);
		_exit(trial->act(have) < 0 ? errno : 0);
	}
	return wait_status(pid);
}

static inline bool is_broken_out(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static inline bool is_exit(int status, int value)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == value;
}

static inline void complain(const char *what, const struct trial *trial, uid_t uid, int status)
{
	print_error("%s: %s as user %u: status %#x\n", trial->name, what, (unsigned)uid,
		(unsigned)status);
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
