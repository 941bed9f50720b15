/* stats: each client is counted once, with his service and with all. */
#include "short-of-memory.h"

#include "base/fd.h"
#include "master/child.h"
#include "master/conn.h"
#include "master/master.h"
#include "master/service.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* A master with one service, and a client of it. */
struct world {
	struct master master;
	struct cmdline cmdline;
	struct service *service;
	struct listener listener;
	struct conn conn;
	struct child child;
};

static void fill(struct world *w)
{
	memset(w, 0, sizeof *w);
	w->master.cmdline = &w->cmdline;
	w->service = service_new(&w->master, "a");
	assert_non_null(w->service);
	w->listener.service = w->service;
	w->conn = (struct conn){.listener = &w->listener, .service = w->service, .fd = -EBADF};
	w->child.service = w->service;
}

/* Not by service_free(), which needs a master that serves. */
static void finish(struct world *w)
{
	free(w->service->stats);
	free(w->service);
}

/* One half of a connection over TCP. */
static int accept_one(int *ret_client)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	socklen_t len = sizeof addr;

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	*ret_client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*ret_client, (struct sockaddr *)&addr, len), 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	close(listener);
	return fd;
}

static void test_accepted(void **ctx)
{
	struct world w;
	int client;

	(void)ctx;
	fill(&w);
	assert_null(w.service->stats);
	stats_accepted(&w.conn);
	assert_int_equal(w.service->stats->accepted, 1);
	assert_int_equal(histogram_count(&w.service->stats->queue), 0);

	w.listener.is_ip = true;
	w.conn.fd = accept_one(&client);
	stats_accepted(&w.conn);
	assert_int_equal(w.service->stats->accepted, 2);
	assert_int_equal(histogram_count(&w.service->stats->queue), 1);
	assert_true(w.service->stats->queue.sum < 60 * 1000000);
	assert_int_equal(w.master.stats.accepted, 2);
	assert_int_equal(histogram_count(&w.master.stats.queue), 1);
	close(w.conn.fd);
	close(client);
	finish(&w);
}

static void test_times(void **ctx)
{
	struct world w;

	(void)ctx;
	fill(&w);
	w.conn.accepted = 1000000;
	stats_let_in(&w.conn, 1000400);
	w.child.born = 1000400;
	stats_started(&w.child, 1002000);
	assert_int_equal(w.service->stats->wait.counts[0], 1);
	assert_int_equal(w.service->stats->wait.sum, 400);
	assert_int_equal(w.service->stats->spawn.counts[2], 1);
	assert_int_equal(w.service->stats->spawn.sum, 1600);
	assert_int_equal(w.master.stats.spawn.sum, 1600);
	finish(&w);
}

static void test_ends(void **ctx)
{
	static const struct child_end ends[] = {
		{.outcome = {.status = 0}, .cpu_usec = 5},
		{.outcome = {.status = 1}, .cpu_usec = 6},
		{.outcome = {.status = 255}},
		{.outcome = {.killed = true, .status = SIGTERM}},
		{.outcome = {.killed = true, .core = true, .status = SIGSEGV}},
	};
	struct world w;

	(void)ctx;
	fill(&w);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		stats_ended(&w.child, &ends[i]);
	stats_not_started(&w.child);
	assert_int_equal(w.service->stats->ended[STATS_SUCCESS], 1);
	assert_int_equal(w.service->stats->ended[STATS_ERROR], 2);
	assert_int_equal(w.service->stats->ended[STATS_SIGNAL], 2);
	assert_int_equal(w.service->stats->ended[STATS_NOT_STARTED], 1);
	assert_int_equal(w.service->stats->cpu_usec, 11);
	assert_memory_equal(&w.master.stats, w.service->stats, sizeof w.master.stats);
	finish(&w);
}

static void test_sessions(void **ctx)
{
	struct channel_answer answer = {
		.result = CHANNEL_ENDED, .bytes_in = 7, .bytes_out = UINT64_C(1) << 40};
	struct world w;

	(void)ctx;
	fill(&w);
	stats_session_ended(&w.child, &answer);
	w.child.client_cut = true;
	stats_session_ended(&w.child, &answer);
	stats_session_ended(&w.child, NULL);
	stats_bytes(w.service, 1, 2);
	assert_int_equal(w.service->stats->sessions[CHANNEL_ENDED], 1);
	assert_int_equal(w.service->stats->sessions[CHANNEL_RESET], 1);
	assert_int_equal(w.service->stats->sessions[STATS_SESSION_LOST], 1);
	assert_int_equal(w.service->stats->bytes_in, 15);
	assert_int_equal(w.service->stats->bytes_out, (UINT64_C(1) << 41) + 2);
	assert_memory_equal(&w.master.stats, w.service->stats, sizeof w.master.stats);
	finish(&w);
}

/* Nothing goes wrong but that it is not counted; later it is. */
static void test_without_memory(void **ctx)
{
	struct world w;

	(void)ctx;
	fill(&w);
	allocations_left = 0;
	stats_accepted(&w.conn);
	allocations_left = -1;
	assert_null(w.service->stats);
	assert_int_equal(w.master.stats.accepted, 1);
	stats_accepted(&w.conn);
	assert_int_equal(w.service->stats->accepted, 1);
	assert_int_equal(w.master.stats.accepted, 2);
	finish(&w);
}

/* A worker's process, or a backend's, serves many. */
static void test_what_is_ours(void **ctx)
{
	struct world w;

	(void)ctx;
	fill(&w);
	w.service->index = CONF_NONE;
	stats_not_started(&w.child);
	stats_started(&w.child, 1);
	assert_null(w.service->stats);
	assert_int_equal(w.master.stats.ended[STATS_NOT_STARTED], 0);
	finish(&w);
}

/* Who has counted may be gone, and another one stand in his place. */
static void test_who_is_gone(void **ctx)
{
	struct stats_place place;
	struct service *services[1];
	struct world w;

	(void)ctx;
	fill(&w);
	services[0] = w.service;
	w.master.services = services;
	w.master.n_services = 1;
	place = stats_place_of(w.service);
	stats_bytes_at(&w.master, &place, 3, 4);
	assert_int_equal(w.service->stats->bytes_in, 3);
	w.service->number++;
	stats_bytes_at(&w.master, &place, 3, 4);
	place.index = 1;
	stats_bytes_at(&w.master, &place, 3, 4);
	assert_int_equal(w.service->stats->bytes_out, 4);
	assert_int_equal(w.master.stats.bytes_in, 9);
	assert_int_equal(w.master.stats.bytes_out, 12);
	finish(&w);
}

/* What is told has a word for everything that is counted. */
static void test_words(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < _STATS_END_MAX; i++)
		assert_non_null(stats_end_word((enum stats_end)i));
	for (unsigned i = 0; i < _STATS_SESSION_MAX; i++)
		assert_non_null(stats_session_word(i));
	assert_string_equal(stats_session_word(STATS_SESSION_LOST), "lost");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_what_is_ours),
		cmocka_unit_test(test_who_is_gone),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
