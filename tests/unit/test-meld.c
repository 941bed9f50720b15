/* meld: the smallest first, against plain arrays. */
#include "base/meld.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static uint32_t rank_of(const struct meld_node *node)
{
	return node ? node->rank : 0;
}

/* All below it are as they should be; returns how many, with it. */
static size_t check(const struct meld_node *node, const struct meld_node *up)
{
	if (!node)
		return 0;
	assert_ptr_equal(node->up, up);
	assert_true(!up || up->key <= node->key);
	assert_true(rank_of(node->left) >= rank_of(node->right));
	assert_int_equal(node->rank, rank_of(node->right) + 1);
	return 1 + check(node->left, node) + check(node->right, node);
}

static void test_order(void **ctx)
{
	static const uint64_t keys[] = {5, 3, 9, UINT64_MAX, 0, 3, 7};
	static const uint64_t sorted[] = {0, 3, 3, 5, 7, 9, UINT64_MAX};
	struct meld_node nodes[7], *first = NULL;

	(void)ctx;
	for (int i = 0; i < 7; i++)
		meld_put(&first, &nodes[i], keys[i]);
	for (int i = 0; i < 7; i++) {
		assert_true(first->key == sorted[i]);
		meld_remove(&first, first);
	}
	assert_null(first);
}

/* In whatever order they come, the way on which the work is done is short. */
static void test_stays_flat(void **ctx)
{
	enum { N = 65536 };
	static struct meld_node nodes[3][N];
	struct meld_node *first[3] = {0};

	(void)ctx;
	for (uint32_t i = 0; i < N; i++) {
		meld_put(&first[0], &nodes[0][i], i);
		meld_put(&first[1], &nodes[1][i], N - i);
		meld_put(&first[2], &nodes[2][i], i * UINT32_C(2654435761));
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(first[i]->rank, 1, 17);
	/* From within, the first ones last. */
	for (uint32_t i = N; i-- > 1;)
		for (int j = 0; j < 3; j += 2)
			meld_remove(&first[j], &nodes[j][i]);
	assert_ptr_equal(first[0], &nodes[0][0]);
	assert_ptr_equal(first[2], &nodes[2][0]);
	assert_int_equal(check(first[0], NULL), 1);
}

enum { NODES = 60, HEAPS = 2 };

struct plain {
	struct meld_node nodes[NODES];
	int in[NODES]; /* which heap; -1: none */
	struct meld_node *first[HEAPS];
};

static size_t find_smallest(const struct plain *plain, int heap, uint64_t *ret_key)
{
	size_t n = 0;

	*ret_key = UINT64_MAX;
	for (int i = 0; i < NODES; i++) {
		if (plain->in[i] != heap)
			continue;
		n++;
		if (plain->nodes[i].key < *ret_key)
			*ret_key = plain->nodes[i].key;
	}
	return n;
}

static void check_heap(const struct plain *plain, int heap)
{
	const struct meld_node *first = plain->first[heap];
	uint64_t smallest;

	assert_int_equal(check(first, NULL), find_smallest(plain, heap, &smallest));
	if (first)
		assert_true(first->key == smallest);
}

/* In, out of the middle, and into another heap, for long. */
static void test_like_plain_arrays(void **ctx)
{
	static struct plain plain;
	uint64_t state = 88172645463325252;

	(void)ctx;
	for (int i = 0; i < NODES; i++)
		plain.in[i] = -1;
	for (int step = 0; step < 100000; step++) {
		unsigned i;
		int heap;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		i = (unsigned)(state % NODES);
		heap = (int)(state >> 32 & 1);
		if (plain.in[i] >= 0)
			meld_remove(&plain.first[plain.in[i]], &plain.nodes[i]);
		plain.in[i] = state >> 33 & 1 ? heap : -1;
		if (plain.in[i] >= 0)
			meld_put(&plain.first[heap], &plain.nodes[i], state >> 40 & 63);
		check_heap(&plain, 0);
		check_heap(&plain, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_stays_flat),
		cmocka_unit_test(test_like_plain_arrays),
	};

	return cmocka_run_group_tests_name("meld", tests, NULL, NULL);
}
