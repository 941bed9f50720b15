/*
 * front: banners, names of services, offers and verdicts, and clients who are slow, silent,
 * rude, or gone.  Headers of the PROXY protocol are in test-front-proxy.
 */
#include "front-try.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#define SERVICE_BYTES "EHLO\r\n"

/* Whether there is memory for what is learned. */
static bool short_of_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return short_of_memory ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return short_of_memory ? NULL : __real_calloc(n, size);
}

/* What a taking recv(2) finds when urgent data has come since the look: it ends early, and
 * its bytes are others. */
static bool urgent_meanwhile, other_bytes;

ssize_t __real_recv(int fd, void *buf, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags)
{
	bool taking = fd != try.client && !(flags & MSG_PEEK);
	ssize_t n = __real_recv(fd, buf, urgent_meanwhile && taking ? 1 : size, flags);

	if (other_bytes && taking && n > 0)
		*(char *)buf ^= 1;
	return n;
}

/* More than the buffers of any socket here. */
static uint8_t much[FRONT_BANNER_MAX];

static const struct front_text banner = {.banner = {(const uint8_t *)"hello\r\n", 7}};
static const struct front_text success = {.success = {(const uint8_t *)"come in\n", 8}};
static const struct front_text refusal = {.fail = {(const uint8_t *)"go away\n", 8}};
static const struct front_text long_refusal = {.fail = {much, sizeof much}};
static const struct front_text long_success = {.success = {much, sizeof much}};
static const struct front_text long_banner = {.banner = {much, sizeof much}};

/* He hears that much, and turns are taken meanwhile. */
static void hears_much(void)
{
	size_t n = 0;
	char buf[4096];

	while (n < sizeof much) {
		ssize_t r = recv(try.client, buf, sizeof buf, MSG_DONTWAIT);

		assert_true(r > 0);
		n += (size_t)r;
		try_turns();
	}
	assert_int_equal(n, sizeof much);
}

/* The server's end takes little at a time. */
static int small_pair(void)
{
	static const int size = 1;
	int server = try_pair();

	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
	return server;
}

static void begin_small(unsigned what, const struct front_text *text, uint64_t patience)
{
	try_begin_on(small_pair(), what, text, patience);
	try_after(front_go(try.front, 0, try.now));
	try_turns();
}

static void has_source(const char *source)
{
	struct channel_facts got = facts();

	is_address(&got.peer, ADDR_TCP, source);
}

/* ---------------------------------------------------------------------- at once */

static void test_nothing_to_do(void **state)
{
	(void)state;
	try_begin(0, NULL);
	is_over(CHANNEL_PASSED);
	learned_nothing();
	hears_nothing();
	assert_int_equal(send(try.client, BYTES(SERVICE_BYTES), 0), sizeof SERVICE_BYTES - 1);
	is_left(BYTES(SERVICE_BYTES));
}

static void test_a_banner(void **state)
{
	(void)state;
	try_begin(0, &banner);
	is_over(CHANNEL_PASSED);
	hears(BYTES("hello\r\n"));
	assert_int_equal(front_bytes_out(try.front), 7);
}

/* It is told as he reads, and nothing is lost. */
static void test_a_long_banner(void **state)
{
	(void)state;
	begin_small(0, &long_banner, TRY_PATIENCE);
	is_open();
	hears_much();
	is_over(CHANNEL_PASSED);
	assert_int_equal(front_bytes_out(try.front), sizeof much);
}

