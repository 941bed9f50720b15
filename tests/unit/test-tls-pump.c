/* pump: what goes between a client who speaks TLS and a program that does not. */
#include "tls-try.h"

#include <signal.h>

#define BULK (10 * 1024 * 1024)

static void begin_with(int version)
{
	BEGIN(.version = version);
	shakes_hands();
	is_admitted();
}

static void begin(void)
{
	begin_with(TLS1_3_VERSION);
}

static void has_moved(uint64_t in, uint64_t out)
{
	assert_int_equal(session_bytes_in(try.session), in);
	assert_int_equal(session_bytes_out(try.session), out);
}

static void client_ends(void)
{
	SSL_shutdown(try.client);
	try_turns();
}

static void program_ends(void)
{
	try.program = fd_close(try.program);
	try_turns();
}

/* It is over without anybody doing anything more. */
static void ends_as(enum channel_result result)
{
	assert_false(try.goes_on);
	assert_int_equal(session_result(try.session), result);
}

/* ------------------------------------------------------------------------ both ways */

static void test_both_ways(void **state)
{
	(void)state;
	begin();
	client_says(BYTES("hello"));
	program_hears(BYTES("hello"));
	program_says(BYTES("world"));
	client_hears(BYTES("world"));
	assert_true(try.goes_on);
	has_moved(5, 5);
}

/* What he says before he is let in waits, also what came with his last word of the
 * handshake. */
static void test_said_before_it_is_open(void **state)
{
	(void)state;
	BEGIN(.version = TLS1_3_VERSION);
	while (SSL_do_handshake(try.client) != 1)
		try_turns();
	assert_int_equal(SSL_write(try.client, "early", 5), 5);
	try_turns();
	try_hear_facts();
	assert_true(try.offered);
	assert_int_equal(SSL_write(try.client, "bird", 4), 4);
	try_turns();
	is_admitted();
	program_hears(BYTES("earlybird"));
}

static void the_client_ends_first(int version)
{
	begin_with(version);
	client_says(BYTES("hello"));
	client_ends();
	program_hears(BYTES("hello"));
	program_hears_the_end();
	assert_true(try.goes_on);
	program_says(BYTES("late"));
	client_hears(BYTES("late"));
	program_ends();
	ends_as(CHANNEL_FINISHED);
	client_hears_the_end(true);
	has_moved(5, 4);
}

static void the_program_ends_first(int version)
{
	begin_with(version);
	program_says(BYTES("hello"));
	shutdown(try.program, SHUT_WR);
	try_turns();
	client_hears(BYTES("hello"));
	client_hears_the_end(true);
	assert_true(try.goes_on);
	client_says(BYTES("late"));
	program_hears(BYTES("late"));
	client_ends();
	program_hears_the_end();
	ends_as(CHANNEL_FINISHED);
	has_moved(4, 5);
}

static void test_the_client_ends_first(void **state)
{
	(void)state;
	the_client_ends_first(TLS1_3_VERSION);
	try_end();
	the_client_ends_first(TLS1_2_VERSION);
}

static void test_the_program_ends_first(void **state)
{
	(void)state;
	the_program_ends_first(TLS1_3_VERSION);
	try_end();
	the_program_ends_first(TLS1_2_VERSION);
}

/* In one piece with the end of it. */
static void test_last_words(void **state)
{
	(void)state;
	begin();
	assert_int_equal(SSL_write(try.client, "hello", 5), 5);
	SSL_shutdown(try.client);
	assert_int_equal(send(try.program, "world", 5, MSG_NOSIGNAL), 5);
	shutdown(try.program, SHUT_WR);
	try_turns();
	ends_as(CHANNEL_FINISHED);
	program_hears(BYTES("hello"));
	program_hears_the_end();
	client_hears(BYTES("world"));
	client_hears_the_end(true);
}

/* ------------------------------------------------------------------------- who breaks off */

