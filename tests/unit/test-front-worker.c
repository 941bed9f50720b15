/*
 * hatchd-front: the program itself, in its sandbox, with the test as its master.  What it
 * does with a connection is in test-front; here it is whether it does it.
 */
#include "base/fd.h"
#include "base/front.h"
#include "base/own.h"
#include "os/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

#define BYTES(text) text, sizeof(text) - 1

#define HEADER        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
#define SERVICE_BYTES "EHLO\r\n"

/* Who are slow at a time, and what they may cost. */
#define CROWD        5000
#define CROWD_MEMORY (50 * 1024) /* kB */
#define OWN_FDS      64
#define PLACES       (CROWD + 8)

struct stage {
	struct channel channel;
	pid_t pid;
	uint64_t last; /* connection */
	struct {
		int client, program;
	} ends[4];
};

static _Noreturn void run_worker(const int theirs[2])
{
	const char *folder = getenv("builddir");
	char path[4096], places[16];
	int requests = fd_move_up(theirs[0], 10), answers = fd_move_up(theirs[1], 10);

	snprintf(path, sizeof path, "%s/hatchd-front", folder ? folder : ".");
	snprintf(places, sizeof places, "%d", PLACES);
	if (dup2(requests, CHANNEL_REQUESTS_FD) < 0 || dup2(answers, CHANNEL_ANSWERS_FD) < 0)
		_exit(99);
	fd_close_range(CHANNEL_ANSWERS_FD + 1, ~0U >> 1);
	execl(path, "hatchd-front", places, (char *)NULL);
	_exit(98);
}

static struct channel_answer next_answer(struct stage *stage)
{
	struct pollfd p = {.fd = stage->channel.answers, .events = POLLIN};
	struct channel_answer answer;

	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(channel_receive(&stage->channel, &answer, 1), 1);
	return answer;
}

static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof *stage);
	int theirs[2];

	for (size_t i = 0; i < ARRAY_SIZE(stage->ends); i++)
		stage->ends[i].client = stage->ends[i].program = -EBADF;
	assert_int_equal(channel_new(&stage->channel, theirs), 0);
	stage->pid = fork();
	assert_true(stage->pid >= 0);
	if (stage->pid == 0)
		run_worker(theirs);
	close(theirs[0]);
	close(theirs[1]);
	assert_int_equal(next_answer(stage).kind, CHANNEL_READY);
	*state = stage;
	return 0;
}

static int exit_status(struct stage *stage)
{
	int status;

	assert_int_equal(waitpid(stage->pid, &status, 0), stage->pid);
	stage->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int tear_down(void **state)
{
	struct stage *stage = *state;

	fd_close(stage->channel.requests);
	fd_close(stage->channel.answers);
	for (size_t i = 0; i < ARRAY_SIZE(stage->ends); i++) {
		fd_close(stage->ends[i].client);
		fd_close(stage->ends[i].program);
	}
	if (stage->pid > 0) {
		kill(stage->pid, SIGKILL);
		waitpid(stage->pid, NULL, 0);
	}
	free(stage);
	return 0;
}

/* ------------------------------------------------------------------------- requests */

static struct channel_request request_of(unsigned kind, uint64_t connection, uint32_t place)
{
	struct channel_request request;

	memset(&request, 0, sizeof request);
	request.version = CHANNEL_VERSION;
	request.kind = (uint16_t)kind;
	request.session = (struct channel_session){.connection = connection, .place = place};
	return request;
}

/* When there is room for it. */
static void request(
	struct stage *stage, const struct channel_request *request, const int *fds, size_t n)
{
	struct pollfd p = {.fd = stage->channel.requests, .events = POLLOUT};
	int r;

	while ((r = channel_send(&stage->channel, request, fds, n)) == -EAGAIN)
		assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(r, 0);
}

static void pair(int *ret_client, int *ret_server)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*ret_client = ends[0];
	*ret_server = ends[1];
}

/* A client in that place, below 4; `text` -EBADF: none. */
static int serve_as(struct stage *stage, struct channel_request *made, int text)
{
	uint32_t place = made->session.place;
	int fds[2] = {-EBADF, text};

	assert_true(place < ARRAY_SIZE(stage->ends));
	made->session.connection = ++stage->last;
	made->has_text = text >= 0;
	fd_close(stage->ends[place].client);
	fd_close(stage->ends[place].program);
	pair(&stage->ends[place].client, &stage->ends[place].program);
	fds[0] = stage->ends[place].program;
	request(stage, made, fds, text >= 0 ? 2 : 1);
	return stage->ends[place].client;
}

static int serve(struct stage *stage, unsigned what, uint32_t place)
{
	struct channel_request made = request_of(CHANNEL_SERVE, 0, place);

	made.what = (uint16_t)what;
	return serve_as(stage, &made, -EBADF);
}