static void test_a_banner_that_nobody_reads(void **state)
{
	(void)state;
	begin_small(0, &long_banner, TRY_PATIENCE);
	try_at(TRY_NOW + TRY_PATIENCE - 1);
	is_open();
	try_at(TRY_NOW + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
}

static void test_gone_within_the_banner(void **state)
{
	(void)state;
	begin_small(0, &long_banner, TRY_PATIENCE);
	try_leave();
	is_over(CHANNEL_RESET);
}

/* Which must not kill the worker. */
static void test_gone_before_the_banner(void **state)
{
	(void)state;
	try_begin_on(try_pair(), 0, &banner, TRY_PATIENCE);
	try.client = fd_close(try.client);
	try_after(front_go(try.front, 0, try.now));
	is_over(CHANNEL_RESET);
}

/* ---------------------------------------------------------------------- the verdict */

static void test_asked_for_its_own_sake(void **state)
{
	(void)state;
	try_begin(FRONT_ASK, NULL);
	is_offered();
	is_nothing(&try.facts);
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
	hears_nothing();
	is_as_it_was();
}

static void test_asked_and_refused(void **state)
{
	(void)state;
	try_begin(FRONT_ASK, NULL);
	is_offered();
	is_judged(CHANNEL_BUSY, false);
	is_over(CHANNEL_FINISHED);
	hears_nothing();
}

static void test_success(void **state)
{
	(void)state;
	try_begin(0, &success);
	hears_nothing();
	is_offered();
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
	hears(BYTES("come in\n"));
}

static void test_success_is_not_for_the_refused(void **state)
{
	(void)state;
	try_begin(0, &success);
	is_offered();
	is_judged(CHANNEL_NOT_ALLOWED, false);
	is_over(CHANNEL_FINISHED);
	hears_nothing();
}

static void test_fail(void **state)
{
	(void)state;
	for (enum channel_verdict v = CHANNEL_NOT_ALLOWED; v < _CHANNEL_VERDICT_MAX; v++) {
		try_begin(0, &refusal);
		is_offered();
		is_judged(v, false);
		hears(BYTES("go away\n"));
		hears_the_end();
		is_open();
		try_leave();
		is_over(CHANNEL_FINISHED);
		assert_int_equal(front_bytes_out(try.front), 8);
		try_end();
	}
}

static void test_fail_is_not_for_the_admitted(void **state)
{
	(void)state;
	try_begin(0, &refusal);
	is_offered();
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
	hears_nothing();
}

/* As long as it takes, whatever the patience is. */
static void test_a_late_verdict(void **state)
{
	(void)state;
	try_begin(FRONT_ASK, NULL);
	is_offered();
	assert_true(front_due(try.front) == USEC_INFINITY);
	try_at(TRY_NOW + 1000 * TRY_PATIENCE);
	is_open();
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
}

static void test_a_verdict_that_nobody_asked_for(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, NULL);
	is_not_offered();
	is_judged(CHANNEL_ADMITTED, true);
	is_open();
	hears_nothing();
	try_say(BYTES("smtp\n"));
	is_judged(CHANNEL_ADMITTED, true);
	is_open();
	is_offered();
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
	is_judged(CHANNEL_ADMITTED, true);
	is_passed();
	hears_nothing();
}

/* Whoever takes offers has no room: it is made again, and again. */
static void test_an_offer_that_is_not_taken(void **state)
{
	(void)state;
	try_begin(FRONT_ASK, NULL);
	for (int i = 0; i < 100; i++) {
		uint64_t due = front_due(try.front);

		assert_true(due > try.now && due <= try.now + USEC_PER_SEC);
		try_at(due);
		is_open();
	}
	assert_true(try.now > TRY_NOW + TRY_PATIENCE);
	is_offered();
}

/* He may end his side, and what he has said is for the program. */
static void test_ends_while_it_waits(void **state)
{
	(void)state;
	try_begin(FRONT_ASK, NULL);
	is_offered();
	try_say(BYTES(SERVICE_BYTES));
	try_stop_saying();
	is_open();
	try_leave();
	is_open();
	assert_false(try_turn(0));
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
	is_left(BYTES(SERVICE_BYTES));
}

/* What was not read of a banner makes it a reset. */
static void test_gone_while_it_waits(void **state)
{
	static const struct front_text text = {.banner = {(const uint8_t *)"hello\r\n", 7},
		.fail = {(const uint8_t *)"no", 2}};

	(void)state;
	try_begin(0, &text);
	is_offered();
	try_leave();
	is_over(CHANNEL_RESET);
}

