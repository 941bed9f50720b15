/* work: a worker's life, with the test as its master. */
#include "workers/work.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LABOURERS 200

#define PLACES 4096 /* more answers than two pages of any machine hold */

/* What the worker of these tests does, by `what` of the request. */
enum {
	LISTEN, /* counts what it hears, until the client leaves */
	HAND, /* sends back what it hears, by way of a second descriptor, each time a new one */
	SPEAK,  /* says its text, and that is all */
	EXPIRE, /* nothing, and its time is over at once */
	FAIL,   /* has no memory for it */
	LAST,   /* never ends by itself */
	ASK,    /* offers each letter that it hears, tells the client what became of it, and
	           writes him another one into what came along; a '.' is its end.  A client who
	           comes with it stays, until the master or a '-' ends the last of them */
	LABOUR, /* for 2 ms, when it hears something; and that is all */
};

#define INSIDE_MAX 4

struct talk {
	struct work_session session; /* first */
	int fd;
	int other; /* of HAND; -EBADF: none now */
	unsigned what;
	uint64_t due;
	uint64_t in, out;
	char text[16];
	char asked;                                /* of ASK: to be offered */
	struct channel_session inside[INSIDE_MAX]; /* of ASK: clients of its own */
	unsigned n_inside, n_over;                 /* of those, the last ones are over */
	unsigned n_waits;                          /* of ASK: letters without a verdict */
};

/* Who has clients of his own. */
static struct talk *host;

static struct talk *talk_of(const struct work_session *session)
{
	return (struct talk *)session;
}

static struct work_session *begin(const struct channel_request *request, int fd, int text)
{
	struct talk *talk = request->what == FAIL ? NULL : calloc(1, sizeof *talk);

	if (!talk) {
		close(fd);
		return NULL;
	}
	talk->fd = fd;
	talk->other = -EBADF;
	talk->what = request->what;
	talk->due = talk->what == EXPIRE ? clock_monotonic() + USEC_PER_MSEC : USEC_INFINITY;
	if (text >= 0)
		talk->out = (uint64_t)pread(text, talk->text, sizeof talk->text, 0);
	return &talk->session;
}

static void let_go(struct talk *talk)
{
	talk->other = fd_close(talk->other);
	work_closed(&talk->session, 1);
}

/* What is in it can be read, and then comes its end. */
static void take_another(struct talk *talk, char heard)
{
	int ends[2];

	let_go(talk);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	talk->other = ends[0];
	(void)!send(ends[1], &heard, 1, MSG_NOSIGNAL);
	close(ends[1]);
}

static bool go_other(struct talk *talk)
{
	char heard;

	if (recv(talk->other, &heard, 1, MSG_DONTWAIT) == 1)
		(void)!send(talk->fd, &heard, 1, MSG_NOSIGNAL);
	else
		let_go(talk);
	return true;
}

static bool labour(void)
{
	uint64_t until = clock_monotonic() + 2 * USEC_PER_MSEC;

	while (clock_monotonic() < until)
		;
	return false;
}