static int serve_with(struct stage *stage, uint32_t place, const struct front_text *text)
{
	struct channel_request made = request_of(CHANNEL_SERVE, 0, place);
	int fd = memfd_create("text", MFD_CLOEXEC), client;
	struct wire_writer w;

	wire_writer_init(&w);
	assert_int_equal(front_text_write(text, &w), 0);
	assert_int_equal(write(fd, w.data, w.len), w.len);
	wire_writer_done(&w);
	client = serve_as(stage, &made, fd);
	close(fd);
	return client;
}

static void judge(struct stage *stage, const struct channel_answer *offer, unsigned verdict,
	unsigned what)
{
	struct channel_request made =
		request_of(CHANNEL_VERDICT, offer->session.connection, offer->session.place);

	made.verdict = (uint16_t)verdict;
	made.what = (uint16_t)what;
	request(stage, &made, NULL, 0);
}

static struct channel_answer is_done(
	struct stage *stage, uint64_t connection, enum channel_result result)
{
	struct channel_answer answer = next_answer(stage);

	assert_int_equal(answer.kind, CHANNEL_DONE);
	assert_int_equal(answer.session.connection, connection);
	assert_int_equal(answer.result, result);
	return answer;
}

static void says(int client, const void *bytes, size_t len)
{
	assert_int_equal(send(client, bytes, len, MSG_NOSIGNAL), len);
}

static void hears(int client, const char *text)
{
	char buf[256];

	assert_int_equal(recv(client, buf, strlen(text), MSG_WAITALL), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void is_left(struct stage *stage, uint32_t place, const char *text)
{
	char buf[256];
	ssize_t n = recv(stage->ends[place].program, buf, sizeof buf, MSG_DONTWAIT);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
	assert_int_equal(fcntl(stage->ends[place].program, F_GETFL) & O_NONBLOCK, 0);
}

/* ---------------------------------------------------------------------------- tests */

static void test_a_header(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, FRONT_PROXY, 3);
	struct channel_answer done;

	says(client, BYTES(HEADER SERVICE_BYTES));
	done = is_done(stage, 1, CHANNEL_PASSED);
	assert_int_equal(done.session.place, 3);
	assert_int_equal(done.bytes_in, sizeof HEADER - 1);
	assert_int_equal(done.facts.peer.family, AF_INET);
	assert_int_equal(done.facts.peer.port, 56324);
	assert_memory_equal(done.facts.peer.ip, "\xc0\x00\x02\x01", 4);
	assert_int_equal(done.facts.local.port, 443);
	is_left(stage, 3, SERVICE_BYTES);
}

static void test_a_name(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, FRONT_PROXY | FRONT_MUX, 0);
	struct channel_answer offer, done;

	says(client, BYTES(HEADER "Upper\r\n" SERVICE_BYTES));
	offer = next_answer(stage);
	assert_int_equal(offer.kind, CHANNEL_OFFER);
	assert_string_equal(offer.facts.service, "upper");
	assert_int_equal(offer.facts.peer.port, 56324);
	judge(stage, &offer, CHANNEL_ADMITTED, FRONT_PLUS);
	done = is_done(stage, 1, CHANNEL_PASSED);
	assert_memory_equal(&done.facts, &offer.facts, sizeof done.facts);
	hears(client, "+go\r\n");
	is_left(stage, 0, SERVICE_BYTES);
}

/* He hears why although he has sent more, and his place is free again after that. */
static void test_a_name_that_is_refused(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, FRONT_MUX, 0);
	struct channel_answer offer;

	says(client, BYTES("nothing\r\n" SERVICE_BYTES));
	offer = next_answer(stage);
	judge(stage, &offer, CHANNEL_NO_SERVICE, 0);
	hears(client, "-no such service\r\n");
	assert_int_equal(recv(client, &(char){0}, 1, 0), 0);
	stage->ends[0].client = fd_close(client);
	is_done(stage, 1, CHANNEL_FINISHED);
	client = serve(stage, FRONT_MUX, 0);
	says(client, "\r\n", 2);
	hears(client, "-the name is empty\r\n");
	stage->ends[0].client = fd_close(client);
	is_done(stage, 2, CHANNEL_BAD_HEADER);
}

static void test_texts(void **state)
{
	static const struct front_text text = {
		.banner = {(const uint8_t *)"hello\n", 6},
		.success = {(const uint8_t *)"come in\n", 8},
	};
	struct stage *stage = *state;
	struct channel_answer offers[2];
	int a = serve_with(stage, 0, &text), b = serve_with(stage, 1, &text);

	hears(a, "hello\n");
	hears(b, "hello\n");
	offers[0] = next_answer(stage);
	offers[1] = next_answer(stage);
	judge(stage, &offers[0], CHANNEL_ADMITTED, 0);
	is_done(stage, 1, CHANNEL_PASSED);
	hears(a, "come in\n");
	judge(stage, &offers[1], CHANNEL_ADMITTED, 0);
	assert_int_equal(is_done(stage, 2, CHANNEL_PASSED).bytes_out, 14);
	hears(b, "come in\n");
}

