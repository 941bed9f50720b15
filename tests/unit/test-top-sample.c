/* top-sample: what is read of answers, and what has happened between two of them. */
#include "top-try.h"

#include <stdio.h>

#define STATUS(pid, up, came, refused)                                                  \
	"{\"hatchd\":\"0.1.0\",\"state\":\"serving\",\"pid\":" #pid ",\"up_usec\":" #up \
	",\"children\":2,\"total_instances\":100,\"connections\":" #came                \
	",\"reload\":{\"running\":false,\"last\":null},\"refused\":" refused "}\n"

#define SERVICE(name, started, refused)                                                    \
	"{\"service\":\"" name "\",\"state\":\"serving\",\"children\":1,"                  \
	"\"instances\":null,\"started\":" #started ",\"refused\":{\"rate\":" #refused "}," \
	"\"addresses\":[{\"address\":\"tcp:7\",\"state\":\"open\"}]}\n"

#define CONNECTION(id, service)                                                         \
	"{\"connection\":" #id ",\"service\":\"" service "\",\"peer\":\"192.0.2.1:1\"," \
	"\"pid\":null,\"worker\":\"hatchd-relay\",\"age_usec\":5}\n"

static void test_texts(void **ctx)
{
	_cleanup_sample_ struct top_sample *sample = try_sample(
		"{\"hatchd\":\"1\\u001b[2J\",\"state\":\"serving\",\"reload\":{"
		"\"last\":\"failed\",\"ago_usec\":200000000,"
		"\"reason\":\"the files have mistakes\"}}\n",
		"{\"service\":\"a\",\"state\":\"gr\\u00fcn\",\"addresses\":["
		"{\"address\":\"tcp:1\",\"state\":\"open\"},"
		"{\"address\":\"tcp:2\",\"state\":\"waiting\"}]}\n",
		"{\"connection\":7,\"peer\":\"uid 0\\u009b1\\r\",\"peer_name\":null}\n");

	(void)ctx;
	assert_string_equal(sample->version, "1\\x1b[2J");
	assert_string_equal(sample->reload, "failed 3 min 20 s ago: the files have mistakes");
	assert_true(sample->reload_failed);
	assert_string_equal(sample->services[0].state, "gr?n");
	assert_string_equal(sample->services[0].addresses, "tcp:1 (tcp:2)");
	assert_string_equal(sample->connections[0].peer, "uid 0\\xc2\\x9b1\\x0d");
	assert_string_equal(sample->connections[0].name, "");
}

/* Whatever is not there, or of another kind, is unknown, and nothing is done about it. */
static void test_nonsense(void **ctx)
{
	_cleanup_sample_ struct top_sample *sample = try_sample("[1]\n",
		"{}\n{\"service\":5,\"children\":\"many\",\"refused\":[],\"addresses\":{}}\n",
		"null\n{\"connection\":-1,\"pid\":\"x\"}\n");

	(void)ctx;
	assert_int_equal(sample->n_services, 2);
	assert_int_equal(sample->n_connections, 2);
	assert_true(sample->services[0].limit == TOP_UNKNOWN);
	assert_int_equal(sample->services[1].children, 0);
	assert_string_equal(sample->services[1].name, "");
	assert_true(sample->connections[0].use.cpu == TOP_UNKNOWN);
	assert_string_equal(sample->reload, "none yet");
	top_sample_compare(sample, NULL);
	assert_false(sample->compared);
}

static void test_lookups(void **ctx)
{
	_cleanup_sample_ struct top_sample *sample =
		try_sample("", SERVICE("web", 0, 0) SERVICE("ftp", 0, 0) SERVICE("git", 0, 0),
			CONNECTION(9, "web") CONNECTION(2, "git") CONNECTION(30, "web"));

	(void)ctx;
	/* Services stand as hatchd has them, connections by their numbers. */
	assert_string_equal(sample->services[1].name, "ftp");
	assert_int_equal(sample->connections[0].id, 2);
	assert_ptr_equal(top_sample_service(sample, "git"), &sample->services[2]);
	assert_null(top_sample_service(sample, "gi"));
	assert_ptr_equal(top_sample_connection(sample, 30), &sample->connections[2]);
	assert_null(top_sample_connection(sample, 3));
}