static bool go(struct work_session *session, unsigned which, uint32_t events)
{
	struct talk *talk = talk_of(session);
	char heard[64];
	ssize_t n;

	(void)events;
	if (which == 1)
		return go_other(talk);
	if (talk->what == SPEAK) {
		(void)!send(talk->fd, talk->text, talk->out, MSG_NOSIGNAL);
		return false;
	}
	if (talk->what == EXPIRE)
		return clock_monotonic() < talk->due;
	n = recv(talk->fd, heard, sizeof heard, MSG_DONTWAIT);
	if (n > 0)
		talk->in += (uint64_t)n;
	if (n > 0 && talk->what == ASK && heard[0] == '-')
		talk->n_over++;
	else if (n > 0 && talk->what == ASK)
		talk->asked = heard[0];
	if (n > 0 && talk->what == HAND)
		take_another(talk, heard[0]);
	if (talk->what == LABOUR && n > 0)
		return labour();
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static bool is_costly(const struct work_session *session)
{
	return ((const struct talk *)session)->what == LABOUR;
}

static int fd_of(const struct work_session *session, unsigned which)
{
	return which == 0 ? talk_of(session)->fd : talk_of(session)->other;
}

static uint32_t events_of(const struct work_session *session, unsigned which)
{
	return fd_of(session, which) >= 0 ? EPOLLIN : 0;
}

static uint64_t due_of(const struct work_session *session)
{
	return talk_of(session)->due;
}

static void end(struct work_session *session, bool ended, struct channel_answer *ret)
{
	struct talk *talk = talk_of(session);

	ret->result = ended ? CHANNEL_ENDED : CHANNEL_FINISHED;
	ret->bytes_in = talk->in;
	ret->bytes_out = talk->out;
	close(talk->fd);
	fd_close(talk->other);
	if (host == talk)
		host = NULL;
	free(talk);
}

static bool offer(struct work_session *session, struct channel_answer *ret)
{
	struct talk *talk = talk_of(session);

	if (talk->asked == 0)
		return false;
	ret->ticket = (uint32_t)talk->asked;
	ret->facts.service[0] = talk->asked;
	talk->asked = 0;
	talk->n_waits++;
	return true;
}

static bool awaits(const struct work_session *session)
{
	return ((const struct talk *)session)->n_waits > 0;
}

static bool verdict(
	struct work_session *session, const struct channel_request *request, int *fd)
{
	char letter = (char)request->ticket;

	talk_of(session)->n_waits--;
	if (request->client.connection > 0) {
		host = talk_of(session);
		host->inside[host->n_inside++] = request->client;
	}
	if (request->verdict == CHANNEL_ADMITTED && *fd >= 0)
		(void)!send(*fd, &letter, 1, MSG_NOSIGNAL);
	*fd = fd_close(*fd);
	(void)!send(talk_of(session)->fd, request->verdict == CHANNEL_ADMITTED ? "+" : "-", 1,
		MSG_NOSIGNAL);
	return letter != '.';
}

static bool client_done(struct work_session *session, bool all, struct channel_answer *ret)
{
	struct talk *talk = talk_of(session);

	if (talk->n_inside == 0 || (!all && talk->n_over == 0))
		return false;
	talk->n_over -= talk->n_over > 0;
	ret->session = talk->inside[--talk->n_inside];
	ret->result = all ? CHANNEL_ENDED : CHANNEL_FINISHED;
	ret->bytes_in = 5;
	return true;
}

static struct work_session *end_client(const struct channel_session *client)
{
	if (!host || host->n_inside == 0 ||
		host->inside[host->n_inside - 1].connection != client->connection)
		return NULL;
	host->n_over++;
	return &host->session;
}

static bool give_up(struct work_session *session)
{
	(void)!send(talk_of(session)->fd, "-", 1, MSG_NOSIGNAL);
	return talk_of(session)->what == LAST;
}

static bool lasts(const struct work_session *session)
{
	return talk_of(session)->what == LAST;
}

static const struct work_kind kind = {
	.n_fds = WORK_FDS,
	.begin = begin,
	.go = go,
	.offer = offer,
	.verdict = verdict,
	.awaits = awaits,
	.is_costly = is_costly,
	.client_done = client_done,
	.end_client = end_client,
	.give_up = give_up,
	.lasts = lasts,
	.fd = fd_of,
	.events = events_of,
	.due = due_of,
	.end = end,
};

/* ------------------------------------------------------------------- the master */

struct stage {
	struct channel channel;
	pid_t pid;
	uint64_t last; /* connection */
};

static _Noreturn void run_worker(const int theirs[2])
{
	struct work *work;
	int r;

	/* Not over each other. */
	int requests = fd_move_up(theirs[0], 10), answers = fd_move_up(theirs[1], 10);

	if (dup2(requests, CHANNEL_REQUESTS_FD) < 0 || dup2(answers, CHANNEL_ANSWERS_FD) < 0)
		_exit(99);
	fd_close_range(CHANNEL_ANSWERS_FD + 1, ~0U >> 1);
	r = work_new(&kind, PLACES, &work);
	if (r == 0) {
		r = work_run(work);
		work_free(work);
	}
	_exit(-r);
}

static struct channel_answer next_answer(struct stage *stage)
{
	struct pollfd p = {.fd = stage->channel.answers, .events = POLLIN};
	struct channel_answer answer;

	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_int_equal(channel_receive(&stage->channel, &answer, 1), 1);
	return answer;
}

static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof *stage);
	int theirs[2];

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
	if (stage->pid > 0) {
		kill(stage->pid, SIGKILL);
		waitpid(stage->pid, NULL, 0);
	}
	free(stage);
	return 0;
}

