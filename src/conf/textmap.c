#include "conf/textmap.h"

#include <stdint.h>
#include <string.h>

/* FNV-1a.  Keys come from configuration files, whose authors may do worse
 * things to hatchd than slow its loader down. */
static uint64_t hash(const char *key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct textmap_slot *find_slot(struct textmap_slot *slots, size_t size, const char *key)
{
	size_t i = (size_t)hash(key) & (size - 1);

	while (slots[i].key && strcmp(slots[i].key, key) != 0)
		i = (i + 1) & (size - 1);
	return &slots[i];
}

static int grow(struct textmap *map)
{
	size_t size = map->size ? map->size * 2 : 64;
	struct textmap_slot *slots = calloc(size, sizeof *slots);

	if (!slots)
		return -ENOMEM;

	for (size_t i = 0; i < map->size; i++) {
		if (map->slots[i].key)
			*find_slot(slots, size, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	map->slots = slots;
	map->size = size;
	return 0;
}

void textmap_init(struct textmap *map)
{
	*map = (struct textmap){0};
}

void textmap_done(struct textmap *map)
{
	for (size_t i = 0; i < map->size; i++)
		free(map->slots[i].key);
	free(map->slots);
	textmap_init(map);
}

const void *textmap_get(const struct textmap *map, const char *key)
{
	const struct textmap_slot *slot;

	if (map->size == 0)
		return NULL;

	slot = find_slot(map->slots, map->size, key);
	return slot->key ? slot->value : NULL;
}

int textmap_add(struct textmap *map, const char *key, const void *value)
{
	struct textmap_slot *slot;

	if (map->n >= map->size / 2 && grow(map) < 0)
		return -ENOMEM;

	slot = find_slot(map->slots, map->size, key);
	if (slot->key)
		return -EEXIST;

	slot->key = strdup(key);
	if (!slot->key)
		return -ENOMEM;

	slot->value = value;
	map->n++;
	return 0;
}
