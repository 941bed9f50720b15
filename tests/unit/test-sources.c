/* sources: children counted per source and service, against a plain array. */
#include "policy/sources.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct addr_source source_of(unsigned number)
{
	struct addr_source source = {.family = 4};

	memcpy(source.bytes, &number, sizeof number);
	return source;
}

static void test_counts(void **ctx)
{
	struct sources *sources = sources_new(10, key);
	struct addr_source a = source_of(1), b = source_of(2);

	(void)ctx;
	assert_int_equal(sources_count(sources, 7, &a), 0);
	assert_int_equal(sources_add(sources, 7, &a), 0);
	assert_int_equal(sources_add(sources, 7, &a), 0);
	assert_int_equal(sources_add(sources, 7, &b), 0);
	assert_int_equal(sources_count(sources, 7, &a), 2);
	assert_int_equal(sources_count(sources, 7, &b), 1);
	assert_int_equal(sources_used(sources), 2);

	sources_remove(sources, 7, &a);
	assert_int_equal(sources_count(sources, 7, &a), 1);
	assert_int_equal(sources_used(sources), 2);
	sources_remove(sources, 7, &a);
	assert_int_equal(sources_count(sources, 7, &a), 0);
	assert_int_equal(sources_used(sources), 1);
	sources_remove(sources, 7, &b);
	assert_int_equal(sources_used(sources), 0);
	sources_free(sources);
}

/* The same client of two services is two sources; so are the same bytes of two families. */
static void test_what_makes_a_source(void **ctx)
{
	struct sources *sources = sources_new(10, key);
	struct addr_source four = source_of(1), six = four, user;

	(void)ctx;
	six.family = 6;
	addr_source_uid(1, &user);
	assert_int_equal(sources_add(sources, 1, &four), 0);
	assert_int_equal(sources_count(sources, 2, &four), 0);
	assert_int_equal(sources_count(sources, 1, &six), 0);
	assert_int_equal(sources_count(sources, 1, &user), 0);
	assert_int_equal(sources_count(sources, 1, &four), 1);
	sources_remove(sources, 1, &four);
	sources_free(sources);
}

static void test_bound(void **ctx)
{
	struct sources *sources = sources_new(3, key);
	struct addr_source a = source_of(1), b = source_of(2);

	(void)ctx;
	assert_int_equal(sources_add(sources, 1, &a), 0);
	assert_int_equal(sources_add(sources, 1, &a), 0);
	assert_int_equal(sources_add(sources, 1, &b), 0);
	assert_int_equal(sources_add(sources, 1, &b), -ENOSPC);
	assert_int_equal(sources_add(sources, 1, &a), -ENOSPC);
	assert_int_equal(sources_count(sources, 1, &b), 1);
	sources_remove(sources, 1, &a);
	assert_int_equal(sources_add(sources, 1, &b), 0);
	sources_free(sources);
	assert_null(sources_free(NULL));
}

/* A table that is as full as it may be, every child from a source of its own. */
static void test_full_of_different_ones(void **ctx)
{
	enum { MAX = 5000 };
	struct sources *sources = sources_new(MAX, key);

	(void)ctx;
	for (unsigned i = 0; i < MAX; i++) {
		struct addr_source source = source_of(i);

		assert_int_equal(sources_add(sources, i % 3, &source), 0);
	}
	assert_int_equal(sources_used(sources), MAX);
	for (unsigned i = 0; i < MAX; i += 2) {
		struct addr_source source = source_of(i);

		sources_remove(sources, i % 3, &source);
	}
	for (unsigned i = 0; i < MAX; i++) {
		struct addr_source source = source_of(i);

		assert_int_equal(sources_count(sources, i % 3, &source), i % 2);
	}
	sources_free(sources);
}

/* Removal closes gaps in clusters: a small table, drawn upon at random, for long. */
static void test_like_a_plain_array(void **ctx)
{
	enum { SOURCES = 40, MAX = 30 };
	struct sources *sources = sources_new(MAX, key);
	uint32_t counts[SOURCES] = {0};
	uint64_t state = 88172645463325252;
	unsigned total = 0;

	(void)ctx;
	for (int step = 0; step < 200000; step++) {
		struct addr_source source;
		unsigned i;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		i = (unsigned)(state % SOURCES);
		source = source_of(i);
		assert_int_equal(sources_count(sources, 1, &source), counts[i]);
		if (state & (1 << 20)) {
			int r = sources_add(sources, 1, &source);

			assert_int_equal(r, total < MAX ? 0 : -ENOSPC);
			if (r == 0)
				counts[i]++, total++;
		} else if (counts[i] > 0) {
			sources_remove(sources, 1, &source);
			counts[i]--, total--;
		}
	}
	sources_free(sources);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_what_makes_a_source),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_full_of_different_ones),
		cmocka_unit_test(test_like_a_plain_array),
	};

	return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
