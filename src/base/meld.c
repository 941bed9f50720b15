/*
 * The way to the right is the shortest to the edge, in each node: its length is at most
 * the logarithm of what is below.  So that is the way on which all work is done.
 */
#include "base/meld.h"

#include <stdbool.h>
#include <stddef.h>

static uint32_t rank_of(const struct meld_node *node)
{
	return node ? node->rank : 0;
}

/* True if that made a difference to those above. */
static bool set_rank(struct meld_node *node)
{
	struct meld_node *left = node->left;
	uint32_t before = node->rank;

	if (rank_of(left) < rank_of(node->right)) {
		node->left = node->right;
		node->right = left;
	}
	node->rank = rank_of(node->right) + 1;
	return node->rank != before;
}

/* One of two.  It calls itself once for each node on the right of both: there are 64 for
 * more nodes than memory has bytes. */
static struct meld_node *merge(struct meld_node *a, struct meld_node *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->key < a->key) {
		struct meld_node *first = b;

		b = a;
		a = first;
	}
	a->right = merge(a->right, b);
	a->right->up = a;
	set_rank(a);
	return a;
}

void meld_put(struct meld_node **first, struct meld_node *node, uint64_t key)
{
	node->key = key;
	node->left = node->right = NULL;
	node->rank = 1;
	*first = merge(*first, node);
	(*first)->up = NULL;
}

/* The ranks that change from one node to the next above are all different, before or
 * afterwards, so there are no more of them than the largest is. */
void meld_remove(struct meld_node **first, struct meld_node *node)
{
	struct meld_node *up = node->up, *rest = merge(node->left, node->right);

	if (rest)
		rest->up = up;
	if (!up)
		*first = rest;
	else if (up->left == node)
		up->left = rest;
	else
		up->right = rest;
	while (up && set_rank(up))
		up = up->up;
}