static void request(struct stage *stage, unsigned request_kind, unsigned what, uint32_t place,
	uint64_t connection, const int *fds, size_t n)
{
	struct channel_request request;

	memset(&request, 0, sizeof request);
	request.version = CHANNEL_VERSION;
	request.kind = (uint16_t)request_kind;
	request.what = (uint16_t)what;
	request.has_text = n > 1;
	request.session = (struct channel_session){.connection = connection, .place = place};
	assert_int_equal(channel_send(&stage->channel, &request, fds, n), 0);
}

/* The client's end of a new connection in that place. */
static int serve(struct stage *stage, unsigned what, uint32_t place, const char *text)
{
	int ends[2], fds[2], memory = -EBADF;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fds[0] = ends[1];
	if (text) {
		memory = memfd_create("text", MFD_CLOEXEC);
		assert_int_equal(write(memory, text, strlen(text)), strlen(text));
		fds[1] = memory;
	}
	request(stage, CHANNEL_SERVE, what, place, ++stage->last, fds, text ? 2 : 1);
	close(ends[1]);
	fd_close(memory);
	return ends[0];
}

static void is_done(struct stage *stage, uint64_t connection, uint32_t result)
{
	struct channel_answer answer = next_answer(stage);

	assert_int_equal(answer.kind, CHANNEL_DONE);
	assert_int_equal(answer.session.connection, connection);
	assert_int_equal(answer.result, result);
}

static void drain(struct stage *stage)
{
	request(stage, CHANNEL_DRAIN, 0, 0, 0, NULL, 0);
}

/* -------------------------------------------------------------------- the tests */

static void test_over_at_once(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, SPEAK, 3, "hello");
	char said[16];

	assert_int_equal(recv(client, said, sizeof said, 0), 5);
	assert_memory_equal(said, "hello", 5);
	assert_int_equal(recv(client, said, sizeof said, 0), 0);
	is_done(stage, 1, CHANNEL_FINISHED);
	close(client);
}

static void test_places_are_used_again(void **state)
{
	struct stage *stage = *state;

	for (uint64_t i = 1; i <= 100; i++) {
		int client = serve(stage, LISTEN, 0, NULL);

		assert_int_equal(send(client, "abc", 3, 0), 3);
		close(client);
		is_done(stage, i, CHANNEL_FINISHED);
	}
}

static void test_what_was_heard_is_told(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LISTEN, 0, NULL);
	struct channel_answer answer;

	assert_int_equal(send(client, "abc", 3, 0), 3);
	assert_int_equal(send(client, "defg", 4, 0), 4);
	close(client);
	answer = next_answer(stage);
	assert_int_equal(answer.bytes_in, 7);
	assert_int_equal(answer.bytes_out, 0);
}

/* The second one comes and goes; the next has the number of the last. */
static void test_a_second_descriptor(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, HAND, 2, NULL);

	for (char c = 'a'; c <= 'z'; c++) {
		char said;

		assert_int_equal(send(client, &c, 1, 0), 1);
		assert_int_equal(recv(client, &said, 1, 0), 1);
		assert_int_equal(said, c);
	}
	close(client);
	is_done(stage, 1, CHANNEL_FINISHED);
}

static void judge_client(struct stage *stage, unsigned judgement,
	const struct channel_answer *offer, uint64_t client, const int *fds, size_t n)
{
	struct channel_request request;

	memset(&request, 0, sizeof request);
	request.version = CHANNEL_VERSION;
	request.kind = CHANNEL_VERDICT;
	request.verdict = (uint16_t)judgement;
	request.ticket = offer->ticket;
	request.session = offer->session;
	request.client = (struct channel_session){.connection = client, .place = 7};
	assert_int_equal(channel_send(&stage->channel, &request, fds, n), 0);
}

static void judge(struct stage *stage, unsigned judgement, const struct channel_answer *offer,
	const int *fds, size_t n)
{
	judge_client(stage, judgement, offer, 0, fds, n);
}

static struct channel_answer is_offered(struct stage *stage, int client, char letter)
{
	struct channel_answer answer;

	assert_int_equal(send(client, &letter, 1, 0), 1);
	answer = next_answer(stage);
	assert_int_equal(answer.kind, CHANNEL_OFFER);
	assert_int_equal(answer.session.connection, 1);
	assert_int_equal(answer.ticket, letter);
	assert_int_equal(answer.facts.service[0], letter);
	return answer;
}

