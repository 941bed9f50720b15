/* heap: the smallest first, against a plain array. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_order(void **ctx)
{
	static const uint64_t keys[] = {5, 3, 9, UINT64_MAX, 0, 3, 7};
	static const uint64_t sorted[] = {0, 3, 3, 5, 7, 9, UINT64_MAX};
	struct heap_node nodes[7] = {0};
	struct heap heap = {0};

	(void)ctx;
	assert_null(heap_first(&heap));
	assert_int_equal(heap_reserve(&heap, 7), 0);
	assert_int_equal(heap_reserve(&heap, 3), 0);
	for (int i = 0; i < 7; i++) {
		assert_false(heap_has(&nodes[i]));
		heap_put(&heap, &nodes[i], keys[i]);
		assert_true(heap_has(&nodes[i]));
	}
	for (int i = 0; i < 7; i++) {
		struct heap_node *first = heap_first(&heap);

		assert_true(first->key == sorted[i]);
		heap_remove(&heap, first);
		assert_false(heap_has(first));
	}
	assert_null(heap_first(&heap));
	heap_remove(&heap, &nodes[0]);
	heap_done(&heap);
	assert_int_equal(heap.room, 0);
}

enum { NODES = 50 };

static const struct heap_node *smallest(const struct heap_node *nodes)
{
	const struct heap_node *found = NULL;

	for (int i = 0; i < NODES; i++)
		if (heap_has(&nodes[i]) && (!found || nodes[i].key < found->key))
			found = &nodes[i];
	return found;
}

/* In, out of the middle, and to another place, for long. */
static void test_like_a_plain_array(void **ctx)
{
	struct heap_node nodes[NODES] = {0};
	uint64_t state = 88172645463325252;
	struct heap heap = {0};

	(void)ctx;
	assert_int_equal(heap_reserve(&heap, NODES), 0);
	for (int step = 0; step < 200000; step++) {
		const struct heap_node *first, *expected;
		struct heap_node *node;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		node = &nodes[state % NODES];
		if (state >> 40 & 1)
			heap_put(&heap, node, state >> 56);
		else
			heap_remove(&heap, node);
		first = heap_first(&heap);
		expected = smallest(nodes);
		assert_int_equal(!first, !expected);
		if (first)
			assert_true(first->key == expected->key);
	}
	heap_done(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_like_a_plain_array),
	};

	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
