/*
 * hatchd-lookup: the program itself, in its sandbox, with the test as its master, its name
 * server and its identd.
 */
#include "lookup-stub.h"

#include "base/clock.h"
#include "os/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACES 256

/* Long enough for whatever is to come, and too short for what never does. */
#define LONG  (UINT64_C(90) * USEC_PER_SEC)
#define SHORT (20 * USEC_PER_MSEC)

/* As in desk.h. */
#define FLIGHTS            64
#define FLIGHTS_PER_SOURCE 16

static const char hosts_text[] = "192.0.2.11 FromFile.example alias\n"
				 "10.9.9.9 trusted.example\n"
				 "192.0.2.14 mine.example\n"
				 "2001:db8::b twice.example\n"
				 "192.0.2.15 twice.example\n";

#define PTR(ip, ...)                                                                  \
	{                                                                             \
		.name = ip ".in-addr.arpa", .type = TYPE_PTR, .ttl = 300, __VA_ARGS__ \
	}
#define A(host, ...)                                                  \
	{                                                             \
		.name = host, .type = TYPE_A, .ttl = 300, __VA_ARGS__ \
	}
#define AAAA(host, ...)                                                  \
	{                                                                \
		.name = host, .type = TYPE_AAAA, .ttl = 300, __VA_ARGS__ \
	}

static const struct record records[] = {
	PTR("1.2.0.192", .data = {"Good.Example"}),
	A("good.example", .data = {"192.0.2.1"}),
	PTR("2.2.0.192", .data = {"liar.example"}),
	A("liar.example", .data = {"198.51.100.9", "192.0.2.22"}),
	PTR("3.2.0.192",
		.data = {"liar.example", "nowhere.example", "multi.example", "good.example"}),
	A("multi.example", .data = {"198.51.100.1", "192.0.2.3", "198.51.100.2"}),
	PTR("5.2.0.192", .rcode = SERVFAIL),
	PTR("6.2.0.192", .manner = SILENT),
	PTR("7.2.0.192", .manner = TRUNCATED, .data = {"long.example"}),
	A("long.example", .data = {"192.0.2.7"}),
	PTR("8.2.0.192", .manner = FORGED, .data = {"true.example"}),
	A("true.example", .data = {"192.0.2.8"}),
	PTR("19.2.0.192", .manner = PIECES, .data = {"pieces.example"}),
	A("pieces.example", .data = {"192.0.2.19"}),
	A("evil.example", .data = {"192.0.2.8"}),
	PTR("9.2.0.192", .data = {"192.0.2.9", "-dash.example", "nine.example"}),
	A("192.0.2.9", .data = {"192.0.2.9"}),
	A("-dash.example", .data = {"192.0.2.9"}),
	A("sp ace.example", .data = {"192.0.2.20"}),
	A("nine.example", .data = {"192.0.2.9"}),
	PTR("20.2.0.192", .data = {"sp ace.example"}),
	PTR("10.2.0.192", .data = {"trusted.example"}),
	A("trusted.example", .data = {"192.0.2.10"}),
	PTR("12.2.0.192", .manner = HELD, .data = {"held.example"}),
	A("held.example", .data = {"192.0.2.12"}),
	PTR("13.2.0.192", .manner = GARBAGE),
	PTR("14.2.0.192", .data = {"not-mine.example"}),
	PTR("16.2.0.192", .data = {"broken.example", "sixteen.example"}),
	A("broken.example", .rcode = SERVFAIL),
	A("sixteen.example", .data = {"192.0.2.16"}),
	PTR("17.2.0.192", .data = {"broken.example"}),
	PTR("18.2.0.192",
		.data = {"n1.example", "n2.example", "n3.example", "n4.example", "n5.example",
			"n6.example", "n7.example", "n8.example", "eighteen.example"}),
	A("eighteen.example", .data = {"192.0.2.18"}),

	PTR("*.18.198", .manner = SILENT),
	{.name = "*.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		.type = TYPE_PTR,
		.manner = SILENT},
	{.name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		.type = TYPE_PTR,
		.ttl = 1,
		.data = {"six.example"}},
	AAAA("six.example", .data = {"2001:db8::2", "2001:db8::1"}),
	A("both.example", .data = {"192.0.2.41", "192.0.2.40", "192.0.2.42"}),
	AAAA("both.example", .data = {"2001:db8::41", "2001:db8::40"}),
	A("only4.example", .data = {"192.0.2.50"}),
	AAAA("only4.example", .data = {NULL}),
	A("many.example",
		.data = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5",
			"192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.2.9"}),
	AAAA("many.example", .data = {"2001:db8::1"}),
	A("fails.example", .rcode = SERVFAIL),
	AAAA("fails.example", .rcode = SERVFAIL),
	A("silent.example", .manner = SILENT),
	AAAA("silent.example", .manner = SILENT),
	A("still.example", .manner = SILENT),
	AAAA("still.example", .manner = SILENT),
};