static void hears(int client, char letter)
{
	char said;

	assert_int_equal(recv(client, &said, 1, 0), 1);
	assert_int_equal(said, letter);
}

/* Refused, admitted, admitted with a descriptor, and over; then it is too late. */
static void test_offered(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, ASK, 5, NULL), ends[2];
	struct channel_answer offer = is_offered(stage, client, 'a');

	judge(stage, CHANNEL_BUSY, &offer, NULL, 0);
	hears(client, '-');
	offer = is_offered(stage, client, 'b');
	judge(stage, CHANNEL_ADMITTED, &offer, NULL, 0);
	hears(client, '+');
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	offer = is_offered(stage, client, 'c');
	judge(stage, CHANNEL_ADMITTED, &offer, &ends[1], 1);
	close(ends[1]);
	hears(client, '+');
	hears(ends[0], 'c');
	assert_int_equal(recv(ends[0], &(char){0}, 1, 0), 0);
	close(ends[0]);
	offer = is_offered(stage, client, '.');
	judge(stage, CHANNEL_ADMITTED, &offer, NULL, 0);
	is_done(stage, 1, CHANNEL_FINISHED);
	judge(stage, CHANNEL_ADMITTED, &offer, NULL, 0);
	drain(stage);
	assert_int_equal(exit_status(stage), 0);
	close(client);
}

static void let_in(struct stage *stage, int client, uint64_t connection)
{
	struct channel_answer offer = is_offered(stage, client, 'a');

	judge_client(stage, CHANNEL_ADMITTED, &offer, connection, NULL, 0);
	hears(client, '+');
}

/* Each has an end of his own: by himself, because he is told to, with whom he is within, or
 * because that one is there no more. */
static void test_clients_within(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, ASK, 5, NULL);
	struct channel_answer offer;

	for (uint64_t connection = 10; connection < 13; connection++)
		let_in(stage, client, connection);
	assert_int_equal(send(client, "-", 1, 0), 1);
	is_done(stage, 12, CHANNEL_FINISHED);
	request(stage, CHANNEL_END, 0, 7, 11, NULL, 0);
	is_done(stage, 11, CHANNEL_FINISHED);
	/* He has gone. */
	request(stage, CHANNEL_END, 0, 7, 11, NULL, 0);
	offer = is_offered(stage, client, '.');
	judge(stage, CHANNEL_ADMITTED, &offer, NULL, 0);
	is_done(stage, 10, CHANNEL_ENDED);
	is_done(stage, 1, CHANNEL_FINISHED);
	judge_client(stage, CHANNEL_ADMITTED, &offer, 20, NULL, 0);
	is_done(stage, 20, CHANNEL_ENDED);
	drain(stage);
	assert_int_equal(exit_status(stage), 0);
	close(client);
}

/* One goes on, the other is over; who has ended meanwhile is nobody's loss. */
static void test_gives_up(void **state)
{
	struct stage *stage = *state;
	int one = serve(stage, LAST, 0, NULL), two = serve(stage, LISTEN, 1, NULL);

	request(stage, CHANNEL_GIVE_UP, 0, 0, 1, NULL, 0);
	hears(one, '-');
	request(stage, CHANNEL_GIVE_UP, 0, 1, 2, NULL, 0);
	is_done(stage, 2, CHANNEL_FINISHED);
	hears(two, '-');
	request(stage, CHANNEL_GIVE_UP, 0, 1, 2, NULL, 0);
	drain(stage);
	is_done(stage, 1, CHANNEL_ENDED);
	assert_int_equal(exit_status(stage), 0);
	close(one);
	close(two);
}

static void test_whose_time_is_over(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, EXPIRE, 0, NULL);

	is_done(stage, 1, CHANNEL_FINISHED);
	close(client);
}

static void test_without_memory(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, FAIL, 0, NULL);

	is_done(stage, 1, CHANNEL_REFUSED);
	assert_int_equal(recv(client, &(char){0}, 1, 0), 0);
	close(client);
}

static void test_ended(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LISTEN, 2, NULL), other = serve(stage, LISTEN, 1, NULL);

	request(stage, CHANNEL_END, 0, 2, 1, NULL, 0);
	is_done(stage, 1, CHANNEL_ENDED);
	/* It is over, and who has the place by now is somebody else. */
	close(client);
	client = serve(stage, LISTEN, 2, NULL);
	request(stage, CHANNEL_END, 0, 2, 1, NULL, 0);
	request(stage, CHANNEL_END, 0, PLACES, 1, NULL, 0);
	request(stage, CHANNEL_END, 0, 1, 2, NULL, 0);
	is_done(stage, 2, CHANNEL_ENDED);
	close(client);
	is_done(stage, 3, CHANNEL_FINISHED);
	close(other);
}