static void test_success_that_nobody_reads(void **state)
{
	(void)state;
	begin_small(0, &long_success, TRY_PATIENCE);
	is_offered();
	try_at(TRY_NOW + 100 * TRY_PATIENCE);
	is_judged(CHANNEL_ADMITTED, false);
	is_open();
	assert_true(front_due(try.front) == try.now + TRY_PATIENCE);
	try_at(try.now + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
}

static void test_success_that_is_read_slowly(void **state)
{
	(void)state;
	begin_small(0, &long_success, TRY_PATIENCE);
	is_offered();
	is_judged(CHANNEL_ADMITTED, false);
	hears_much();
	is_passed();
}

static void test_gone_within_success(void **state)
{
	(void)state;
	begin_small(0, &long_success, TRY_PATIENCE);
	is_offered();
	is_judged(CHANNEL_ADMITTED, false);
	try_leave();
	is_over(CHANNEL_RESET);
}

/* ----------------------------------------------------------------- after a refusal */

static void test_denied(void **state)
{
	(void)state;
	try_begin_on(
		try_pair(), FRONT_DENIED | FRONT_PROXY | FRONT_MUX, &refusal, TRY_PATIENCE);
	assert_int_equal(send(try.client, BYTES(V1_LINE), 0), sizeof V1_LINE - 1);
	try_after(front_go(try.front, 0, try.now));
	is_not_offered();
	hears(BYTES("go away\n"));
	hears_the_end();
	try_turns();
	try_leave();
	is_over(CHANNEL_FINISHED);
	learned_nothing();
}

static void test_denied_without_a_word(void **state)
{
	(void)state;
	try_begin(FRONT_DENIED, NULL);
	is_over(CHANNEL_FINISHED);
	hears_nothing();
	try_end();
	try_begin(FRONT_DENIED, &banner);
	is_over(CHANNEL_FINISHED);
	hears_nothing();
}

static void begin_denied(void)
{
	try_begin(FRONT_DENIED, &refusal);
	hears(BYTES("go away\n"));
	is_open();
}

static void test_the_refused_who_stay(void **state)
{
	(void)state;
	begin_denied();
	try_at(TRY_NOW + FRONT_LINGER_TIME - 1);
	is_open();
	try_at(TRY_NOW + FRONT_LINGER_TIME);
	is_over(CHANNEL_FINISHED);
}

/* Bounded, by time also where he does not stop. */
static void test_the_refused_who_go_on_saying(void **state)
{
	static const char bytes[1024];
	size_t n = 0;

	(void)state;
	begin_denied();
	for (; try.goes_on; n += sizeof bytes) {
		assert_true(n < FRONT_LINGER_BYTES);
		try_say(bytes, sizeof bytes);
	}
	assert_int_equal(n, FRONT_LINGER_BYTES);
	is_over(CHANNEL_FINISHED);
	assert_int_equal(front_bytes_in(try.front), FRONT_LINGER_BYTES);
}

static void test_the_refused_who_end(void **state)
{
	(void)state;
	begin_denied();
	try_say(BYTES(SERVICE_BYTES));
	is_open();
	try_stop_saying();
	is_over(CHANNEL_FINISHED);
	assert_int_equal(recv(try.program, &(char){0}, 1, MSG_DONTWAIT), 0);
}

static void test_a_refusal_that_nobody_reads(void **state)
{
	(void)state;
	begin_small(FRONT_DENIED, &long_refusal, TRY_PATIENCE);
	is_open();
	try_at(TRY_NOW + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
}

static void test_a_refusal_that_is_read_slowly(void **state)
{
	(void)state;
	begin_small(FRONT_DENIED, &long_refusal, TRY_PATIENCE);
	hears_much();
	hears_the_end();
	is_open();
	try_leave();
	is_over(CHANNEL_FINISHED);
}

/* ----------------------------------------------------------------------- tcpmux */

static void mux(const char *line)
{
	try_begin(FRONT_MUX, NULL);
	try_say(line, strlen(line));
}

static void is_offered_as(const char *name)
{
	is_offered();
	assert_string_equal(try.facts.service, name);
	assert_int_equal(try.facts.peer.family, 0);
	assert_int_equal(try.facts.authority_len, 0);
}

static void test_a_name(void **state)
{
	(void)state;
	mux("UPPER\r\n" SERVICE_BYTES);
	is_offered_as("upper");
	hears_nothing();
	is_judged(CHANNEL_ADMITTED, true);
	is_passed();
	hears(BYTES("+go\r\n"));
	is_left(BYTES(SERVICE_BYTES));
	assert_int_equal(front_bytes_in(try.front), 7);
	assert_int_equal(front_bytes_out(try.front), 5);
}

static void test_a_name_without_plus(void **state)
{
	(void)state;
	mux("upper\n" SERVICE_BYTES);
	is_offered_as("upper");
	is_judged(CHANNEL_ADMITTED, false);
	is_passed();
	hears_nothing();
	is_left(BYTES(SERVICE_BYTES));
}

/* The service's own greeting comes behind the plus. */
static void test_plus_and_success(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, &success);
	try_say(BYTES("upper\r\n"));
	is_offered();
	is_judged(CHANNEL_ADMITTED, true);
	is_passed();
	hears(BYTES("+go\r\ncome in\n"));
}

static void test_a_name_after_the_banner(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, &banner);
	hears(BYTES("hello\r\n"));
	is_open();
	try_say(BYTES("upper\r\n"));
	is_offered_as("upper");
}

