/* neighbours: who goes first, against all of them looked at one by one. */
#include "policy/neighbours.h"

#include "short-of-memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

#define SECOND UINT64_C(1000000)

static void put(struct neighbours *neighbours, struct neighbour *neighbour, uint64_t service,
	const struct addr_source *source, uint64_t ends)
{
	neighbour_set_ends(neighbour, ends);
	neighbours_put(neighbours, neighbour, service, source);
}

static struct addr_source source_of(const char *text)
{
	struct addr_prefix prefix;
	struct addr_source source;

	assert_int_equal(addr_parse_prefix(text, &prefix), 0);
	source = (struct addr_source){.family = prefix.family};
	memcpy(source.bytes, prefix.bytes, sizeof source.bytes);
	return source;
}

/* With two in the group of `a` that end late, and one that ends early, which goes if it
 * is in the same. */
static bool together(struct addr_source a, uint64_t service, struct addr_source b)
{
	struct neighbours neighbours = {0};
	struct neighbour nodes[5] = {0};
	struct addr_source other[2] = {source_of("198.51.100.1"), source_of("198.51.100.2")};
	bool found;

	assert_int_equal(neighbours_init(&neighbours, 5, key), 0);
	put(&neighbours, &nodes[0], 1, &a, 8 * SECOND);
	put(&neighbours, &nodes[1], 1, &a, 9 * SECOND);
	put(&neighbours, &nodes[2], service, &b, 5 * SECOND);
	put(&neighbours, &nodes[3], 1, &other[0], 3 * SECOND);
	put(&neighbours, &nodes[4], 1, &other[1], 12 * SECOND);
	assert_ptr_equal(neighbours_first(&neighbours), &nodes[3]);
	/* Three beside two; or two beside two, of which the other has the first. */
	found = neighbours_surplus(&neighbours) == &nodes[2];
	assert_true(found || neighbours_surplus(&neighbours) == &nodes[3]);
	neighbours_done(&neighbours);
	return found;
}

static void test_what_is_a_neighbourhood(void **ctx)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"192.0.2.1", "192.0.2.254", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"127.0.0.1", "127.9.8.7", true},
		{"126.0.0.1", "126.9.8.7", false},
		{"2001:db8:1::", "2001:db8:1:ffff::1", true},
		{"2001:db8:1::", "2001:db8:2::", false},
		/* The same bytes of two families. */
		{"32.1.13.184", "2001:db8::", false},
	};
	struct addr_source alice, bob, machine = {.family = 2, .bytes = {3}};
	struct addr_source other_machine = {.family = 2, .bytes = {4}};
	struct addr_source link, neighbour, other_link;

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct addr_source a = source_of(cases[i].a), b = source_of(cases[i].b);

		assert_int_equal(together(a, 1, b), cases[i].same);
		assert_false(together(a, 2, b));
	}
	addr_source_uid(1000, &alice);
	addr_source_uid(1001, &bob);
	link = source_of("fe80::1");
	other_link = neighbour = source_of("fe80::2");
	link.scope[0] = neighbour.scope[0] = 1;
	other_link.scope[0] = 2;
	assert_true(together(link, 1, neighbour));
	assert_false(together(link, 1, other_link));
	assert_true(together(alice, 1, bob));
	assert_true(together(machine, 1, other_machine));
	assert_false(together(alice, 1, machine));
}

static void test_ends_of_all_sizes(void **ctx)
{
	static const uint64_t ends[] = {1, 2048, 3600 * SECOND, UINT64_C(1) << 57, UINT64_MAX};
	struct neighbours neighbours = {0};
	struct neighbour nodes[5] = {0};

	(void)ctx;
	assert_int_equal(neighbours_init(&neighbours, 5, key), 0);
	for (int i = 4; i >= 0; i--) {
		struct addr_source source = {.family = 4, .bytes = {(uint8_t)i}};

		put(&neighbours, &nodes[i], 1, &source, ends[i]);
	}
	for (int i = 0; i < 5; i++) {
		assert_ptr_equal(neighbours_first(&neighbours), &nodes[i]);
		assert_true(neighbour_ends(&nodes[i]) == ends[i]);
		if (i < 3)
			assert_ptr_equal(neighbours_surplus(&neighbours), &nodes[i]);
		neighbours_remove(&neighbours, &nodes[i]);
		neighbours_remove(&neighbours, &nodes[i]);
	}
	assert_null(neighbours_first(&neighbours));
	assert_int_equal(neighbours.n, 0);
	neighbours_done(&neighbours);
}