static void use(struct top_sample *sample, uint64_t id, uint64_t cpu, uint64_t received)
{
	struct top_connection *connection = top_sample_connection(sample, id);

	assert_non_null(connection);
	connection->use.cpu = cpu;
	connection->use.memory = 1000;
	connection->use.received = received;
}

static void expect(double got, double wanted)
{
	assert_true(got > wanted - 0.001 && got < wanted + 0.001);
}

static void test_rates(void **ctx)
{
	_cleanup_sample_ struct top_sample *before =
		try_sample(STATUS(1, 1000000, 100, "{\"rate\":10}"), SERVICE("web", 50, 3),
			CONNECTION(1, "web") CONNECTION(2, "web") CONNECTION(3, "web"));
	_cleanup_sample_ struct top_sample *now =
		try_sample(STATUS(1, 3000000, 140, "{\"rate\":16,\"load\":2}"),
			SERVICE("web", 60, 9) SERVICE("git", 4, 0),
			CONNECTION(1, "web") CONNECTION(3, "web") CONNECTION(4, "web")
				CONNECTION(5, "git") CONNECTION(6, "gone"));

	(void)ctx;
	before->measured = 10000000;
	now->measured = 14000000;
	use(before, 1, 1000000, 500);
	use(now, 1, 3000000, 4500);
	use(now, 4, 1000000, 8000); /* since it began, which was after `before` */
	top_sample_compare(now, before);

	assert_true(now->compared);
	expect(now->refusals, 4);
	expect(now->accepts, 16);
	expect(now->reasons[0].rate, 3);
	expect(now->reasons[1].rate, 1);
	expect(now->services[0].starts, 5);
	expect(now->services[0].refusals, 3);
	expect(now->services[1].starts, 2);
	expect(top_sample_connection(now, 1)->use.cpu_share, 50);
	expect(top_sample_connection(now, 1)->use.receives, 1000);
	expect(top_sample_connection(now, 1)->use.sends, -1);
	expect(top_sample_connection(now, 3)->use.receives, -1);
	expect(top_sample_connection(now, 4)->use.receives, 2000);
	/* All that is known of its connections, and nothing where nothing is. */
	expect(now->services[0].use.cpu_share, 75);
	expect(now->services[0].use.receives, 3000);
	assert_int_equal(now->services[0].use.memory, 2000);
	expect(now->services[1].use.cpu_share, -1);
	assert_true(now->services[1].use.memory == TOP_UNKNOWN);
}

/* Numbers of another hatchd, and those that go back, make no rate. */
static void test_no_rates(void **ctx)
{
	_cleanup_sample_ struct top_sample *before = try_sample(
		STATUS(1, 5000000, 100, "{}"), SERVICE("web", 50, 3), CONNECTION(1, "web"));
	_cleanup_sample_ struct top_sample *other = try_sample(
		STATUS(2, 6000000, 200, "{}"), SERVICE("web", 60, 4), CONNECTION(1, "web"));
	_cleanup_sample_ struct top_sample *again = try_sample(
		STATUS(1, 1000, 200, "{}"), SERVICE("web", 60, 4), CONNECTION(1, "web"));
	_cleanup_sample_ struct top_sample *back = try_sample(
		STATUS(1, 6000000, 100, "{}"), SERVICE("web", 49, 3), CONNECTION(1, "web"));

	(void)ctx;
	top_sample_compare(other, before);
	assert_false(other->compared);
	expect(other->accepts, -1);
	expect(other->services[0].starts, -1);
	top_sample_compare(again, before);
	assert_false(again->compared);
	top_sample_compare(back, before);
	expect(back->accepts, 0);
	expect(back->services[0].starts, -1);
	/* No time has passed. */
	top_sample_compare(back, back);
	expect(back->accepts, -1);
}

/* Whom a ban keeps out may be refused without having come. */
static void test_refused_before_they_came(void **ctx)
{
	_cleanup_sample_ struct top_sample *before =
		try_sample(STATUS(1, 1000000, 10, "{\"banned\":0}"), "", "");
	_cleanup_sample_ struct top_sample *now =
		try_sample(STATUS(1, 2000000, 12, "{\"banned\":50}"), "", "");

	(void)ctx;
	top_sample_compare(now, before);
	expect(now->accepts, 0);
	expect(now->refusals, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_no_rates),
		cmocka_unit_test(test_refused_before_they_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