static void test_a_name_after_a_header(void **state)
{
	static const char bytes[] = V1_LINE "Upper\r\n" SERVICE_BYTES;
	const size_t said = sizeof V1_LINE - 1 + 7;

	(void)state;
	for (size_t cut = 0; cut < said; cut++) {
		try_begin(FRONT_PROXY | FRONT_MUX, &banner);
		if (cut > 0)
			try_say(bytes, cut);
		is_not_offered();
		try_say(bytes + cut, sizeof bytes - 1 - cut);
		hears(BYTES("hello\r\n"));
		is_offered();
		assert_string_equal(try.facts.service, "upper");
		is_address(&try.facts.peer, ADDR_TCP, V1_SOURCE);
		is_address(&try.facts.local, ADDR_TCP, V1_TARGET);
		is_judged(CHANNEL_ADMITTED, false);
		is_passed();
		is_left(BYTES(SERVICE_BYTES));
		try_end();
	}
}

static void test_a_name_byte_by_byte(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, NULL);
	try_say_slowly(BYTES("upper\r"));
	is_not_offered();
	is_left("", 0);
	try_say_slowly(BYTES("\n" SERVICE_BYTES));
	is_offered_as("upper");
	is_judged(CHANNEL_ADMITTED, true);
	is_left(BYTES(SERVICE_BYTES));
}

