/* admit: one decision, one list of reasons. */
#include "policy/admit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Each count with its limit; nothing else limits. */
#define COUNTS(t, tl, i, il, s, sl)                                                   \
	{                                                                             \
		.total = t, .total_limit = tl, .instances = i, .instances_limit = il, \
		.from_source = s, .per_source_limit = sl                              \
	}

static const struct admit_request unlimited = {
	.total_limit = UINT32_MAX,
	.instances_limit = UINT32_MAX,
	.per_source_limit = UINT32_MAX,
	.max_load = UINT32_MAX,
};

static void test_without_limits_all_come_in(void **ctx)
{
	struct admit_request request = unlimited;

	(void)ctx;
	assert_int_equal(admit(&request), ADMIT_OK);
	request.total = request.instances = request.from_source = UINT32_MAX;
	assert_int_equal(admit(&request), ADMIT_OK);
}

/* The limit is the last that comes in, not the first that does not. */
static void test_each_limit(void **ctx)
{
	static const struct {
		struct admit_request request;
		enum admit_verdict verdict;
	} cases[] = {
		{COUNTS(0, 1, 0, 1, 0, 1), ADMIT_OK},
		{COUNTS(1, 1, 0, 1, 0, 1), ADMIT_TOTAL},
		{COUNTS(0, 1, 1, 1, 0, 1), ADMIT_INSTANCES},
		{COUNTS(0, 1, 0, 1, 1, 1), ADMIT_PER_SOURCE},
		{COUNTS(2, 1, 0, 1, 0, 1), ADMIT_TOTAL},
		{COUNTS(9, 10, 9, 10, 9, 10), ADMIT_OK},
		{COUNTS(10, 10, 9, 10, 9, 10), ADMIT_TOTAL},
		{COUNTS(9, 10, 10, 10, 9, 10), ADMIT_INSTANCES},
		{COUNTS(9, 10, 9, 10, 10, 10), ADMIT_PER_SOURCE},
		{COUNTS(UINT32_MAX - 2, UINT32_MAX - 1, 0, 1, 0, 1), ADMIT_OK},
		{COUNTS(UINT32_MAX - 1, UINT32_MAX - 1, 0, 1, 0, 1), ADMIT_TOTAL},
		{{.access = ACCESS_NOT_LISTED}, ADMIT_ONLY_FROM},
		{{.access = ACCESS_DENIED}, ADMIT_NO_ACCESS},
		{{.hosts_denied = true}, ADMIT_HOSTS_ACCESS},
		{{.hosts_denied = true, .closed = true}, ADMIT_HOSTS_ACCESS},
		{{.hosts_denied = true, .access = ACCESS_DENIED}, ADMIT_NO_ACCESS},
		{{.hosts_denied = true, .access = ACCESS_NOT_LISTED}, ADMIT_ONLY_FROM},
		/* Nobody at all. */
		{COUNTS(0, 1, 0, 0, 0, 1), ADMIT_INSTANCES},
		{COUNTS(0, 1, 0, 1, 0, 0), ADMIT_PER_SOURCE},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(admit(&cases[i].request), cases[i].verdict);
}

/* At the limit is not above it. */
static void test_load(void **ctx)
{
	struct admit_request request = unlimited;

	(void)ctx;
	request.load = UINT32_MAX;
	assert_int_equal(admit(&request), ADMIT_OK);
	request.max_load = request.load = 250;
	assert_int_equal(admit(&request), ADMIT_OK);
	request.load = 251;
	assert_int_equal(admit(&request), ADMIT_LOAD);
	request.max_load = 0;
	request.load = 0;
	assert_int_equal(admit(&request), ADMIT_OK);
	request.load = 1;
	assert_int_equal(admit(&request), ADMIT_LOAD);
}

static void test_closed(void **ctx)
{
	struct admit_request request = unlimited;

	(void)ctx;
	request.closed = true;
	assert_int_equal(admit(&request), ADMIT_TIMES);
}

static void test_the_narrowest_limit_speaks_first(void **ctx)
{
	const struct limit nobody = {.count = 0, .burst = 1, .period = 1};
	struct admit_request request = COUNTS(1, 1, 1, 1, 1, 1);

	(void)ctx;
	request.access = ACCESS_DENIED;
	assert_int_equal(admit(&request), ADMIT_NO_ACCESS);
	request.access = ACCESS_OK;
	request.closed = true;
	assert_int_equal(admit(&request), ADMIT_TIMES);
	request.closed = false;
	request.now = 7;
	request.load = 1;
	request.banned_until = 8;
	request.sensor = true;
	request.rate = request.source_rate = nobody;
	assert_int_equal(admit(&request), ADMIT_BANNED);
	request.banned_until = 7;
	assert_int_equal(admit(&request), ADMIT_SENSOR);
	request.sensor = false;
	request.no_user = request.no_target = true;
	assert_int_equal(admit(&request), ADMIT_IDENT);
	request.no_user = false;
	assert_int_equal(admit(&request), ADMIT_TARGET);
	request.no_target = false;
	assert_int_equal(admit(&request), ADMIT_PER_SOURCE);
	request.per_source_limit = UINT32_MAX;
	assert_int_equal(admit(&request), ADMIT_PER_SOURCE_RATE);
	request.source_rate.period = 0;
	assert_int_equal(admit(&request), ADMIT_INSTANCES);
	request.instances_limit = UINT32_MAX;
	assert_int_equal(admit(&request), ADMIT_RATE);
	request.rate.period = 0;
	assert_int_equal(admit(&request), ADMIT_TOTAL);
	request.total_limit = UINT32_MAX;
	assert_int_equal(admit(&request), ADMIT_LOAD);
}

/* Each recovers with time alone. */
static void test_rates_and_bans_recover(void **ctx)
{
	const struct limit limit = {.count = 1, .burst = 1, .period = 1000};
	struct admit_request request = unlimited;

	(void)ctx;
	request.now = 5000;
	request.rate = limit;
	assert_int_equal(admit(&request), ADMIT_OK);
	bucket_take(&request.bucket, &limit, 5000);
	assert_int_equal(admit(&request), ADMIT_RATE);
	request.now = 6000;
	assert_int_equal(admit(&request), ADMIT_OK);

	request.source_rate = limit;
	bucket_take(&request.source_bucket, &limit, 6000);
	assert_int_equal(admit(&request), ADMIT_PER_SOURCE_RATE);
	request.now = 7000;
	assert_int_equal(admit(&request), ADMIT_OK);

	request.banned_until = 8000;
	assert_int_equal(admit(&request), ADMIT_BANNED);
	request.now = 8000;
	assert_int_equal(admit(&request), ADMIT_OK);
}

static void test_the_same_request_has_the_same_verdict(void **ctx)
{
	struct admit_request request = unlimited;

	(void)ctx;
	request.instances = request.instances_limit = 2;
	for (int i = 0; i < 3; i++)
		assert_int_equal(admit(&request), ADMIT_INSTANCES);
}

static void test_words(void **ctx)
{
	(void)ctx;
	assert_string_equal(admit_reason(ADMIT_OK), "ok");
	assert_string_equal(admit_reason(ADMIT_TOTAL), "total_instances");
	assert_string_equal(admit_reason(ADMIT_INSTANCES), "instances");
	assert_string_equal(admit_reason(ADMIT_PER_SOURCE), "per_source");
	assert_string_equal(admit_reason(ADMIT_ONLY_FROM), "only_from");
	assert_string_equal(admit_reason(ADMIT_NO_ACCESS), "no_access");
	assert_string_equal(admit_reason(ADMIT_RATE), "rate");
	assert_string_equal(admit_reason(ADMIT_PER_SOURCE_RATE), "per_source_rate");
	assert_string_equal(admit_reason(ADMIT_BANNED), "banned");
	assert_string_equal(admit_reason(ADMIT_SENSOR), "sensor");
	assert_string_equal(admit_reason(ADMIT_TIMES), "access_times");
	assert_string_equal(admit_reason(ADMIT_LOAD), "max_load");
	assert_string_equal(admit_reason(ADMIT_IDENT), "ident");
	assert_string_equal(admit_reason(ADMIT_TARGET), "target");
	assert_string_equal(admit_reason(ADMIT_HOSTS_ACCESS), "hosts_access");
	assert_string_equal(admit_reason(_ADMIT_MAX), "unknown");
	for (int i = 0; i < _ADMIT_MAX; i++)
		assert_string_not_equal(admit_reason((enum admit_verdict)i), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_limits_all_come_in),
		cmocka_unit_test(test_each_limit),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_the_narrowest_limit_speaks_first),
		cmocka_unit_test(test_rates_and_bans_recover),
		cmocka_unit_test(test_the_same_request_has_the_same_verdict),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