struct stage {
	struct stub stub;
	struct channel channel;
	pid_t pid;
	uint64_t last; /* question */
	char hosts[32];
	bool as_it_is; /* it asks where this machine does, if anything */
};

/* ------------------------------------------------------------------------- the program */

static _Noreturn void run_worker(const struct stage *stage, const int theirs[2])
{
	const char *folder = getenv("builddir");
	char path[4096], places[16], servers[64], hosts[64], port[64];
	int requests = fd_move_up(theirs[0], 10), answers = fd_move_up(theirs[1], 10);

	snprintf(path, sizeof path, "%s/hatchd-lookup", folder ? folder : ".");
	snprintf(places, sizeof places, "%d", PLACES);
	snprintf(servers, sizeof servers, "servers=127.0.0.1:%u", stage->stub.dns_port);
	snprintf(hosts, sizeof hosts, "hosts=%s", stage->hosts);
	snprintf(port, sizeof port, "ident-port=%u", stage->stub.ident_port);
	if (dup2(requests, CHANNEL_REQUESTS_FD) < 0 || dup2(answers, CHANNEL_ANSWERS_FD) < 0)
		_exit(99);
	fd_close_range(CHANNEL_ANSWERS_FD + 1, ~0U >> 1);
	if (stage->as_it_is)
		execl(path, "hatchd-lookup", places, (char *)NULL);
	execl(path, "hatchd-lookup", places, servers, hosts, port, "time=90", (char *)NULL);
	_exit(98);
}

static struct lookup_answer next_answer(struct stage *stage)
{
	struct lookup_answer answer;

	stub_serve_until(&stage->stub, stage->channel.answers, UINT32_MAX);
	assert_int_equal(lookup_receive(&stage->channel, &answer, 1), 1);
	return answer;
}

static void write_hosts(struct stage *stage)
{
	int fd;

	strcpy(stage->hosts, "/tmp/hatchd-hosts-XXXXXX");
	fd = mkostemp(stage->hosts, O_CLOEXEC);
	assert_int_equal(write(fd, hosts_text, strlen(hosts_text)), strlen(hosts_text));
	close(fd);
}

static int start(void **state, bool as_it_is)
{
	struct stage *stage = calloc(1, sizeof *stage);
	int theirs[2];

	stage->as_it_is = as_it_is;
	stub_init(&stage->stub, records, ARRAY_SIZE(records));
	write_hosts(stage);
	assert_int_equal(channel_new(&stage->channel, theirs), 0);
	stage->pid = fork();
	assert_true(stage->pid >= 0);
	if (stage->pid == 0)
		run_worker(stage, theirs);
	close(theirs[0]);
	close(theirs[1]);
	assert_int_equal(next_answer(stage).kind, LOOKUP_READY);
	unlink(stage->hosts);
	*state = stage;
	return 0;
}

static int set_up(void **state)
{
	return start(state, false);
}

static int set_up_as_it_is(void **state)
{
	return start(state, true);
}