static void test_names_that_are_refused(void **state)
{
	static const struct {
		enum channel_verdict verdict;
		const char *line;
	} cases[] = {
		{CHANNEL_NOT_ALLOWED, "-not allowed\r\n"},
		{CHANNEL_BUSY, "-try again later\r\n"},
		{CHANNEL_NO_SERVICE, "-no such service\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		try_begin(FRONT_MUX, &refusal);
		try_say(BYTES("upper\r\n" SERVICE_BYTES));
		is_offered();
		is_judged(cases[i].verdict, true);
		hears(cases[i].line, strlen(cases[i].line));
		hears_the_end();
		try_leave();
		is_over(CHANNEL_FINISHED);
		try_end();
	}
}

static void is_malformed(const char *line, size_t len, const char *answer)
{
	try_begin(FRONT_MUX, &refusal);
	try_say(line, len);
	if (try.goes_on)
		try_stop_saying();
	hears(answer, strlen(answer));
	hears_the_end();
	is_not_offered();
	if (try.goes_on)
		try_leave();
	is_over(CHANNEL_BAD_HEADER);
	try_end();
}

static void test_lines_that_are_none(void **state)
{
	(void)state;
	is_malformed(BYTES("\r\n"), "-the name is empty\r\n");
	is_malformed(BYTES("a b\r\n"), "-the name has a character that no service has\r\n");
	is_malformed(BYTES("a\rb\r\n"), "-the name has a character that no service has\r\n");
	is_malformed(BYTES("GET / HTTP/1.0\r\n"),
		"-the name has a character that no service has\r\n");
	is_malformed(BYTES("a234567890123456789012345678901234567890"
			   "12345678901234567890123465\r\n"),
		"-the name is too long\r\n");
	is_malformed(BYTES("upper\r"), "-the line is cut short\r\n");
	is_malformed(BYTES("upper"), "-the line is cut short\r\n");
}

static void test_no_line(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, NULL);
	try_leave();
	is_over(CHANNEL_FINISHED);
	try_end();
	/* A proxy that only looks. */
	try_begin(FRONT_PROXY | FRONT_MUX, NULL);
	try_say(BYTES("PROXY UNKNOWN\r\n"));
	try_stop_saying();
	is_over(CHANNEL_FINISHED);
	hears_nothing();
}

static void test_silent(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, NULL);
	try_say(BYTES("upp"));
	try_at(TRY_NOW + TRY_PATIENCE - 1);
	is_open();
	try_say(BYTES("er"));
	try_at(TRY_NOW + TRY_PATIENCE);
	is_over(CHANNEL_SILENT);
	hears_nothing();
}

/* In the very last moment is early enough. */
static void test_just_in_time(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, NULL);
	assert_int_equal(send(try.client, BYTES("upper\r\n"), 0), 7);
	try_after(front_go(try.front, 0, TRY_NOW + TRY_PATIENCE));
	is_offered_as("upper");
}

static void test_no_deadline(void **state)
{
	(void)state;
	try_begin_on(try_pair(), FRONT_MUX, NULL, 0);
	try_after(front_go(try.front, 0, try.now));
	assert_true(front_due(try.front) == USEC_INFINITY);
	try_say(BYTES("upper\r\n"));
	is_offered();
	is_judged(CHANNEL_ADMITTED, true);
	is_passed();
}

/* ------------------------------------------------------------------------- HELP */

static void test_help(void **state)
{
	char *names[] = {(char[]){"upper"}, (char[]){"x-y.z"}, NULL};
	const struct front_text text = {.names = names};

	(void)state;
	try_begin(FRONT_MUX, &text);
	try_say(BYTES("help\r\nmore"));
	is_not_offered();
	hears(BYTES("upper\r\nx-y.z\r\n"));
	hears_the_end();
	try_leave();
	is_over(CHANNEL_FINISHED);
	assert_int_equal(front_bytes_out(try.front), 14);
}

static void test_help_where_there_is_none(void **state)
{
	(void)state;
	mux("HELP\r\n");
	hears_the_end();
	try_leave();
	is_over(CHANNEL_FINISHED);
}

/* Too many for one piece, read slowly. */
static void test_a_long_list(void **state)
{
	enum { N = 5000, LINE = 10 };
	static char names[N][LINE - 1], heard[N * LINE + 1], *vector[N + 1];
	const struct front_text text = {.names = vector};
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		snprintf(names[i], sizeof names[i], "name%04zu", i);
		vector[i] = names[i];
	}
	begin_small(FRONT_MUX, &text, TRY_PATIENCE);
	try_say(BYTES("HELP\r\n"));
	for (ssize_t r = 1; r > 0; n += (size_t)r) {
		r = recv(try.client, heard + n, 777 < sizeof heard - n ? 777 : sizeof heard - n,
			MSG_DONTWAIT);
		assert_true(r >= 0);
		try_turns();
	}
	assert_int_equal(n, N * LINE);
	for (size_t i = 0; i < N; i++) {
		assert_memory_equal(heard + i * LINE, names[i], LINE - 2);
		assert_memory_equal(heard + i * LINE + LINE - 2, "\r\n", 2);
	}
}

