#include "workers/udp/queue.h"

#include "base/own.h"

#include <string.h>

int queue_put(struct queue *queue, const void *bytes, size_t len)
{
	struct queued *item;

	if (queue->n >= QUEUE_MAX || len > QUEUE_BYTES - queue->bytes)
		return -ENOBUFS;
	item = malloc(sizeof *item + len);
	if (!item)
		return -ENOMEM;
	item->next = NULL;
	item->len = len;
	memcpy(item->bytes, bytes, len);
	if (queue->last)
		queue->last->next = item;
	else
		queue->first = item;
	queue->last = item;
	queue->n++;
	queue->bytes += len;
	return 0;
}

struct queued *queue_take(struct queue *queue)
{
	struct queued *item = queue->first;

	if (!item)
		return NULL;
	queue->first = item->next;
	if (!queue->first)
		queue->last = NULL;
	queue->n--;
	queue->bytes -= item->len;
	return item;
}

void queue_clear(struct queue *queue)
{
	struct queued *item;

	while ((item = queue_take(queue)))
		free(item);
}