static void test_drained(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LISTEN, 0, NULL);

	drain(stage);
	assert_int_equal(send(client, "abc", 3, 0), 3);
	close(client);
	is_done(stage, 1, CHANNEL_FINISHED);
	assert_int_equal(exit_status(stage), 0);
}

static void test_what_lasts_is_over_when_drained(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LAST, 1, NULL), other = serve(stage, LISTEN, 0, NULL);

	drain(stage);
	is_done(stage, 1, CHANNEL_ENDED);
	assert_int_equal(recv(client, &(char){0}, 1, 0), 0);
	close(client);
	close(other);
	is_done(stage, 2, CHANNEL_FINISHED);
	assert_int_equal(exit_status(stage), 0);
}

static void test_what_lasts_ends_with_the_master(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LAST, 1, NULL);

	stage->channel.requests = fd_close(stage->channel.requests);
	stage->channel.answers = fd_close(stage->channel.answers);
	assert_int_equal(exit_status(stage), 0);
	close(client);
}

static void test_without_a_master(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LISTEN, 0, NULL);

	stage->channel.requests = fd_close(stage->channel.requests);
	stage->channel.answers = fd_close(stage->channel.answers);
	assert_int_equal(send(client, "abc", 3, 0), 3);
	assert_int_equal(waitpid(stage->pid, NULL, WNOHANG), 0);
	close(client);
	assert_int_equal(exit_status(stage), 0);
}

/* Who has asked him, and who is about to. */
static void test_nobody_to_ask(void **state)
{
	struct stage *stage = *state;
	int asks = serve(stage, ASK, 0, NULL), will_ask = serve(stage, ASK, 1, NULL);

	is_offered(stage, asks, 'a');
	stage->channel.requests = fd_close(stage->channel.requests);
	is_done(stage, 1, CHANNEL_ENDED);
	assert_int_equal(waitpid(stage->pid, NULL, WNOHANG), 0);
	assert_int_equal(send(will_ask, "b", 1, 0), 1);
	assert_int_equal(next_answer(stage).kind, CHANNEL_OFFER);
	is_done(stage, 2, CHANNEL_ENDED);
	assert_int_equal(exit_status(stage), 0);
	close(asks);
	close(will_ask);
}

/* The master is not what it should be then, and nothing could be done with it. */
static void test_requests_that_make_no_sense(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LISTEN, PLACES, NULL);

	assert_int_equal(exit_status(stage), EPROTO);
	close(client);
}

static void test_a_place_twice(void **state)
{
	struct stage *stage = *state;
	int client = serve(stage, LISTEN, 0, NULL), other = serve(stage, LISTEN, 0, NULL);

	assert_int_equal(exit_status(stage), EPROTO);
	close(client);
	close(other);
}

static void test_no_connection(void **state)
{
	struct stage *stage = *state;

	request(stage, CHANNEL_SERVE, LISTEN, 0, 1, NULL, 0);
	assert_int_equal(exit_status(stage), EPROTO);
}

