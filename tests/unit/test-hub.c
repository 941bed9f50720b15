/* hub: one socket of datagrams, with the test as its senders, its programs and its master. */
#include "workers/udp/hub.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "workers/udp/queue.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A test that waits for ever ends here. */
#define PATIENCE 60

#define TIMEOUT (10 * USEC_PER_SEC)

/* Nobody looks at the clock. */
#define NOW (1000 * USEC_PER_SEC)

static struct hub_room *room;
static struct hub *hub;
static struct sockaddr_in at;
static int clients[2] = {-EBADF, -EBADF};
static int program = -EBADF; /* the other end of the last pair */

static int udp_socket(const char *host)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, host, &in.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	return fd;
}

static void begin(bool per_datagram, uint64_t timeout)
{
	const struct hub_setup setup = {
		.timeout = timeout,
		.per_datagram = per_datagram,
		.key = "0123456789abcde",
	};
	socklen_t len = sizeof at;
	int fd = udp_socket("127.0.0.1");

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(hub_new(&setup, fd, &hub), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = udp_socket("127.0.0.1");
		assert_int_equal(connect(clients[i], (struct sockaddr *)&at, len), 0);
	}
}

static int end(void **ctx)
{
	(void)ctx;
	hub = hub_free(hub);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = fd_close(clients[i]);
	program = fd_close(program);
	return 0;
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, -1), 1);
}

/* That client says it, and it is taken. */
static void say_at(unsigned client, const char *text, uint64_t now)
{
	assert_int_equal(send(clients[client], text, strlen(text), 0), strlen(text));
	wait_for(hub_fd(hub));
	assert_true(hub_arrive(hub, room, now));
}

static void say(unsigned client, const char *text)
{
	say_at(client, text, NOW);
}

static bool is_asked(struct channel_answer *ret)
{
	memset(ret, 0, sizeof *ret);
	return hub_offer(hub, ret);
}

static uint32_t expect_offer(void)
{
	struct channel_answer offer;

	assert_true(is_asked(&offer));
	return offer.ticket;
}

static void expect_no_offer(void)
{
	struct channel_answer offer;

	assert_false(is_asked(&offer));
}

static void decide(uint32_t ticket, enum channel_verdict verdict, int fd, uint64_t now)
{
	const struct channel_request request = {
		.kind = CHANNEL_VERDICT,
		.verdict = (uint16_t)verdict,
		.ticket = ticket,
	};

	hub_verdict(hub, &request, &fd, room, now);
	fd_close(fd);
}

/* He has a program from now on; the test is it. */
static void admit(uint32_t ticket)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	fd_close(program);
	program = ends[1];
	decide(ticket, CHANNEL_ADMITTED, ends[0], NOW);
}

static void expect_read(int fd, const char *text)
{
	char heard[100];

	assert_int_equal(recv(fd, heard, sizeof heard, 0), strlen(text));
	assert_memory_equal(heard, text, strlen(text));
}