enum { NODES = 64, NETWORKS = 20, SERVICES = 2 };

struct plain {
	struct neighbour nodes[NODES];
	int group[NODES]; /* -1: none */
	unsigned count[NETWORKS * SERVICES];
	uint64_t first[NETWORKS * SERVICES];
};

static void count(struct plain *plain)
{
	for (int i = 0; i < NETWORKS * SERVICES; i++) {
		plain->count[i] = 0;
		plain->first[i] = UINT64_MAX;
	}
	for (int i = 0; i < NODES; i++) {
		uint64_t ends = neighbour_ends(&plain->nodes[i]);
		int group = plain->group[i];

		if (group < 0)
			continue;
		plain->count[group]++;
		if (ends < plain->first[group])
			plain->first[group] = ends;
	}
}

/* No group has more than that of the one that is to go, nor as many and one that ends
 * earlier; in his own nobody does. */
static void check_surplus(const struct neighbours *neighbours, const struct plain *plain)
{
	const struct neighbour *surplus = neighbours_surplus(neighbours);
	int own = plain->group[surplus - plain->nodes];

	assert_true(neighbour_ends(surplus) == plain->first[own]);
	for (int i = 0; i < NETWORKS * SERVICES; i++) {
		assert_true(plain->count[i] <= plain->count[own]);
		if (plain->count[i] == plain->count[own])
			assert_true(plain->first[i] >= plain->first[own]);
	}
}

static void check_first(const struct neighbours *neighbours, const struct plain *plain)
{
	const struct neighbour *first = neighbours_first(neighbours);

	for (int i = 0; i < NETWORKS * SERVICES; i++)
		assert_true(plain->first[i] >= neighbour_ends(first));
}

static void put_any(
	struct neighbours *neighbours, struct plain *plain, unsigned i, uint64_t random)
{
	int network = (int)(random % NETWORKS), service = (int)(random >> 16 & 1);
	struct addr_source source = {
		.family = 4, .bytes = {10, 0, (uint8_t)network, (uint8_t)i}};

	plain->group[i] = network * SERVICES + service;
	put(neighbours, &plain->nodes[i], (uint64_t)service, &source,
		(random >> 20 & 0xff) * SECOND);
}

/* Few are in at first, then nearly all, then few again. */
static void test_like_looking_at_all(void **ctx)
{
	static struct plain plain;
	struct neighbours neighbours = {0};
	uint64_t state = 88172645463325252;

	(void)ctx;
	assert_int_equal(neighbours_init(&neighbours, NODES, key), 0);
	memset(plain.group, -1, sizeof plain.group);
	for (int step = 0; step < 60000; step++) {
		unsigned i;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		i = (unsigned)(state % NODES);
		neighbours_remove(&neighbours, &plain.nodes[i]);
		plain.group[i] = -1;
		if ((state >> 50) % 8 < (unsigned)(step / 1000 % 9))
			put_any(&neighbours, &plain, i, state >> 8);
		count(&plain);
		if (neighbours.n == 0)
			continue;
		check_surplus(&neighbours, &plain);
		check_first(&neighbours, &plain);
	}
	neighbours_done(&neighbours);
}

/* Each of its allocations in turn. */
static void test_without_memory(void **ctx)
{
	struct neighbours neighbours;
	int n = 0, r;

	(void)ctx;
	do {
		allocations_left = ++n;
		r = neighbours_init(&neighbours, 3, key);
		allocations_left = -1;
		neighbours_done(&neighbours);
	} while (r == -ENOMEM);
	assert_int_equal(r, 0);
	assert_int_equal(n, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_a_neighbourhood),
		cmocka_unit_test(test_ends_of_all_sizes),
		cmocka_unit_test(test_like_looking_at_all),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("neighbours", tests, NULL, NULL);
}
