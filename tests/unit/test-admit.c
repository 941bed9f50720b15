/* admit: one decision, one list of reasons. */
#include "policy/admit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct admit_request unlimited = {
	.total_limit = UINT32_MAX,
	.instances_limit = UINT32_MAX,
	.per_source_limit = UINT32_MAX,
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
		{{0, 1, 0, 1, 0, 1, ACCESS_OK}, ADMIT_OK},
		{{1, 1, 0, 1, 0, 1, ACCESS_OK}, ADMIT_TOTAL},
		{{0, 1, 1, 1, 0, 1, ACCESS_OK}, ADMIT_INSTANCES},
		{{0, 1, 0, 1, 1, 1, ACCESS_OK}, ADMIT_PER_SOURCE},
		{{2, 1, 0, 1, 0, 1, ACCESS_OK}, ADMIT_TOTAL},
		{{9, 10, 9, 10, 9, 10, ACCESS_OK}, ADMIT_OK},
		{{10, 10, 9, 10, 9, 10, ACCESS_OK}, ADMIT_TOTAL},
		{{9, 10, 10, 10, 9, 10, ACCESS_OK}, ADMIT_INSTANCES},
		{{9, 10, 9, 10, 10, 10, ACCESS_OK}, ADMIT_PER_SOURCE},
		{{UINT32_MAX - 2, UINT32_MAX - 1, 0, 1, 0, 1, ACCESS_OK}, ADMIT_OK},
		{{0, 1, 0, 1, 0, 1, ACCESS_NOT_LISTED}, ADMIT_ONLY_FROM},
		{{0, 1, 0, 1, 0, 1, ACCESS_DENIED}, ADMIT_NO_ACCESS},
		{{UINT32_MAX - 1, UINT32_MAX - 1, 0, 1, 0, 1, ACCESS_OK}, ADMIT_TOTAL},
		/* Nobody at all. */
		{{0, 1, 0, 0, 0, 1, ACCESS_OK}, ADMIT_INSTANCES},
		{{0, 1, 0, 1, 0, 0, ACCESS_OK}, ADMIT_PER_SOURCE},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(admit(&cases[i].request), cases[i].verdict);
}

static void test_the_narrowest_limit_speaks_first(void **ctx)
{
	struct admit_request request = {1, 1, 1, 1, 1, 1, ACCESS_DENIED};

	(void)ctx;
	assert_int_equal(admit(&request), ADMIT_NO_ACCESS);
	request.access = ACCESS_OK;
	assert_int_equal(admit(&request), ADMIT_PER_SOURCE);
	request.per_source_limit = UINT32_MAX;
	assert_int_equal(admit(&request), ADMIT_INSTANCES);
	request.instances_limit = UINT32_MAX;
	assert_int_equal(admit(&request), ADMIT_TOTAL);
}

static void test_the_same_request_has_the_same_verdict(void **ctx)
{
	const struct admit_request request = {3, 4, 2, 2, 1, 2, ACCESS_OK};

	(void)ctx;
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
	assert_string_equal(admit_reason(_ADMIT_MAX), "unknown");
	for (int i = 0; i < _ADMIT_MAX; i++)
		assert_string_not_equal(admit_reason((enum admit_verdict)i), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_limits_all_come_in),
		cmocka_unit_test(test_each_limit),
		cmocka_unit_test(test_the_narrowest_limit_speaks_first),
		cmocka_unit_test(test_the_same_request_has_the_same_verdict),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