static void expect_silence(int fd)
{
	char heard[100];

	assert_int_equal(recv(fd, heard, sizeof heard, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void write_message(const void *bytes, size_t len)
{
	assert_int_equal(send(program, bytes, len, 0), len);
}

static void pass_answers(void)
{
	wait_for(hub_answers_fd(hub));
	hub_answer(hub, room, NOW);
}

/* ------------------------------------------------------------------------- tests */

static void test_offer_says_who(void **ctx)
{
	struct channel_answer offer;
	struct sockaddr_in own;
	socklen_t len = sizeof own;

	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "hello");
	assert_true(is_asked(&offer));
	assert_int_equal(getsockname(clients[0], (struct sockaddr *)&own, &len), 0);
	assert_int_equal(offer.ticket, 0);
	assert_int_equal(offer.facts.peer.family, AF_INET);
	assert_int_equal(offer.facts.peer.port, ntohs(own.sin_port));
	assert_memory_equal(offer.facts.peer.ip, &own.sin_addr, 4);
	assert_int_equal(offer.facts.local.family, AF_INET);
	assert_int_equal(offer.facts.local.port, ntohs(at.sin_port));
	assert_memory_equal(offer.facts.local.ip, &at.sin_addr, 4);
	expect_no_offer();
}

static void test_both_ways(void **ctx)
{
	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "one");
	say(0, "two");
	say(0, "");
	admit(expect_offer());
	expect_no_offer();
	expect_read(program, "one");
	expect_read(program, "two");
	expect_read(program, "");
	say(0, "three");
	expect_read(program, "three");
	write_message("four", 4);
	write_message("", 0);
	write_message("five", 4);
	pass_answers();
	expect_read(clients[0], "four");
	expect_read(clients[0], "");
	expect_read(clients[0], "five");
	expect_silence(clients[1]);
	assert_int_equal(hub_counts(hub)->received, 4);
	assert_int_equal(hub_counts(hub)->bytes_in, 11);
	assert_int_equal(hub_counts(hub)->sent, 3);
	assert_int_equal(hub_counts(hub)->bytes_out, 8);
}

static void test_queue_is_bounded(void **ctx)
{
	(void)ctx;
	begin(false, TIMEOUT);
	for (unsigned i = 0; i < QUEUE_MAX; i++)
		say(0, "x");
	assert_int_equal(hub_counts(hub)->refused, 0);
	say(0, "one too many");
	assert_int_equal(hub_counts(hub)->refused, 1);
	admit(expect_offer());
	for (unsigned i = 0; i < QUEUE_MAX; i++)
		expect_read(program, "x");
	expect_silence(program);
}

static void test_refused(void **ctx)
{
	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	decide(expect_offer(), CHANNEL_NOT_ALLOWED, -EBADF, NOW);
	say(0, "x");
	expect_no_offer();
	assert_int_equal(hub_counts(hub)->refused, 2);
	assert_int_equal(hub_due(hub), NOW + HUB_REFUSED_FOR);
	hub_look(hub, NOW + HUB_REFUSED_FOR);
	assert_int_equal(hub_due(hub), USEC_INFINITY);
	say(0, "x");
	decide(expect_offer(), CHANNEL_BUSY, -EBADF, NOW);
	assert_int_equal(hub_due(hub), NOW + HUB_BUSY_FOR);
}

/* The descriptor was lost on the way. */
static void test_admitted_without_a_pair(void **ctx)
{
	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	decide(expect_offer(), CHANNEL_ADMITTED, -EBADF, NOW);
	assert_int_equal(hub_counts(hub)->refused, 1);
	assert_int_equal(hub_due(hub), NOW + HUB_BUSY_FOR);
}

/* What nobody has asked. */
static void test_foreign_verdict(void **ctx)
{
	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	admit(0);
	assert_int_equal(recv(program, &(char){0}, 1, 0), 0);
	admit(expect_offer());
	expect_read(program, "x");
}

static void test_silence(void **ctx)
{
	char nothing;

	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	admit(expect_offer());
	expect_read(program, "x");
	assert_int_equal(hub_due(hub), NOW + TIMEOUT);
	say_at(0, "y", NOW + 1);
	expect_read(program, "y");
	/* It is looked at, and has not been silent for so long. */
	hub_look(hub, NOW + TIMEOUT);
	assert_int_equal(hub_due(hub), NOW + 1 + TIMEOUT);
	expect_silence(program);
	hub_look(hub, NOW + 1 + TIMEOUT);
	assert_int_equal(recv(program, &nothing, 1, 0), 0);
	/* What it still says goes to him, and he is as new. */
	write_message("z", 1);
	pass_answers();
	expect_read(clients[0], "z");
	say_at(0, "new", NOW + 2 + TIMEOUT);
	expect_offer();
	assert_int_equal(hub_due(hub), NOW + 1 + 2 * TIMEOUT);
	hub_look(hub, NOW + 1 + 2 * TIMEOUT);
	assert_int_equal(send(program, "late", 4, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

/* The program's datagrams are enough. */
static void test_answers_keep_it_alive(void **ctx)
{
	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	admit(expect_offer());
	expect_read(program, "x");
	write_message("z", 1);
	wait_for(hub_answers_fd(hub));
	hub_answer(hub, room, NOW + 1);
	expect_read(clients[0], "z");
	hub_look(hub, NOW + TIMEOUT);
	assert_int_equal(hub_due(hub), NOW + 1 + TIMEOUT);
	expect_silence(program);
}

static void test_no_timeout(void **ctx)
{
	(void)ctx;
	begin(false, USEC_INFINITY);
	say(0, "x");
	admit(expect_offer());
	assert_int_equal(hub_due(hub), USEC_INFINITY);
}

static void test_per_datagram(void **ctx)
{
	int first;

	(void)ctx;
	begin(true, TIMEOUT);
	say(0, "one");
	say(0, "two");
	admit(expect_offer());
	first = take_fd(&program);
	admit(expect_offer());
	expect_no_offer();
	expect_read(first, "one");
	assert_int_equal(recv(first, &(char){0}, 1, 0), 0);
	expect_read(program, "two");
	assert_int_equal(recv(program, &(char){0}, 1, 0), 0);
	write_message("TWO", 3);
	pass_answers();
	expect_read(clients[0], "TWO");
	assert_int_equal(send(first, "ONE", 3, 0), 3);
	close(first);
	pass_answers();
	expect_read(clients[0], "ONE");
}

/* What it has said last arrives, though it has not read all; and he is as new. */
static void test_program_ends(void **ctx)
{
	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	say(0, "y");
	admit(expect_offer());
	expect_read(program, "x");
	write_message("bye", 3);
	write_message("", 0);
	write_message("bye", 3);
	program = fd_close(program);
	/* Before anybody has noticed. */
	say(0, "z");
	expect_read(clients[0], "bye");
	expect_read(clients[0], "");
	expect_read(clients[0], "bye");
	admit(expect_offer());
	expect_read(program, "z");
}

static void test_program_does_not_read(void **ctx)
{
	static char long_text[9001];

	(void)ctx;
	memset(long_text, 'x', sizeof long_text - 1);
	begin(false, TIMEOUT);
	say(0, "x");
	admit(expect_offer());
	for (unsigned i = 0; i < 200; i++)
		say(0, long_text);
	assert_true(hub_counts(hub)->unread > 0);
	say(1, "y");
	fd_close(take_fd(&program));
	admit(expect_offer());
	expect_read(program, "y");
}

static void test_too_long(void **ctx)
{
	static const char text[70000];

	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	admit(expect_offer());
	write_message(text, 65508);
	write_message(text, sizeof text);
	write_message("short", 5);
	pass_answers();
	expect_read(clients[0], "short");
	assert_int_equal(hub_counts(hub)->too_long, 2);
}

/* It can only be dropped: there is no room for it. */
static void test_descriptors_are_not_taken(void **ctx)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec piece = {.iov_base = (void *)"x", .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	int next;

	(void)ctx;
	begin(false, TIMEOUT);
	say(0, "x");
	admit(expect_offer());
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.header), &(int){STDERR_FILENO}, sizeof(int));
	assert_int_equal(sendmsg(program, &message, 0), 1);
	next = dup(STDERR_FILENO);
	close(next);
	pass_answers();
	expect_read(clients[0], "x");
	assert_int_equal(dup(STDERR_FILENO), next);
	close(next);
}

static void test_kinds_of_sockets(void **ctx)
{
	const struct hub_setup setup = {.timeout = TIMEOUT};
	struct hub *none = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)ctx;
	assert_int_equal(hub_new(&setup, STDERR_FILENO, &none), -ENOTSOCK);
	fd_close(fd);
	assert_null(none);
}

/* -------------------------------------------------------------- UNIX datagrams */

/* By somebody else: what comes from the process that has the socket is its own answer. */
static pid_t say_elsewhere(int i, const char *text, const char *more)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)!send(clients[i], text, strlen(text), 0);
		if (more)
			(void)!send(clients[i], more, strlen(more), 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(hub_arrive(hub, room, NOW));
	return pid;
}