/* ------------------------------------------------------------------ what else may be */

static void test_ended_by_us(void **state)
{
	(void)state;
	try_begin(FRONT_MUX, NULL);
	front_abort(try.front);
	assert_int_equal(front_result(try.front), CHANNEL_ENDED);
	assert_false(front_go(try.front, 0, TRY_NOW));
	try_end();
	try_begin(0, NULL);
	front_abort(try.front);
	is_over(CHANNEL_PASSED);
}

static void test_without_memory(void **state)
{
	static const char *const said[] = {"P", V1_LINE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		/* For a parser; for what it has found. */
		try_begin(FRONT_PROXY, NULL);
		try_say("P", i);
		short_of_memory = true;
		try_say(said[i] + i, strlen(said[i]) - i);
		short_of_memory = false;
		is_over(CHANNEL_REFUSED);
		try_end();
	}
	for (size_t i = 0; i < 2; i++) {
		try_begin(FRONT_MUX, NULL);
		try_say("u", i);
		short_of_memory = true;
		try_say(BYTES("pper\r\n"));
		short_of_memory = false;
		is_over(CHANNEL_REFUSED);
		try_end();
	}
}

static void test_without_memory_for_it(void **state)
{
	struct front_setup setup = {.what = FRONT_MUX};
	int fd = try_pair();

	(void)state;
	short_of_memory = true;
	assert_int_equal(front_new(&setup, fd, &try.front), -ENOMEM);
	short_of_memory = false;
	close(fd);
	try.client = fd_close(try.client);
}

/*
 * Who sends in ever so small pieces is not read without end, but a little in each turn.  A
 * piece has a descriptor here: two such are never read as one.
 */
static void say_with_descriptor(const char *byte)
{
	struct iovec iov = {.iov_base = (void *)byte, .iov_len = 1};
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &try.client, sizeof(int));
	assert_int_equal(sendmsg(try.client, &message, MSG_NOSIGNAL), 1);
}

static void test_many_small_pieces(void **state)
{
	static const char line[] = V1_LINE;
	int turns = 0;

	(void)state;
	try_begin(FRONT_PROXY, NULL);
	for (size_t i = 0; i < sizeof line - 1; i++)
		say_with_descriptor(line + i);
	while (try.goes_on) {
		assert_true(try_turn(0));
		assert_true(front_bytes_in(try.front) <= (uint64_t)++turns * 32);
	}
	assert_true(turns > 1);
	is_over(CHANNEL_PASSED);
	has_source(V1_SOURCE);
}

static void test_what_is_taken_is_what_was_seen(void **state)
{
	(void)state;
	urgent_meanwhile = true;
	try_begin(FRONT_PROXY | FRONT_MUX, NULL);
	try_say(BYTES(V1_LINE "upper\r\n" SERVICE_BYTES));
	urgent_meanwhile = false;
	is_offered();
	has_source(V1_SOURCE);
	is_left(BYTES(SERVICE_BYTES));
	try_end();
	for (unsigned what = FRONT_PROXY; what <= FRONT_MUX; what <<= 2) {
		other_bytes = true;
		try_begin(what, NULL);
		try_say(BYTES("PROXY UNKNOWN\r\n"));
		other_bytes = false;
		is_over(CHANNEL_BAD_HEADER);
		try_end();
	}
}

