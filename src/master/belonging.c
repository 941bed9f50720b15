#include "master/belonging.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct belonging_crowd {
	const void *what;
	LIST_HEAD(, belongs) members; /* never empty */
};

static int compare(const void *a, const void *b)
{
	const char *one = ((const struct belonging_crowd *)a)->what;
	const char *other = ((const struct belonging_crowd *)b)->what;

	return (one > other) - (one < other);
}

static struct belonging_crowd *find(const struct belonging *belonging, const void *what)
{
	const struct belonging_crowd key = {.what = what};
	struct belonging_crowd **node = tfind(&key, &belonging->tree, compare);

	return node ? *node : NULL;
}

static struct belonging_crowd *new_crowd(struct belonging *belonging, const void *what)
{
	struct belonging_crowd *crowd = calloc(1, sizeof *crowd);

	if (!crowd)
		return NULL;
	crowd->what = what;
	if (tsearch(crowd, &belonging->tree, compare))
		return crowd;
	free(crowd);
	return NULL;
}

/* NULL: there is no memory for it. */
static struct belonging_crowd *find_or_make(struct belonging *belonging, const void *what)
{
	struct belonging_crowd *crowd = find(belonging, what);

	return crowd ? crowd : new_crowd(belonging, what);
}

static void join(struct belonging_crowd *crowd, struct belongs *member)
{
	LIST_INSERT_HEAD(&crowd->members, member, entry);
	member->crowd = crowd;
}

int belonging_add(struct belonging *belonging, const void *what, struct belongs *member)
{
	struct belonging_crowd *crowd = find_or_make(belonging, what);

	if (!crowd)
		return -ENOMEM;
	join(crowd, member);
	return 0;
}

/* It may be there already, and alone: then that must not go. */
int belonging_move(struct belonging *belonging, const void *what, struct belongs *member)
{
	struct belonging_crowd *crowd = find_or_make(belonging, what);

	if (!crowd)
		return -ENOMEM;
	if (crowd == member->crowd)
		return 0;
	belonging_remove(belonging, member);
	join(crowd, member);
	return 0;
}

void belonging_remove(struct belonging *belonging, struct belongs *member)
{
	struct belonging_crowd *crowd = member->crowd;

	if (!crowd)
		return;
	LIST_REMOVE(member, entry);
	memset(member, 0, sizeof *member);
	if (!LIST_EMPTY(&crowd->members))
		return;
	tdelete(crowd, &belonging->tree, compare);
	free(crowd);
}

struct belongs *belonging_first(const struct belonging *belonging, const void *what)
{
	const struct belonging_crowd *crowd = find(belonging, what);

	return crowd ? LIST_FIRST(&crowd->members) : NULL;
}