static void test_local_senders(void **ctx)
{
	const struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct channel_answer offer;
	const int on = 1;
	struct ucred user;
	int fd, named, nameless;
	struct sockaddr_un own;
	socklen_t len = sizeof own;
	struct hub_setup setup = {.timeout = TIMEOUT, .own = getpid()};
	pid_t pid;

	(void)ctx;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* Any abstract name that is free. */
	assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof name.sun_family), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	assert_int_equal(hub_new(&setup, fd, &hub), 0);
	named = clients[0] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	nameless = clients[1] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(named, (const struct sockaddr *)&name, sizeof name.sun_family), 0);
	assert_int_equal(connect(named, (struct sockaddr *)&own, len), 0);
	assert_int_equal(connect(nameless, (struct sockaddr *)&own, len), 0);

	say(0, "an answer of ours");
	expect_no_offer();
	pid = say_elsewhere(0, "named", NULL);
	assert_true(is_asked(&offer));
	assert_int_equal(offer.facts.peer.family, AF_UNIX);
	assert_int_equal(offer.facts.local.family, 0);
	memcpy(&user, offer.facts.peer.ip, sizeof user);
	assert_int_equal(user.pid, pid);
	assert_int_equal(user.uid, geteuid());
	assert_int_equal(user.gid, getegid());
	admit(offer.ticket);
	expect_read(program, "named");
	write_message("answer", 6);
	pass_answers();
	expect_read(named, "answer");

	say_elsewhere(1, "nameless", "");
	admit(expect_offer());
	expect_no_offer();
	expect_read(program, "nameless");
	expect_read(program, "");
	write_message("answer", 6);
	pass_answers();
	/* That, and what was our own. */
	assert_int_equal(hub_counts(hub)->failed, 2);
}

/* --------------------------------------------------------------------------- main */

static int make_room(void **ctx)
{
	(void)ctx;
	room = hub_room_new();
	alarm(PATIENCE);
	return room ? 0 : -1;
}

static int free_room(void **ctx)
{
	(void)ctx;
	room = hub_room_free(room);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_offer_says_who),
		TEST(test_both_ways),
		TEST(test_queue_is_bounded),
		TEST(test_refused),
		TEST(test_admitted_without_a_pair),
		TEST(test_foreign_verdict),
		TEST(test_silence),
		TEST(test_answers_keep_it_alive),
		TEST(test_no_timeout),
		TEST(test_per_datagram),
		TEST(test_program_ends),
		TEST(test_program_does_not_read),
		TEST(test_too_long),
		TEST(test_descriptors_are_not_taken),
		TEST(test_kinds_of_sockets),
		TEST(test_local_senders),
	};

	return cmocka_run_group_tests(tests, make_room, free_room);
}