static int exit_status(struct stage *stage)
{
	int status;

	assert_int_equal(waitpid(stage->pid, &status, 0), stage->pid);
	stage->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Whatever it was asked, it is there, and ends well: so a break-out of the sandbox, or a
 * finding of a sanitizer, is seen here at the latest. */
static int tear_down(void **state)
{
	struct stage *stage = *state;

	stage->channel.requests = fd_close(stage->channel.requests);
	stage->channel.answers = fd_close(stage->channel.answers);
	if (stage->pid > 0)
		assert_int_equal(exit_status(stage), 0);
	stub_done(&stage->stub);
	free(stage);
	return 0;
}

/* --------------------------------------------------------------------------- questions */

static struct addr address(const char *ip, uint16_t port)
{
	uint8_t bytes[16];
	struct addr addr;
	bool is_ipv4 = inet_pton(AF_INET, ip, bytes) == 1;

	if (!is_ipv4)
		assert_int_equal(inet_pton(AF_INET6, ip, bytes), 1);
	addr_from_ip(ADDR_TCP, bytes, is_ipv4 ? 4 : 16, port, &addr);
	return addr;
}

/* When there is room for it. */
static void post(struct stage *stage, const struct lookup_request *request)
{
	struct pollfd p = {.fd = stage->channel.requests, .events = POLLOUT};
	int r;

	while ((r = lookup_send(&stage->channel, request)) == -EAGAIN)
		assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(r, 0);
}

static void request(struct stage *stage, unsigned kind, uint64_t number)
{
	struct lookup_request request;

	memset(&request, 0, sizeof request);
	request.version = LOOKUP_VERSION;
	request.kind = (uint16_t)kind;
	request.session.connection = number;
	request.session.place = (uint32_t)(number % PLACES);
	post(stage, &request);
}

/* Questions are numbered from 1 on, and so are their places. */
static uint64_t ask(struct stage *stage, const struct lookup_question *question, uint64_t usec)
{
	struct lookup_request request;

	memset(&request, 0, sizeof request);
	request.version = LOOKUP_VERSION;
	request.kind = LOOKUP_ASK;
	request.session.connection = ++stage->last;
	request.session.place = (uint32_t)(stage->last % PLACES);
	request.patience = usec;
	request.question = *question;
	post(stage, &request);
	return stage->last;
}

static uint64_t ask_name(struct stage *stage, const char *ip, uint64_t usec)
{
	struct addr peer = address(ip, 0);
	struct lookup_question question;

	assert_int_equal(lookup_question_init(&question, LOOKUP_NAME_OF, &peer, NULL, NULL), 0);
	return ask(stage, &question, usec);
}

static uint64_t ask_addresses(struct stage *stage, const char *name, uint64_t usec)
{
	struct lookup_question question;

	assert_int_equal(
		lookup_question_init(&question, LOOKUP_ADDRESSES_OF, NULL, NULL, name), 0);
	return ask(stage, &question, usec);
}

static uint64_t ask_ident(struct stage *stage, uint64_t usec)
{
	struct addr peer = address("127.0.0.1", 51234), local = address("127.0.0.2", 22);
	struct lookup_question question;

	assert_int_equal(lookup_question_init(&question, LOOKUP_IDENT, &peer, &local, NULL), 0);
	return ask(stage, &question, usec);
}

static struct lookup_facts facts_of(struct stage *stage, uint64_t number)
{
	struct lookup_answer answer = next_answer(stage);

	assert_int_equal(answer.kind, LOOKUP_DONE);
	assert_int_equal(answer.session.connection, number);
	assert_int_equal(answer.session.place, number % PLACES);
	return answer.facts;
}

static void is_result(struct stage *stage, uint64_t number, enum lookup_result result)
{
	assert_int_equal(facts_of(stage, number).result, result);
}

static void is_named(struct stage *stage, const char *ip, const char *name)
{
	struct lookup_facts facts = facts_of(stage, ask_name(stage, ip, LONG));

	assert_int_equal(facts.result, LOOKUP_FOUND);
	assert_string_equal(facts.text, name);
}

static void is_nobody(struct stage *stage, const char *ip, enum lookup_result result)
{
	is_result(stage, ask_name(stage, ip, LONG), result);
}

/* ------------------------------------------------------------------------------- names */

static void test_names(void **state)
{
	struct stage *stage = *state;

	is_named(stage, "192.0.2.1", "good.example");
	is_named(stage, "2001:db8::1", "six.example");
	is_named(stage, "192.0.2.3", "multi.example");
}

static void test_there_is_none(void **state)
{
	is_nobody(*state, "192.0.2.4", LOOKUP_NONE);
	is_nobody(*state, "2001:db8:7::1", LOOKUP_NONE);
}

/* A name that leads somewhere else is what anybody may write into his own zone. */
static void test_lies(void **state)
{
	is_nobody(*state, "192.0.2.2", LOOKUP_MISMATCH);
}

static void test_names_that_are_none(void **state)
{
	struct stage *stage = *state;

	is_named(stage, "192.0.2.9", "nine.example");
	assert_int_equal(stage->stub.n_queries, 2);
	/* Whether this is no name or no answer is the library's to say. */
	assert_int_not_equal(
		facts_of(stage, ask_name(stage, "192.0.2.20", LONG)).result, LOOKUP_FOUND);
}

/* What the administrator says of a name is not for others to say. */
static void test_hosts(void **state)
{
	struct stage *stage = *state;

	is_named(stage, "192.0.2.11", "fromfile.example");
	is_named(stage, "192.0.2.14", "mine.example");
	assert_int_equal(stage->stub.n_queries, 0);
	is_nobody(stage, "192.0.2.10", LOOKUP_MISMATCH);
	assert_int_equal(stage->stub.n_queries, 1);
}

static void test_server_failure(void **state)
{
	is_nobody(*state, "192.0.2.5", LOOKUP_FAILED);
	is_named(*state, "192.0.2.16", "sixteen.example");
	is_nobody(*state, "192.0.2.17", LOOKUP_FAILED);
}

static void test_garbage(void **state)
{
	is_nobody(*state, "192.0.2.13", LOOKUP_FAILED);
}

static void test_truncated(void **state)
{
	struct stage *stage = *state;

	is_named(stage, "192.0.2.7", "long.example");
	assert_int_equal(stage->stub.n_tcp_queries, 1);
}

static void test_forged(void **state)
{
	struct lookup_facts facts;

	is_named(*state, "192.0.2.8", "true.example");
	/* Newer versions of the library take what is no answer for a failure. */
	facts = facts_of(*state, ask_name(*state, "192.0.2.19", LONG));
	if (facts.result == LOOKUP_FOUND)
		assert_string_equal(facts.text, "pieces.example");
	else
		assert_int_equal(facts.result, LOOKUP_FAILED);
}

/* Of many names but a few are tried. */
static void test_many_names(void **state)
{
	struct stage *stage = *state;

	is_nobody(stage, "192.0.2.18", LOOKUP_MISMATCH);
	assert_int_equal(stage->stub.n_queries, 9);
}

/* --------------------------------------------------------------------------- addresses */

static void has_addresses(struct stage *stage, const char *name, const char *expected)
{
	struct lookup_facts facts = facts_of(stage, ask_addresses(stage, name, LONG));
	char got[512] = "", ip[ADDR_TEXT_MAX];
	struct addr addr;

	assert_int_equal(facts.result, LOOKUP_FOUND);
	for (size_t i = 0; i < facts.n_addresses; i++) {
		lookup_address_to(&facts.addresses[i], &addr);
		strcat(strcat(got, i > 0 ? " " : ""), addr_format_host(&addr, ip));
	}
	assert_string_equal(got, expected);
}

static void test_addresses(void **state)
{
	struct stage *stage = *state;

	has_addresses(stage, "both.example",
		"2001:db8::41 192.0.2.41 2001:db8::40 192.0.2.40 192.0.2.42");
	has_addresses(stage, "only4.example", "192.0.2.50");
	has_addresses(stage, "many.example",
		"2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 "
		"192.0.2.7");
	has_addresses(stage, "twice.example", "2001:db8::b 192.0.2.15");
	has_addresses(stage, "Alias", "192.0.2.11");
}

static void test_no_addresses(void **state)
{
	struct stage *stage = *state;

	is_result(stage, ask_addresses(stage, "nowhere.example", LONG), LOOKUP_NONE);
	is_result(stage, ask_addresses(stage, "fails.example", LONG), LOOKUP_FAILED);
	is_result(stage, ask_addresses(stage, "silent.example", SHORT), LOOKUP_LATE);
}

/* --------------------------------------------------------------- who is in whose way */

static void test_what_is_known_is_not_asked_again(void **state)
{
	struct stage *stage = *state;
	unsigned n;

	is_named(stage, "192.0.2.1", "good.example");
	n = stage->stub.n_queries;
	is_named(stage, "192.0.2.1", "good.example");
	is_nobody(stage, "192.0.2.4", LOOKUP_NONE);
	is_nobody(stage, "192.0.2.4", LOOKUP_NONE);
	is_nobody(stage, "192.0.2.5", LOOKUP_FAILED);
	assert_true(stage->stub.n_queries >= n + 2);
	n = stage->stub.n_queries;
	is_nobody(stage, "192.0.2.5", LOOKUP_FAILED);
	assert_int_equal(stage->stub.n_queries, n);
}

static void test_the_same_is_asked_once(void **state)
{
	struct stage *stage = *state;
	bool seen[3] = {false};

	for (int i = 0; i < 3; i++)
		ask_name(stage, "192.0.2.12", LONG);
	/* They were read in their order: the third is there when this one is answered. */
	is_result(stage, ask_name(stage, "192.0.2.11", LONG), LOOKUP_FOUND);
	stub_serve_until(&stage->stub, -1, 1);
	stub_release(&stage->stub);
	for (int i = 0; i < 3; i++) {
		struct lookup_answer answer = next_answer(stage);

		assert_string_equal(answer.facts.text, "held.example");
		seen[answer.session.connection - 1] = true;
	}
	assert_true(seen[0] && seen[1] && seen[2]);
	assert_int_equal(stage->stub.n_queries, 2);
}

static void test_late(void **state)
{
	struct stage *stage = *state;

	is_result(stage, ask_name(stage, "192.0.2.6", 0), LOOKUP_LATE);
	is_result(stage, ask_name(stage, "192.0.2.6", SHORT), LOOKUP_LATE);
}

/* It was late for one, and is there for the next. */
static void test_a_late_answer_is_kept(void **state)
{
	struct stage *stage = *state;
	unsigned n;

	is_result(stage, ask_name(stage, "192.0.2.12", SHORT), LOOKUP_LATE);
	stub_serve_until(&stage->stub, -1, 1);
	stub_release(&stage->stub);
	is_named(stage, "192.0.2.12", "held.example");
	n = stage->stub.n_queries;
	is_named(stage, "192.0.2.12", "held.example");
	assert_int_equal(stage->stub.n_queries, n);
}

/* Who is never answered is waited for by nobody else. */
static void test_silence_delays_nobody(void **state)
{
	struct stage *stage = *state;
	uint64_t silent = ask_name(stage, "192.0.2.6", LONG);

	is_named(stage, "192.0.2.1", "good.example");
	is_named(stage, "192.0.2.1", "good.example");
	is_named(stage, "192.0.2.11", "fromfile.example");
	request(stage, LOOKUP_FORGET, silent);
	is_result(stage, silent, LOOKUP_FORGOTTEN);
}

/* Both are never answered; those of IPv6 are of one source. */
static uint64_t ask_silent(struct stage *stage, int family, unsigned i)
{
	char ip[64];

	if (family == AF_INET)
		snprintf(ip, sizeof ip, "198.18.%u.%u", i / 100, i % 100 + 1);
	else
		snprintf(ip, sizeof ip, "2001:db8:1::%x", i + 1);
	return ask_name(stage, ip, LONG);
}

/* One more than a source may have: its own oldest goes, and somebody else's stays. */
static void test_one_source(void **state)
{
	struct stage *stage = *state;
	uint64_t other = ask_name(stage, "192.0.2.6", LONG), first = 0, last;

	for (unsigned i = 0; i < FLIGHTS_PER_SOURCE; i++) {
		last = ask_silent(stage, AF_INET6, i);
		first = i == 0 ? last : first;
	}
	ask_silent(stage, AF_INET6, FLIGHTS_PER_SOURCE);
	is_result(stage, first, LOOKUP_CROWDED);
	request(stage, LOOKUP_FORGET, other);
	is_result(stage, other, LOOKUP_FORGOTTEN);
}

/* As many strangers as there is room for, none of whom is ever answered: who comes then is,
 * and one of them makes room. */
static void test_a_crowd(void **state)
{
	struct stage *stage = *state;
	uint64_t first = stage->last + 1;
	struct lookup_facts facts;

	for (unsigned i = 0; i < FLIGHTS; i++)
		ask_silent(stage, AF_INET, i);
	ask_name(stage, "192.0.2.1", LONG);
	is_result(stage, first, LOOKUP_CROWDED);
	facts = facts_of(stage, first + FLIGHTS);
	assert_int_equal(facts.result, LOOKUP_FOUND);
	assert_string_equal(facts.text, "good.example");
}

/* What the administrator asks for is no crowd. */
static void test_targets_in_a_crowd(void **state)
{
	struct stage *stage = *state;
	uint64_t first = stage->last + 1;

	for (unsigned i = 0; i < FLIGHTS - 2; i++)
		ask_silent(stage, AF_INET, i);
	ask_addresses(stage, "silent.example", LONG);
	ask_addresses(stage, "still.example", LONG);
	ask_silent(stage, AF_INET, FLIGHTS);
	is_result(stage, first, LOOKUP_CROWDED);
	ask_silent(stage, AF_INET, FLIGHTS + 1);
	is_result(stage, first + 1, LOOKUP_CROWDED);
}

/* ------------------------------------------------------------------------------- ident */

static void is_user(struct stage *stage, const char *user)
{
	struct lookup_facts facts = facts_of(stage, ask_ident(stage, LONG));

	assert_int_equal(facts.result, LOOKUP_FOUND);
	assert_string_equal(facts.text, user);
}

/* The machine of the client is asked from the address that he came to. */
static void test_ident(void **state)
{
	struct stage *stage = *state;

	is_user(stage, "alice");
	assert_string_equal(stage->stub.ident_question, "51234 , 22\r\n");
	assert_int_equal(ntohl(stage->stub.ident_from.sin_addr.s_addr), INADDR_LOOPBACK + 1);
}

static void test_ident_by_bytes(void **state)
{
	struct stage *stage = *state;

	stage->stub.ident_manner = IDENT_BY_BYTES;
	is_user(stage, "alice");
}

static void test_ident_percent(void **state)
{
	struct stage *stage = *state;

	stage->stub.ident_manner = IDENT_PERCENT;
	is_user(stage, "%n%s?[2J");
}

static void is_no_user(struct stage *stage, enum ident_manner manner, enum lookup_result result)
{
	stage->stub.ident_manner = manner;
	is_result(stage, ask_ident(stage, LONG), result);
}

static void test_ident_is_not_told(void **state)
{
	struct stage *stage = *state;

	is_no_user(stage, IDENT_ERROR, LOOKUP_NONE);
	stage->stub.ident = fd_close(stage->stub.ident);
	is_no_user(stage, IDENT_HONEST, LOOKUP_NONE);
}

static void test_ident_nonsense(void **state)
{
	static const enum ident_manner manners[] = {
		IDENT_FLOOD, IDENT_NULS, IDENT_CLOSES, IDENT_CUTS, IDENT_OTHERS};

	for (size_t i = 0; i < ARRAY_SIZE(manners); i++)
		is_no_user(*state, manners[i], LOOKUP_FAILED);
}

static void test_ident_silence(void **state)
{
	struct stage *stage = *state;
	uint64_t silent;

	stage->stub.ident_manner = IDENT_SILENT;
	is_result(stage, ask_ident(stage, SHORT), LOOKUP_LATE);
	silent = ask_ident(stage, LONG);
	request(stage, LOOKUP_FORGET, silent);
	is_result(stage, silent, LOOKUP_FORGOTTEN);
	/* Neither is in the way of the next one, who is asked anew. */
	stage->stub.ident_manner = IDENT_HONEST;
	is_user(stage, "alice");
}

/* ---------------------------------------------------------------------------- its life */

static void test_ping(void **state)
{
	struct stage *stage = *state;

	ask_name(stage, "192.0.2.6", LONG);
	request(stage, LOOKUP_PING, 0);
	assert_int_equal(next_answer(stage).kind, LOOKUP_PONG);
}

static void test_drained(void **state)
{
	struct stage *stage = *state;
	uint64_t held = ask_name(stage, "192.0.2.12", LONG);

	request(stage, LOOKUP_DRAIN, 0);
	stub_serve_until(&stage->stub, -1, 1);
	stub_release(&stage->stub);
	assert_string_equal(facts_of(stage, held).text, "held.example");
	assert_int_equal(exit_status(stage), 0);
}

static void test_what_is_forgotten_twice(void **state)
{
	struct stage *stage = *state;

	request(stage, LOOKUP_FORGET, 1);
	is_named(stage, "192.0.2.1", "good.example");
	request(stage, LOOKUP_FORGET, 1);
	is_named(stage, "192.0.2.3", "multi.example");
}

/* As hatchd starts it: with the files of this machine, whatever is in them. */
static void test_as_it_is(void **state)
{
	struct stage *stage = *state;

	request(stage, LOOKUP_PING, 0);
	assert_int_equal(next_answer(stage).kind, LOOKUP_PONG);
	request(stage, LOOKUP_DRAIN, 0);
	assert_int_equal(exit_status(stage), 0);
}

/* The pipe is full long before: what has not been read is kept, in its order. */
static void test_a_master_that_does_not_read(void **state)
{
	struct stage *stage = *state;
	int page = (int)sysconf(_SC_PAGESIZE);

	assert_int_equal(fcntl(stage->channel.answers, F_SETPIPE_SZ, page), page);
	assert_true((size_t)page / sizeof(struct lookup_answer) < PLACES / 2);
	for (int i = 0; i < PLACES; i++)
		ask_name(stage, "192.0.2.11", LONG);
	request(stage, LOOKUP_DRAIN, 0);
	for (uint64_t number = 1; number <= PLACES; number++)
		is_result(stage, number, LOOKUP_FOUND);
	assert_int_equal(exit_status(stage), 0);
}

/* The master is not what it should be then, and nothing could be done with it. */
static void test_a_place_twice(void **state)
{
	struct stage *stage = *state;

	ask_name(stage, "192.0.2.6", LONG);
	stage->last += PLACES - 1;
	ask_name(stage, "192.0.2.12", LONG);
	assert_int_equal(exit_status(stage), 1);
}

static void test_requests_without_sense(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(send(stage->channel.requests, "x", 1, 0), 1);
	assert_int_equal(exit_status(stage), 1);
}

static int run(const char *argument)
{
	const char *folder = getenv("builddir");
	char path[4096];
	int status;
	pid_t pid = fork();

	snprintf(path, sizeof path, "%s/hatchd-lookup", folder ? folder : ".");
	if (pid == 0) {
		close(STDERR_FILENO);
		execl(path, "hatchd-lookup", "16", argument, (char *)NULL);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_arguments(void **state)
{
	static const char *const wrong[] = {"servers", "ident-port=0", "ident-port=65536",
		"ident-port=x", "time=0", "time=3601", "something=else", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(run(wrong[i]), 2);
	assert_int_equal(run("servers=nonsense"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_there_is_none),
		TEST(test_lies),
		TEST(test_names_that_are_none),
		TEST(test_hosts),
		TEST(test_server_failure),
		TEST(test_garbage),
		TEST(test_truncated),
		TEST(test_forged),
		TEST(test_many_names),
		TEST(test_addresses),
		TEST(test_no_addresses),
		TEST(test_what_is_known_is_not_asked_again),
		TEST(test_the_same_is_asked_once),
		TEST(test_late),
		TEST(test_a_late_answer_is_kept),
		TEST(test_silence_delays_nobody),
		TEST(test_one_source),
		TEST(test_a_crowd),
		TEST(test_targets_in_a_crowd),
		TEST(test_ident),
		TEST(test_ident_by_bytes),
		TEST(test_ident_percent),
		TEST(test_ident_is_not_told),
		TEST(test_ident_nonsense),
		TEST(test_ident_silence),
		TEST(test_ping),
		TEST(test_drained),
		TEST(test_what_is_forgotten_twice),
		cmocka_unit_test_setup_teardown(test_as_it_is, set_up_as_it_is, tear_down),
		TEST(test_a_master_that_does_not_read),
		TEST(test_a_place_twice),
		TEST(test_requests_without_sense),
		cmocka_unit_test(test_arguments),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
