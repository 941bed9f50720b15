#include "master/behind.h"

#include "base/own.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_MIN 16

struct behind {
	size_t first, n, room; /* from `first` on there are n */
	struct {
		int fd; /* owned */
		uint64_t since;
	} clients[];
};

/* They are added at once, and taken after that: places at the beginning are not used again. */
static int make_room(struct behind **behind)
{
	size_t room = *behind ? (*behind)->room * 2 : ROOM_MIN;
	struct behind *larger;

	if (*behind && (*behind)->first + (*behind)->n < (*behind)->room)
		return 0;
	larger = realloc(*behind, sizeof *larger + room * sizeof larger->clients[0]);
	if (!larger)
		return -ENOMEM;
	if (!*behind)
		larger->first = larger->n = 0;
	larger->room = room;
	*behind = larger;
	return 0;
}

int behind_add(struct behind **behind, int fd, uint64_t since)
{
	int r = make_room(behind);
	size_t last;

	if (r < 0)
		return r;
	last = (*behind)->first + (*behind)->n++;
	(*behind)->clients[last].fd = fd;
	(*behind)->clients[last].since = since;
	return 0;
}

bool behind_take(struct behind **behind, int *ret_fd, uint64_t *ret_since)
{
	struct behind *b = *behind;

	if (!b)
		return false;
	*ret_fd = b->clients[b->first].fd;
	*ret_since = b->clients[b->first].since;
	b->first++;
	b->n--;
	if (b->n == 0)
		free(take_ptr(*behind));
	return true;
}

size_t behind_count(const struct behind *behind)
{
	return behind ? behind->n : 0;
}