static void test_truncated(void **state)
{
	(void)state;
	begin();
	assert_int_equal(SSL_write(try.client, "hello", 5), 5);
	shutdown(try.fd, SHUT_WR);
	try_turns();
	ends_as(CHANNEL_RESET);
	program_hears(BYTES("hello"));
	program_hears_the_end();
	/* That tells it from an end in order. */
	assert_int_equal(send(try.program, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	client_hears_the_end(false);
}

static void test_what_is_no_record(void **state)
{
	(void)state;
	begin();
	assert_int_equal(send(try.fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
	try_turns();
	ends_as(CHANNEL_RESET);
	program_hears_the_end();
}

static void reset(void)
{
	static const struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(try.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	try.fd = fd_close(try.fd);
}

static void wait_and_turn(bool until_over)
{
	struct pollfd p[2];

	do {
		for (int side = 0; side < 2; side++)
			p[side] = (struct pollfd){
				.fd = session_fd(try.session, (enum pump_side)side),
				.events = (short)session_events(
					try.session, (enum pump_side)side)};
		assert_true(poll(p, 2, 60000) > 0);
		try_turns();
	} while (until_over && try.goes_on);
}

static void begin_tcp(void)
{
	BEGIN(.tcp = true, .version = TLS1_3_VERSION);
	for (int i = 0; !try.offered; i++) {
		struct pollfd p = {
			.fd = session_fd(try.session, PUMP_CLIENT), .events = POLLIN};

		SSL_do_handshake(try.client);
		poll(&p, 1, 10);
		try_turns();
		try_hear_facts();
		assert_true(i < 1000);
	}
	is_admitted();
}

static void test_reset_by_the_client(void **state)
{
	(void)state;
	begin_tcp();
	reset();
	wait_and_turn(true);
	ends_as(CHANNEL_RESET);
	program_hears_the_end();
	assert_int_equal(send(try.program, "x", 1, MSG_NOSIGNAL), -1);
}

/* He has ended in order, and does not listen to the answer. */
static void test_reset_after_his_end(void **state)
{
	(void)state;
	begin_tcp();
	SSL_shutdown(try.client);
	wait_and_turn(false);
	program_hears_the_end();
	reset();
	for (int i = 0; i < 1000 && try.goes_on; i++) {
		send(try.program, "x", 1, MSG_NOSIGNAL);
		try_turns();
	}
	ends_as(CHANNEL_RESET);
}

/* A program that has not read everything. */
static void test_the_program_breaks_off(void **state)
{
	(void)state;
	begin();
	client_says(BYTES("hello"));
	assert_int_equal(send(try.program, "world", 5, MSG_NOSIGNAL), 5);
	program_ends();
	assert_true(try.goes_on);
	client_hears(BYTES("world"));
	client_hears_the_end(false);
	/* It is over when he has heard that. */
	is_over(CHANNEL_TARGET_RESET);
	try_end();
	begin();
	client_says(BYTES("hello"));
	program_ends();
	try_at(TRY_NOW + PUMP_PEACE_TIME - 1);
	assert_true(try.goes_on);
	try_at(TRY_NOW + PUMP_PEACE_TIME);
	ends_as(CHANNEL_TARGET_RESET);
}

/* ---------------------------------------------------------------------- who does not leave */

static void test_the_client_stays(void **state)
{
	(void)state;
	begin();
	program_ends();
	client_hears_the_end(true);
	try_at(TRY_NOW + PUMP_PEACE_TIME - 1);
	assert_true(try.goes_on);
	try_at(TRY_NOW + PUMP_PEACE_TIME);
	ends_as(CHANNEL_FINISHED);
}

static void test_the_client_goes_on_talking(void **state)
{
	static char bytes[64 * 1024];
	size_t sum = 0;

	(void)state;
	begin();
	program_ends();
	while (try.goes_on && sum <= PUMP_WASTE_MAX + 2 * PUMP_CHUNK) {
		int n = SSL_write(try.client, bytes, sizeof bytes);

		sum += n > 0 ? (size_t)n : 0;
		try_turns();
	}
	ends_as(CHANNEL_FINISHED);
	assert_true(sum > PUMP_WASTE_MAX / 2);
}

/* A program that only does not listen any more is waited for. */
static void test_the_program_is_deaf(void **state)
{
	(void)state;
	begin();
	shutdown(try.program, SHUT_RD);
	client_says(BYTES("hello"));
	client_says(BYTES("again"));
	try_at(TRY_NOW + 2 * PUMP_LEAVE_TIME);
	assert_true(try.goes_on);
	program_says(BYTES("world"));
	client_hears(BYTES("world"));
	client_ends();
	program_ends();
	ends_as(CHANNEL_FINISHED);
	has_moved(10, 5);
}

/* ------------------------------------------------------------------------- much of it */

static uint8_t byte_at(size_t at, unsigned salt)
{
	return (uint8_t)(at * 31 + (at >> 11) + salt);
}

static void fill(uint8_t *bytes, size_t at, size_t len, unsigned salt)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(at + i, salt);
}

static void is_as_said(const uint8_t *bytes, size_t at, size_t len, unsigned salt)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], byte_at(at + i, salt));
}

/* Sizes that have nothing to do with those of records. */
static size_t piece(size_t at, size_t max)
{
	size_t n = 1 + (at * 7919) % 24001;

	return n < max ? n : max;
}

static void speak_as_client(size_t *at, size_t max)
{
	uint8_t bytes[24001];
	size_t n = piece(*at, max - *at);
	int r;

	if (n == 0)
		return;
	fill(bytes, *at, n, 1);
	r = SSL_write(try.client, bytes, (int)n);
	*at += r > 0 ? (size_t)r : 0;
}

static void speak_as_program(size_t *at, size_t max)
{
	uint8_t bytes[24001];
	size_t n = piece(*at, max - *at);
	ssize_t r;

	if (n == 0)
		return;
	fill(bytes, *at, n, 2);
	r = send(try.program, bytes, n, MSG_NOSIGNAL);
	*at += r > 0 ? (size_t)r : 0;
}

static void hear_as_client(size_t *at)
{
	uint8_t bytes[7001];
	int r = SSL_read(try.client, bytes, (int)piece(*at, sizeof bytes));

	if (r > 0)
		is_as_said(bytes, *at, (size_t)r, 2);
	*at += r > 0 ? (size_t)r : 0;
}

static void hear_as_program(size_t *at)
{
	uint8_t bytes[7001];
	ssize_t r = recv(try.program, bytes, piece(*at, sizeof bytes), 0);

	if (r > 0)
		is_as_said(bytes, *at, (size_t)r, 1);
	*at += r > 0 ? (size_t)r : 0;
}

static void test_much_both_ways(void **state)
{
	size_t said[2] = {0}, heard[2] = {0};

	(void)state;
	begin();
	SSL_set_mode(try.client,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (heard[0] < BULK || heard[1] < BULK) {
		speak_as_client(&said[0], BULK);
		speak_as_program(&said[1], BULK);
		try_turns();
		for (int i = 0; i < 5; i++) {
			hear_as_program(&heard[0]);
			hear_as_client(&heard[1]);
		}
		assert_true(try.goes_on);
	}
	has_moved(BULK, BULK);
	program_hears_nothing();
	client_ends();
	program_ends();
	ends_as(CHANNEL_FINISHED);
}

/* A buffer each, and no more, is what somebody costs who does not read. */
static void test_pressure(void **state)
{
	size_t said = 0, before = 1, heard = 0;

	(void)state;
	begin();
	while (before != said) {
		before = said;
		speak_as_program(&said, BULK);
		try_turns();
	}
	assert_true(said < BULK);
	assert_false(session_events(try.session, PUMP_PROGRAM) & POLLIN);
	assert_int_equal(session_events(try.session, PUMP_CLIENT), POLLIN | POLLOUT);
	while (heard < said) {
		hear_as_client(&heard);
		try_turns();
	}
	assert_true(try.goes_on);
	for (before = said = 0; said == 0 || before != said;) {
		before = said;
		speak_as_client(&said, 8 * BULK);
		try_turns();
	}
	assert_false(session_events(try.session, PUMP_CLIENT) & POLLIN);
	assert_int_equal(session_events(try.session, PUMP_PROGRAM), POLLIN | POLLOUT);
}

/* The program reads slowly, and the client has ended meanwhile. */
static void test_the_rest_is_heard(void **state)
{
	size_t said = 0, heard = 0;

	(void)state;
	begin();
	SSL_set_mode(try.client,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (said < BULK) {
		size_t before = said;

		speak_as_client(&said, BULK);
		try_turns();
		if (before == said)
			hear_as_program(&heard);
	}
	client_ends();
	assert_true(heard < said);
	while (heard < said) {
		assert_true(try.goes_on);
		hear_as_program(&heard);
		try_turns();
	}
	program_hears_the_end();
	program_ends();
	ends_as(CHANNEL_FINISHED);
	has_moved(BULK, 0);
}

/* ------------------------------------------------------------- both do what they should not */

/* Of the program's, as much as there is room for on the way to a client who takes nothing. */
static size_t fills_the_way_out(void)
{
	size_t said = 0, before = 1;

	while (before != said) {
		before = said;
		speak_as_program(&said, BULK);
		try_turns();
	}
	assert_true(session_events(try.session, PUMP_CLIENT) & POLLOUT);
	return said;
}

/* And of the client's.  Over TCP there is a moment between sent and there. */
static size_t fills_the_way_in(void)
{
	struct pollfd p = {.fd = try.fd, .events = POLLOUT};
	size_t said = 0, before = 1;

	SSL_set_mode(try.client,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (before != said) {
		before = said;
		speak_as_client(&said, 8 * BULK);
		try_turns();
		if (before == said && poll(&p, 1, 50) > 0)
			before = said + 1;
	}
	assert_true(session_events(try.session, PUMP_PROGRAM) & POLLOUT);
	return said;
}

/* Nothing happens until then. */
static void is_left_at(uint64_t at, enum channel_result result)
{
	try_at(at - 1);
	assert_true(try.goes_on);
	try_at(at);
	ends_as(result);
}

static void test_nobody_takes_the_rest(void **state)
{
	(void)state;
	begin();
	fills_the_way_out();
	program_ends();
	is_left_at(TRY_NOW + PUMP_LEAVE_TIME, CHANNEL_RESET);
	try_end();
	/* Not even who has said in order that he is through. */
	begin();
	fills_the_way_out();
	client_ends();
	program_ends();
	is_left_at(TRY_NOW + PUMP_LEAVE_TIME, CHANNEL_RESET);
}

/* Each time he takes something he has as long again, and in the end he has got all. */
static void test_somebody_takes_it_slowly(void **state)
{
	size_t said, heard = 0;

	(void)state;
	begin();
	said = fills_the_way_out();
	program_ends();
	for (unsigned i = 1; heard < said; i++) {
		size_t enough = heard + PUMP_CHUNK;

		assert_in_range(i, 1, 100);
		while (heard < said && heard < enough)
			hear_as_client(&heard);
		/* It is too little for the socket to say that there is room again. */
		try_at(TRY_NOW + i * PUMP_LEAVE_TIME);
	}
	client_hears_the_end(true);
	try_at(try.now + PUMP_LEAVE_TIME);
	ends_as(CHANNEL_FINISHED);
	has_moved(0, said);
}

/* A program that may still read has not gone. */
static void test_half_an_end_of_the_program(void **state)
{
	uint64_t later = TRY_NOW + 9 * PUMP_LEAVE_TIME;

	(void)state;
	begin();
	fills_the_way_out();
	shutdown(try.program, SHUT_WR);
	try_turns();
	assert_true(session_due(try.session) == USEC_INFINITY);
	client_says(BYTES("hello"));
	try_at(later);
	assert_true(try.goes_on);
	program_hears(BYTES("hello"));
	program_ends();
	is_left_at(later + PUMP_LEAVE_TIME, CHANNEL_RESET);
}

/* It speaks, and its client is in no hurry to end. */
static void test_talking_to_an_orphan(void **state)
{
	static char bytes[64 * 1024];
	size_t sum = 0;

	(void)state;
	begin();
	fills_the_way_out();
	program_ends();
	while (try.goes_on && sum <= PUMP_WASTE_MAX + 2 * PUMP_CHUNK) {
		int n = SSL_write(try.client, bytes, sizeof bytes);

		sum += n > 0 ? (size_t)n : 0;
		try_turns();
	}
	assert_false(try.goes_on);
	assert_true(sum > PUMP_WASTE_MAX / 2);
}

/* The program has not read everything, and reads no more. */
static void test_the_program_ends_under_pressure(void **state)
{
	(void)state;
	begin();
	fills_the_way_in();
	program_ends();
	assert_true(try.goes_on);
	client_hears_the_end(false);
	is_left_at(TRY_NOW + PUMP_PEACE_TIME, CHANNEL_TARGET_RESET);
}

/* Up to the end of it. */
static size_t hears_what_there_is(void)
{
	uint8_t bytes[7001];
	size_t heard = 0;
	ssize_t r;

	while ((r = recv(try.program, bytes, sizeof bytes, 0)) > 0) {
		is_as_said(bytes, heard, (size_t)r, 1);
		heard += (size_t)r;
		try_turns();
	}
	assert_int_equal(r, 0);
	return heard;
}

/* His end has no close_notify; that is seen when all before it is through. */
static void test_cut_under_pressure(void **state)
{
	size_t said;

	(void)state;
	begin();
	said = fills_the_way_in();
	shutdown(try.fd, SHUT_WR);
	try_turns();
	assert_true(try.goes_on);
	assert_in_range(hears_what_there_is(), said - PUMP_RECORD, said);
	ends_as(CHANNEL_RESET);
}

static void test_cut_with_something_unsent(void **state)
{
	(void)state;
	begin();
	fills_the_way_out();
	shutdown(try.fd, SHUT_WR);
	try_turns();
	ends_as(CHANNEL_RESET);
	try_end();
	begin_tcp();
	fills_the_way_out();
	reset();
	wait_and_turn(true);
	ends_as(CHANNEL_RESET);
	/* A program that was about to write finds nobody. */
	assert_int_equal(send(try.program, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

/* He has gone, and his program writes and writes before it reads on. */
static void test_speaking_to_nobody(void **state)
{
	struct pollfd p;
	ssize_t r = 0;

	(void)state;
	begin_tcp();
	fills_the_way_in();
	reset();
	p = (struct pollfd){.fd = session_fd(try.session, PUMP_CLIENT)};
	assert_int_equal(poll(&p, 1, 60000), 1);
	for (size_t sum = 0; r >= 0; sum += (size_t)r) {
		assert_true(sum < BULK);
		r = send(try.program, "hello", 5, MSG_NOSIGNAL);
		try_turns();
	}
	assert_int_equal(errno, EPIPE);
	/* It may still have what he has said. */
	assert_true(try.goes_on);
	hears_what_there_is();
	ends_as(CHANNEL_RESET);
}

/* Who is fast gets his share, and then it is somebody else's turn. */
static void test_a_share(void **state)
{
	static uint8_t bytes[1024 * 1024];
	int large = 4 * 1024 * 1024;

	(void)state;
	begin();
	setsockopt(try.program, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof large);
	setsockopt(session_fd(try.session, PUMP_CLIENT), SOL_SOCKET, SO_SNDBUFFORCE, &large,
		sizeof large);
	/* Who is not root may not have so much. */
	if (send(try.program, bytes, sizeof bytes, MSG_NOSIGNAL) <= PUMP_SHARE + PUMP_CHUNK)
		skip();
	assert_true(try_turn_of(PUMP_PROGRAM));
	assert_in_range(session_bytes_out(try.session), 1, PUMP_SHARE + PUMP_CHUNK);
}

/* It is not bytes alone that are work. */
static void test_a_share_of_small_pieces(void **state)
{
	size_t before = 0;
	int n = 0;

	(void)state;
	begin();
	while (SSL_write(try.client, "x", 1) == 1)
		n++;
	ERR_clear_error();
	assert_true(n > TUBE_PIECES);
	while (before < (size_t)n) {
		assert_true(try_turn());
		assert_in_range(
			session_bytes_in(try.session), before + 1, before + TUBE_PIECES);
		before = session_bytes_in(try.session);
	}
	assert_false(try_turn());
}

/* ---------------------------------------------------------------------- keys that change */

static void test_other_keys(void **state)
{
	(void)state;
	begin();
	assert_int_equal(SSL_key_update(try.client, SSL_KEY_UPDATE_REQUESTED), 1);
	client_says(BYTES("hello"));
	program_hears(BYTES("hello"));
	program_says(BYTES("world"));
	client_hears(BYTES("world"));
	assert_int_equal(SSL_get_key_update_type(try.client), SSL_KEY_UPDATE_NONE);
}

static void wants_other_keys(int how)
{
	if (SSL_key_update(try.client, how) == 1)
		SSL_do_handshake(try.client);
	ERR_clear_error();
	try_turns();
}

static void wants_them_until(unsigned most, int how)
{
	unsigned n = 0;

	while (try.goes_on) {
		assert_in_range(++n, 1, most);
		wants_other_keys(how);
	}
	ends_as(CHANNEL_RESET);
	assert_true(n > 100);
}

/* With or without answers, which he does not read. */
static void test_other_keys_for_ever(void **state)
{
	(void)state;
	begin();
	wants_them_until(PUMP_UPDATES_BURST + 1, SSL_KEY_UPDATE_NOT_REQUESTED);
	program_hears_the_end();
	try_end();
	begin();
	wants_them_until(PUMP_UPDATES_BURST + 1, SSL_KEY_UPDATE_REQUESTED);
}

/* Now and then is nobody's harm, for as long as he likes. */
static void test_other_keys_now_and_then(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 1000; i++) {
		wants_other_keys(SSL_KEY_UPDATE_NOT_REQUESTED);
		client_says(BYTES("hello"));
		program_hears(BYTES("hello"));
		try_at(try.now + USEC_PER_SEC / PUMP_UPDATES);
		assert_true(try.goes_on);
	}
}

/* Nor does he hold up others until then. */
static void test_other_keys_at_once(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < TUBE_PIECES; i++)
		if (SSL_key_update(try.client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
			assert_int_equal(SSL_do_handshake(try.client), 1);
	assert_true(try_turn());
	assert_true(try.goes_on);
	assert_true(session_due(try.session) <= try.now);
	try_turns();
	client_says(BYTES("hello"));
	program_hears(BYTES("hello"));
}

static int begin_all(void **state)
{
	(void)state;
	pki_begin();
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	pki_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRY_TEST(test_both_ways),
		TRY_TEST(test_said_before_it_is_open),
		TRY_TEST(test_the_client_ends_first),
		TRY_TEST(test_the_program_ends_first),
		TRY_TEST(test_last_words),
		TRY_TEST(test_truncated),
		TRY_TEST(test_what_is_no_record),
		TRY_TEST(test_reset_by_the_client),
		TRY_TEST(test_reset_after_his_end),
		TRY_TEST(test_the_program_breaks_off),
		TRY_TEST(test_the_client_stays),
		TRY_TEST(test_the_client_goes_on_talking),
		TRY_TEST(test_the_program_is_deaf),
		TRY_TEST(test_much_both_ways),
		TRY_TEST(test_pressure),
		TRY_TEST(test_the_rest_is_heard),
		TRY_TEST(test_nobody_takes_the_rest),
		TRY_TEST(test_somebody_takes_it_slowly),
		TRY_TEST(test_half_an_end_of_the_program),
		TRY_TEST(test_talking_to_an_orphan),
		TRY_TEST(test_the_program_ends_under_pressure),
		TRY_TEST(test_cut_under_pressure),
		TRY_TEST(test_cut_with_something_unsent),
		TRY_TEST(test_speaking_to_nobody),
		TRY_TEST(test_a_share),
		TRY_TEST(test_a_share_of_small_pieces),
		TRY_TEST(test_other_keys),
		TRY_TEST(test_other_keys_for_ever),
		TRY_TEST(test_other_keys_now_and_then),
		TRY_TEST(test_other_keys_at_once),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	return cmocka_run_group_tests(tests, begin_all, end_all);
}