/* Kernels differ in what they make of it.  It keeps nobody awake, and ends. */
static void test_urgent_bytes_over_unix(void **state)
{
	static const char line[] = V1_LINE;

	(void)state;
	for (size_t at = 0; at < sizeof line - 1; at++) {
		try_begin(FRONT_PROXY, NULL);
		if (at > 0)
			try_say(line, at);
		if (send(try.client, "!", 1, MSG_NOSIGNAL | MSG_OOB) < 0)
			assert_int_equal(errno, EOPNOTSUPP);
		try_turns();
		if (try.goes_on)
			try_say(line + at, sizeof line - 1 - at);
		try_at(TRY_NOW + TRY_PATIENCE);
		assert_false(try.goes_on);
		try_end();
	}
}

/* -------------------------------------------------------------------------- TCP */

static int try_tcp(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	socklen_t len = sizeof sin;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	try.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(try.client, (struct sockaddr *)&sin, len), 0);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	close(listener);
	return server;
}

static void begin_tcp(unsigned what, const struct front_text *text)
{
	try_begin_on(try_tcp(), what, text, TRY_PATIENCE);
	try_after(front_go(try.front, 0, try.now));
}

/* Until it is over, or what is there is not enough. */
static void turns_until_over(void)
{
	while (try.goes_on)
		assert_true(try_turn(-1));
}

static void say_urgently(const void *bytes, size_t len)
{
	assert_int_equal(send(try.client, bytes, len, MSG_NOSIGNAL | MSG_OOB), len);
}

static void test_tcp(void **state)
{
	(void)state;
	begin_tcp(FRONT_PROXY, &banner);
	assert_int_equal(send(try.client, BYTES(V1_LINE SERVICE_BYTES), 0),
		sizeof V1_LINE SERVICE_BYTES - 1);
	turns_until_over();
	is_over(CHANNEL_PASSED);
	has_source(V1_SOURCE);
	is_left(BYTES(SERVICE_BYTES));
}

/* One that is left out of what is read is no byte of the header, wherever it stands. */
static void test_tcp_urgent_bytes(void **state)
{
	static const char line[] = V1_LINE;

	(void)state;
	for (size_t at = 0; at < sizeof line - 1; at++) {
		begin_tcp(FRONT_PROXY, NULL);
		if (at > 0)
			assert_int_equal(send(try.client, line, at, 0), at);
		say_urgently("!", 1);
		assert_int_equal(send(try.client, line + at, sizeof line - 1 - at, 0),
			sizeof line - 1 - at);
		assert_int_equal(
			send(try.client, BYTES(SERVICE_BYTES), 0), sizeof SERVICE_BYTES - 1);
		turns_until_over();
		is_over(CHANNEL_PASSED);
		has_source(V1_SOURCE);
		try_end();
	}
}

/* Behind the header it is the program's, who may ask for it. */
static void test_tcp_urgent_byte_of_the_program(void **state)
{
	char byte = 0;
	struct pollfd p = {.events = POLLPRI};

	(void)state;
	begin_tcp(FRONT_PROXY, NULL);
	assert_int_equal(send(try.client, BYTES(V1_LINE), 0), sizeof V1_LINE - 1);
	say_urgently("!", 1);
	turns_until_over();
	is_over(CHANNEL_PASSED);
	p.fd = try.program;
	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_int_equal(recv(try.program, &byte, 1, MSG_OOB), 1);
	assert_int_equal(byte, '!');
}

