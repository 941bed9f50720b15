/* cache: how long answers live, and who goes when it is full. */
#include "workers/lookup/cache.h"

#include "base/clock.h"
#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 8
#define NOW  (UINT64_C(1000) * USEC_PER_SEC)

static int set_up(void **state)
{
	static const uint8_t key[16] = "not a secret one";
	struct cache *cache;

	assert_int_equal(cache_new(ROOM, key, &cache), 0);
	*state = cache;
	return 0;
}

static int tear_down(void **state)
{
	*state = cache_free(*state);
	return 0;
}

static struct lookup_question question(unsigned i)
{
	struct lookup_question question;
	char name[32];

	snprintf(name, sizeof name, "host%u.example", i);
	assert_int_equal(
		lookup_question_init(&question, LOOKUP_ADDRESSES_OF, NULL, NULL, name), 0);
	return question;
}

static void put(
	struct cache *cache, unsigned i, enum lookup_result result, uint32_t ttl, uint64_t now)
{
	struct lookup_question q = question(i);
	struct lookup_facts facts = {.result = (uint16_t)result};

	snprintf(facts.text, sizeof facts.text, "%u", i);
	cache_put(cache, &q, &facts, ttl, now);
}

static bool has(struct cache *cache, unsigned i, uint64_t now)
{
	struct lookup_question q = question(i);
	const struct lookup_facts *facts = cache_find(cache, &q, now);
	char text[32];

	snprintf(text, sizeof text, "%u", i);
	if (facts)
		assert_string_equal(facts->text, text);
	return facts != NULL;
}

/* It lives for so many seconds, and not for one microsecond more. */
static void lives(struct cache *cache, enum lookup_result result, uint32_t ttl, uint64_t sec)
{
	put(cache, 1, result, ttl, NOW);
	assert_true(has(cache, 1, NOW));
	assert_true(has(cache, 1, NOW + sec * USEC_PER_SEC - 1));
	assert_false(has(cache, 1, NOW + sec * USEC_PER_SEC));
	assert_false(has(cache, 1, NOW));
}

static void test_lifetimes(void **state)
{
	lives(*state, LOOKUP_FOUND, 0, 5);
	lives(*state, LOOKUP_FOUND, 4, 5);
	lives(*state, LOOKUP_FOUND, 5, 5);
	lives(*state, LOOKUP_FOUND, 77, 77);
	lives(*state, LOOKUP_FOUND, 300, 300);
	lives(*state, LOOKUP_FOUND, 301, 300);
	lives(*state, LOOKUP_FOUND, UINT32_MAX - 1, 300);
	lives(*state, LOOKUP_FOUND, CACHE_TTL_NONE, 60);
	lives(*state, LOOKUP_NONE, 3600, 5);
	lives(*state, LOOKUP_NONE, CACHE_TTL_NONE, 5);
	lives(*state, LOOKUP_FAILED, 3600, 5);
}

static void test_nothing_in_it(void **state)
{
	assert_false(has(*state, 1, NOW));
}

static void test_a_newer_answer(void **state)
{
	struct lookup_question q = question(1);

	put(*state, 1, LOOKUP_NONE, 10, NOW);
	put(*state, 1, LOOKUP_FOUND, 10, NOW + 1);
	assert_int_equal(cache_find(*state, &q, NOW + 2)->result, LOOKUP_FOUND);
	assert_true(has(*state, 1, NOW + 10 * USEC_PER_SEC));
	assert_false(has(*state, 1, NOW + 10 * USEC_PER_SEC + 1));
}

/* Whoever has been asked for the least lately. */
static void test_who_goes(void **state)
{
	for (unsigned i = 0; i < ROOM; i++)
		put(*state, i, LOOKUP_FOUND, 100, NOW);
	assert_true(has(*state, 0, NOW));
	put(*state, ROOM, LOOKUP_FOUND, 100, NOW);
	assert_true(has(*state, 0, NOW));
	assert_false(has(*state, 1, NOW));
	for (unsigned i = 2; i <= ROOM; i++)
		assert_true(has(*state, i, NOW));
}

/* What is over makes room before anything else. */
static void test_what_is_over_goes_first(void **state)
{
	for (unsigned i = 0; i < ROOM; i++)
		put(*state, i, i == ROOM - 1 ? LOOKUP_NONE : LOOKUP_FOUND, 100, NOW);
	assert_false(has(*state, ROOM - 1, NOW + 50 * USEC_PER_SEC));
	put(*state, ROOM, LOOKUP_FOUND, 100, NOW + 50 * USEC_PER_SEC);
	for (unsigned i = 0; i < ROOM - 1; i++)
		assert_true(has(*state, i, NOW + 50 * USEC_PER_SEC));
}

/* A crowd passes through; what is wanted again and again stays, and nothing else. */
static void test_a_crowd(void **state)
{
	unsigned n = 0;

	put(*state, 0, LOOKUP_FOUND, 300, NOW);
	for (unsigned i = 1; i <= 10000; i++) {
		put(*state, i, LOOKUP_FOUND, 300, NOW + i);
		assert_true(has(*state, 0, NOW + i));
	}
	for (unsigned i = 0; i <= 10000; i++)
		n += has(*state, i, NOW + 10001);
	assert_int_equal(n, ROOM);
}

static void test_room_for_one(void **state)
{
	static const uint8_t key[16];
	struct cache *cache;

	(void)state;
	assert_int_equal(cache_new(1, key, &cache), 0);
	for (unsigned i = 0; i < 3; i++) {
		put(cache, i, LOOKUP_FOUND, 100, NOW);
		assert_true(has(cache, i, NOW));
	}
	assert_false(has(cache, 1, NOW));
	assert_null(cache_free(cache));
	assert_null(cache_free(NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lifetimes),
		TEST(test_nothing_in_it),
		TEST(test_a_newer_answer),
		TEST(test_who_goes),
		TEST(test_what_is_over_goes_first),
		TEST(test_a_crowd),
		cmocka_unit_test(test_room_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
