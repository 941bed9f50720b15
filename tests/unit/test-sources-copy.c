/* sources-copy: a table that was copied answers as the first one does, whatever happens. */
#include "policy/sources.h"

#include "sources-try.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Each in a neighbourhood of his own. */
static struct addr_source source_of(unsigned number)
{
	struct addr_source source = {.family = ADDR_SOURCE_IPV4};

	source.bytes[1] = (uint8_t)(number >> 8);
	source.bytes[2] = (uint8_t)number;
	return source;
}

static uint64_t random_state = 88172645463325252;

static unsigned draw(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 11) % n);
}

enum { DRAWN = 60, SERVICES = 3 };

/* Anything that can happen to anybody; children are counted in `counts`. */
static void happen(struct sources *sources, uint32_t counts[SERVICES][DRAWN], uint64_t now)
{
	unsigned service = draw(SERVICES), number = draw(DRAWN);
	struct addr_source source = source_of(number);

	switch (draw(4)) {
	case 0:
		if (sources_add(sources, service, &source) == 0)
			counts[service][number]++;
		return;
	case 1:
		if (counts[service][number] > 0) {
			sources_remove(sources, service, &source, now);
			counts[service][number]--;
		}
		return;
	case 2:
		sources_charge(sources, service, &source, &slow, now);
		return;
	default:
		ban(sources, service, &source, now + (1 + draw(20)) * SECOND, now);
	}
}

static void add_children(struct sources *sources, const uint32_t counts[SERVICES][DRAWN])
{
	for (unsigned i = 0; i < SERVICES * DRAWN; i++) {
		struct addr_source source = source_of(i % DRAWN);

		for (uint32_t n = 0; n < counts[i / DRAWN][i % DRAWN]; n++)
			assert_int_equal(sources_add(sources, i / DRAWN, &source), 0);
	}
}

/* To whoever asks, they are the same. */
static void check_alike(const struct sources *a, const struct sources *b, uint64_t now)
{
	for (unsigned i = 0; i < SERVICES * DRAWN; i++) {
		struct addr_source source = source_of(i % DRAWN);
		struct source_facts one = sources_look(a, i / DRAWN, &source);
		struct source_facts other = sources_look(b, i / DRAWN, &source);

		assert_int_equal(one.count, other.count);
		assert_true((one.until > now) == (other.until > now));
		assert_true((one.banned_until > now) == (other.banned_until > now));
		if (one.until <= now)
			continue;
		assert_true(one.until == other.until);
		assert_true(bucket_has_at(&one.bucket, &slow, now) ==
			    bucket_has_at(&other.bucket, &slow, now));
		if (one.banned_until > now)
			assert_true(one.banned_until == other.banned_until);
	}
}

/* What another table has been told is the same, and stays the same whatever happens then, with
 * places for all or with too few. */
static void try_copy(size_t max_remembered)
{
	static const uint8_t other_key[16] = {9, 8, 7};
	struct sources *sources = sources_new(50, max_remembered, key);
	struct sources *copy = sources_new(50, max_remembered, other_key);
	uint32_t counts[SERVICES][DRAWN] = {{0}}, same[SERVICES][DRAWN];
	uint64_t now = 1, state;
	int steps = (int)draw(2000);

	for (int i = 0; i < steps; i++)
		happen(sources, counts, now += draw(SECOND / 2));
	add_children(copy, counts);
	copy_memories(sources, copy, now);
	check_alike(sources, copy, now);
	memcpy(same, counts, sizeof same);
	for (int i = 0; i < 100 && max_remembered > SERVICES * DRAWN; i++) {
		now += draw(SECOND / 2);
		state = random_state;
		happen(sources, counts, now);
		random_state = state;
		happen(copy, same, now);
		check_alike(sources, copy, now);
	}
	sources_free(sources);
	sources_free(copy);
}

static void test_another_table_goes_on(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < 30; i++) {
		try_copy(1000);
		try_copy(7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_table_goes_on),
	};

	return cmocka_run_group_tests_name("sources-copy", tests, NULL, NULL);
}