static void reset(void)
{
	static const struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(try.client, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	try.client = fd_close(try.client);
}

static void test_tcp_reset(void **state)
{
	static const unsigned at[] = {
		FRONT_PROXY, FRONT_PROXY | FRONT_PROXY_OPTIONAL, FRONT_MUX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		begin_tcp(at[i], NULL);
		assert_int_equal(send(try.client, "P", 1, 0), 1);
		while (try_turn(0))
			;
		reset();
		turns_until_over();
		is_over(CHANNEL_RESET);
		try_end();
	}
}

static void test_tcp_reset_while_it_waits(void **state)
{
	(void)state;
	begin_tcp(FRONT_ASK, NULL);
	is_offered();
	reset();
	turns_until_over();
	is_over(CHANNEL_RESET);
}

/* He has sent more than is read: he hears why, and no reset. */
static void test_tcp_refused_who_has_sent_more(void **state)
{
	static const char more[8192];
	char buf[64];

	(void)state;
	begin_tcp(FRONT_MUX, NULL);
	assert_int_equal(send(try.client, BYTES("upper\r\n"), 0), 7);
	while (front_events(try.front) & EPOLLIN)
		assert_true(try_turn(-1));
	is_offered();
	assert_int_equal(send(try.client, more, sizeof more, 0), sizeof more);
	try_after(front_verdict(try.front, CHANNEL_BUSY, false, try.now));
	assert_int_equal(recv(try.client, buf, sizeof buf, MSG_WAITALL), 18);
	assert_memory_equal(buf, "-try again later\r\n", 18);
	try.client = fd_close(try.client);
	turns_until_over();
	is_over(CHANNEL_FINISHED);
	assert_int_equal(front_bytes_in(try.front), 7 + sizeof more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRY_TEST(test_nothing_to_do),
		TRY_TEST(test_a_banner),
		TRY_TEST(test_a_long_banner),
		TRY_TEST(test_a_banner_that_nobody_reads),
		TRY_TEST(test_gone_within_the_banner),
		TRY_TEST(test_gone_before_the_banner),
		TRY_TEST(test_asked_for_its_own_sake),
		TRY_TEST(test_asked_and_refused),
		TRY_TEST(test_success),
		TRY_TEST(test_success_is_not_for_the_refused),
		TRY_TEST(test_fail),
		TRY_TEST(test_fail_is_not_for_the_admitted),
		TRY_TEST(test_a_late_verdict),
		TRY_TEST(test_a_verdict_that_nobody_asked_for),
		TRY_TEST(test_an_offer_that_is_not_taken),
		TRY_TEST(test_ends_while_it_waits),
		TRY_TEST(test_gone_while_it_waits),
		TRY_TEST(test_success_that_nobody_reads),
		TRY_TEST(test_success_that_is_read_slowly),
		TRY_TEST(test_gone_within_success),
		TRY_TEST(test_denied),
		TRY_TEST(test_denied_without_a_word),
		TRY_TEST(test_the_refused_who_stay),
		TRY_TEST(test_the_refused_who_go_on_saying),
		TRY_TEST(test_the_refused_who_end),
		TRY_TEST(test_a_refusal_that_nobody_reads),
		TRY_TEST(test_a_refusal_that_is_read_slowly),
		TRY_TEST(test_a_name),
		TRY_TEST(test_a_name_without_plus),
		TRY_TEST(test_plus_and_success),
		TRY_TEST(test_a_name_after_the_banner),
		TRY_TEST(test_a_name_after_a_header),
		TRY_TEST(test_a_name_byte_by_byte),
		TRY_TEST(test_names_that_are_refused),
		TRY_TEST(test_lines_that_are_none),
		TRY_TEST(test_no_line),
		TRY_TEST(test_silent),
		TRY_TEST(test_just_in_time),
		TRY_TEST(test_no_deadline),
		TRY_TEST(test_help),
		TRY_TEST(test_help_where_there_is_none),
		TRY_TEST(test_a_long_list),
		TRY_TEST(test_ended_by_us),
		TRY_TEST(test_without_memory),
		TRY_TEST(test_without_memory_for_it),
		TRY_TEST(test_many_small_pieces),
		TRY_TEST(test_what_is_taken_is_what_was_seen),
		TRY_TEST(test_urgent_bytes_over_unix),
		TRY_TEST(test_tcp),
		TRY_TEST(test_tcp_urgent_bytes),
		TRY_TEST(test_tcp_urgent_byte_of_the_program),
		TRY_TEST(test_tcp_reset),
		TRY_TEST(test_tcp_reset_while_it_waits),
		TRY_TEST(test_tcp_refused_who_has_sent_more),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