static void test_denied(void **state)
{
	static const struct front_text text = {.fail = {(const uint8_t *)"no\n", 3}};
	struct stage *stage = *state;
	struct channel_request made = request_of(CHANNEL_SERVE, 0, 0);
	int fd = memfd_create("text", MFD_CLOEXEC), client;
	struct wire_writer w;

	made.what = FRONT_DENIED;
	wire_writer_init(&w);
	assert_int_equal(front_text_write(&text, &w), 0);
	assert_int_equal(write(fd, w.data, w.len), w.len);
	wire_writer_done(&w);
	client = serve_as(stage, &made, fd);
	close(fd);
	hears(client, "no\n");
	assert_int_equal(recv(client, &(char){0}, 1, 0), 0);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	is_done(stage, 1, CHANNEL_FINISHED);
}

static void test_silent(void **state)
{
	struct stage *stage = *state;
	struct channel_request made = request_of(CHANNEL_SERVE, 0, 0);

	made.what = FRONT_PROXY;
	made.patience = 1000;
	serve_as(stage, &made, -EBADF);
	is_done(stage, 1, CHANNEL_SILENT);
}

static void test_ended(void **state)
{
	struct stage *stage = *state;
	struct channel_request end = request_of(CHANNEL_END, 1, 2);

	serve(stage, FRONT_PROXY, 2);
	request(stage, &end, NULL, 0);
	is_done(stage, 1, CHANNEL_ENDED);
}

/* Those that are there go on. */
static void test_drained(void **state)
{
	struct stage *stage = *state;
	struct channel_request drain = request_of(CHANNEL_DRAIN, 0, 0);
	int client = serve(stage, FRONT_PROXY, 0);

	request(stage, &drain, NULL, 0);
	says(client, BYTES(HEADER));
	is_done(stage, 1, CHANNEL_PASSED);
	assert_int_equal(exit_status(stage), 0);
}

static void test_what_cannot_be_begun(void **state)
{
	struct stage *stage = *state;
	struct channel_request made = request_of(CHANNEL_SERVE, 0, 0);
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_int_equal(write(fd, "hello", 5), 5);
	serve_as(stage, &made, fd);
	close(fd);
	is_done(stage, 1, CHANNEL_REFUSED);
	made.is_socket = 1;
	serve_as(stage, &made, -EBADF);
	is_done(stage, 2, CHANNEL_REFUSED);
}

/* ---------------------------------------------------------------------------- its state */

/* The number behind that word in /proc/PID/status. */
static long status_of(const struct stage *stage, const char *word, int base)
{
	char path[64], line[256];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)stage->pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, word, strlen(word)) == 0)
			value = strtol(line + strlen(word), NULL, base);
	fclose(file);
	return value;
}

static void test_in_its_sandbox(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(status_of(stage, "Seccomp:", 10), 2);
	assert_int_equal(status_of(stage, "NoNewPrivs:", 10), 1);
	assert_int_equal(status_of(stage, "CapEff:", 16), 0);
}

/* ---------------------------------------------------------------------------- a crowd */

static size_t how_many(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_max > CROWD + OWN_FDS ? CROWD : (size_t)limit.rlim_max - OWN_FDS;
}

/* One more than those of the crowd. */
static void somebody_quick(struct stage *stage, size_t crowd)
{
	struct channel_request made = request_of(CHANNEL_SERVE, ++stage->last, (uint32_t)crowd);
	int client, server;

	made.what = FRONT_PROXY;
	pair(&client, &server);
	says(client, BYTES(HEADER));
	request(stage, &made, &server, 1);
	close(server);
	is_done(stage, made.session.connection, CHANNEL_PASSED);
	close(client);
}

static void let_them_come(struct stage *stage, int *clients, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct channel_request made =
			request_of(CHANNEL_SERVE, ++stage->last, (uint32_t)i);
		int server;

		made.what = FRONT_PROXY;
		made.patience = UINT64_C(3600000000);
		pair(&clients[i], &server);
		request(stage, &made, &server, 1);
		close(server);
	}
}

/* A header each, one byte after the other, and meanwhile others come and are served. */
static void test_many_who_are_slow(void **state)
{
	static int clients[CROWD];
	static const char header[] = HEADER;
	struct stage *stage = *state;
	size_t n = how_many();

	let_them_come(stage, clients, n);
	for (size_t at = 0; at < sizeof header - 2; at++) {
		for (size_t i = 0; i < n; i++)
			says(clients[i], header + at, 1);
		somebody_quick(stage, n);
	}
	if (!SANITIZED)
		assert_in_range(status_of(stage, "VmRSS:", 10), 1, CROWD_MEMORY);
	for (size_t i = 0; i < n; i++) {
		says(clients[i], "\n", 1);
		is_done(stage, i + 1, CHANNEL_PASSED);
		close(clients[i]);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_header),
		TEST(test_a_name),
		TEST(test_a_name_that_is_refused),
		TEST(test_texts),
		TEST(test_denied),
		TEST(test_silent),
		TEST(test_ended),
		TEST(test_drained),
		TEST(test_what_cannot_be_begun),
		TEST(test_in_its_sandbox),
		TEST(test_many_who_are_slow),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(240);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
