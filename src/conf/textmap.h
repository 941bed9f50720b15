/*
 * textmap: texts to pointers, for finding doubles among many names.
 *
 * Grows with its content; insertion and lookup take constant time.  Keys are
 * copied, values are borrowed.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_TEXTMAP_H
#define HATCHD_CONF_TEXTMAP_H

#include "base/own.h"

struct textmap_slot {
	char *key;         /* owned; NULL: free slot */
	const void *value; /* borrowed, never NULL in use */
};

struct textmap {
	struct textmap_slot *slots;
	size_t size; /* a power of two, or 0 */
	size_t n;    /* slots in use, at most half of size */
};

void textmap_init(struct textmap *map);
void textmap_done(struct textmap *map);

/* What stands for `key`, or NULL. */
const void *textmap_get(const struct textmap *map, const char *key);

/* 0, -EEXIST (the map is then unchanged) or -ENOMEM. */
int textmap_add(struct textmap *map, const char *key, const void *value);

#endif