/* Its loop stands still, and what is sent meanwhile is there at once. */
static void stop(struct stage *stage)
{
	int status;

	assert_int_equal(kill(stage->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(stage->pid, &status, WUNTRACED), stage->pid);
	assert_true(WIFSTOPPED(status));
}

static void test_answers_of_a_turn_come_at_once(void **state)
{
	struct stage *stage = *state;
	struct pollfd p = {.fd = stage->channel.answers, .events = POLLIN};
	struct channel_answer answers[4];

	stop(stage);
	for (uint32_t i = 0; i < 3; i++)
		close(serve(stage, SPEAK, i, "x"));
	assert_int_equal(kill(stage->pid, SIGCONT), 0);
	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_int_equal(channel_receive(&stage->channel, answers, 4), 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(answers[i].session.connection, i + 1);
}

/* Who has little to do comes between those who have much; and each of them has his turn. */
static void test_much_work(void **state)
{
	struct stage *stage = *state;
	int clients[LABOURERS + 1];
	uint32_t before = LABOURERS, before_pong = LABOURERS;

	for (uint32_t i = 0; i <= LABOURERS; i++) {
		clients[i] = serve(stage, i < LABOURERS ? LABOUR : LISTEN, i, NULL);
		/* There is not room for all of them. */
		request(stage, CHANNEL_PING, 0, 0, 0, NULL, 0);
		assert_int_equal(next_answer(stage).kind, CHANNEL_PONG);
	}
	stop(stage);
	for (uint32_t i = 0; i < LABOURERS; i++)
		assert_int_equal(send(clients[i], "x", 1, 0), 1);
	close(clients[LABOURERS]);
	request(stage, CHANNEL_PING, 0, 0, 0, NULL, 0);
	assert_int_equal(kill(stage->pid, SIGCONT), 0);
	for (uint32_t i = 0, n_done = 0; i < LABOURERS + 2; i++) {
		struct channel_answer answer = next_answer(stage);

		if (answer.kind == CHANNEL_PONG)
			before_pong = n_done;
		else if (answer.session.place == LABOURERS)
			before = n_done;
		n_done += answer.kind == CHANNEL_DONE;
	}
	assert_in_range(before, 0, LABOURERS / 4);
	assert_in_range(before_pong, 0, LABOURERS / 4);
	for (uint32_t i = 0; i < LABOURERS; i++)
		close(clients[i]);
}

/* Those that were served before it are told of. */
static void test_what_goes_wrong_in_the_same_turn(void **state)
{
	struct stage *stage = *state;

	stop(stage);
	close(serve(stage, SPEAK, 0, "x"));
	close(serve(stage, LISTEN, PLACES, NULL));
	assert_int_equal(kill(stage->pid, SIGCONT), 0);
	is_done(stage, 1, CHANNEL_FINISHED);
	assert_int_equal(exit_status(stage), EPROTO);
}

/* The pipe is full long before: what has not been read is kept, in its order. */
static void test_a_master_that_does_not_read(void **state)
{
	struct stage *stage = *state;
	int page = (int)sysconf(_SC_PAGESIZE);

	assert_int_equal(fcntl(stage->channel.answers, F_SETPIPE_SZ, page), page);
	assert_true((size_t)page / sizeof(struct channel_answer) < PLACES / 2);
	for (uint32_t i = 0; i < PLACES; i++) {
		int client = serve(stage, SPEAK, i, "x");
		struct pollfd gone = {.fd = client, .events = POLLRDHUP};

		while (!(gone.revents & POLLRDHUP))
			assert_int_equal(poll(&gone, 1, 30000), 1);
		close(client);
	}
	drain(stage);
	for (uint64_t n = 1; n <= PLACES; n++)
		assert_int_equal(next_answer(stage).session.connection, n);
	assert_int_equal(exit_status(stage), 0);
}

static void test_places(void **state)
{
	(void)state;
	assert_int_equal(work_places(2, (char *[]){"w", "16", NULL}), 16);
	assert_int_equal(work_places(1, (char *[]){"w", NULL}), 0);
	assert_int_equal(work_places(3, (char *[]){"w", "16", "x", NULL}), 0);
	assert_int_equal(work_places(2, (char *[]){"w", "65537", NULL}), 0);
	assert_int_equal(work_places(2, (char *[]){"w", "0", NULL}), 0);
	assert_int_equal(work_places(2, (char *[]){"w", "x", NULL}), 0);
	assert_int_equal(work_places(2, (char *[]){"w", "16x", NULL}), 0);
	assert_int_equal(work_places(2, (char *[]){"w", "-1", NULL}), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_over_at_once),
		TEST(test_places_are_used_again),
		TEST(test_what_was_heard_is_told),
		TEST(test_a_second_descriptor),
		TEST(test_offered),
		TEST(test_clients_within),
		TEST(test_gives_up),
		TEST(test_whose_time_is_over),
		TEST(test_without_memory),
		TEST(test_ended),
		TEST(test_drained),
		TEST(test_what_lasts_is_over_when_drained),
		TEST(test_what_lasts_ends_with_the_master),
		TEST(test_without_a_master),
		TEST(test_nobody_to_ask),
		TEST(test_requests_that_make_no_sense),
		TEST(test_a_place_twice),
		TEST(test_no_connection),
		TEST(test_answers_of_a_turn_come_at_once),
		TEST(test_much_work),
		TEST(test_what_goes_wrong_in_the_same_turn),
		TEST(test_a_master_that_does_not_read),
		cmocka_unit_test(test_places),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
