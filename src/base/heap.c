/* A binary heap: no node is before the one at half its place. */
#include "base/heap.h"

#include "base/own.h"

#include <assert.h>

void heap_done(struct heap *heap)
{
	free(heap->nodes);
	*heap = (struct heap){0};
}

int heap_reserve(struct heap *heap, size_t room)
{
	struct heap_node **nodes;

	if (room <= heap->room)
		return 0;
	nodes = reallocarray(heap->nodes, room, sizeof(struct heap_node *));
	if (!nodes)
		return -ENOMEM;
	heap->nodes = nodes;
	heap->room = room;
	return 0;
}

static struct heap_node *at(const struct heap *heap, size_t place)
{
	return heap->nodes[place - 1];
}

static void set(struct heap *heap, size_t place, struct heap_node *node)
{
	heap->nodes[place - 1] = node;
	node->place = (uint32_t)place;
}

/* To where it belongs, from a place that is free. */
static void sink(struct heap *heap, size_t place, struct heap_node *node)
{
	for (;;) {
		size_t next = place * 2;

		if (next < heap->n && at(heap, next + 1)->key < at(heap, next)->key)
			next++;
		if (next > heap->n || at(heap, next)->key >= node->key)
			break;
		set(heap, place, at(heap, next));
		place = next;
	}
	set(heap, place, node);
}

static void settle(struct heap *heap, size_t place, struct heap_node *node)
{
	while (place > 1 && node->key < at(heap, place / 2)->key) {
		set(heap, place, at(heap, place / 2));
		place /= 2;
	}
	sink(heap, place, node);
}

void heap_put(struct heap *heap, struct heap_node *node, uint64_t key)
{
	size_t place = node->place;

	if (place == 0) {
		assert(heap->n < heap->room);
		place = ++heap->n;
	}
	node->key = key;
	settle(heap, place, node);
}

/* The last one takes its place. */
void heap_remove(struct heap *heap, struct heap_node *node)
{
	size_t place = node->place;
	struct heap_node *last;

	if (place == 0)
		return;
	last = at(heap, heap->n--);
	node->place = 0;
	if (last != node)
		settle(heap, place, last);
}

struct heap_node *heap_first(const struct heap *heap)
{
	return heap->n > 0 ? at(heap, 1) : NULL;
}
