/*
 * words: what clients are told, each text once, however many are told it.
 *
 * A text comes along with each connection.  Those with the same content share one copy,
 * which goes with the last of them: five thousand who wait for the same banner cost one.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_FRONT_WORDS_H
#define HATCHD_WORKERS_FRONT_WORDS_H

#include "base/front.h"

#include <stddef.h>
#include <stdint.h>

#define WORDS_BUCKETS 256

struct words {
	struct front_text text; /* for reading */
	size_t n_names;

	/* Its own business. */
	struct words_shelf *shelf;
	struct words *next; /* in the bucket */
	uint8_t *data;      /* owned: what came, where the banners are */
	size_t len;
	uint64_t hash;
	size_t n_users;
};

/* Where they stand.  All zero: empty. */
struct words_shelf {
	struct words *buckets[WORDS_BUCKETS];
};

/*
 * The text in that file, which stays the caller's and as it is, from its byte 0 on:
 * others may be reading it.  0, and words_put() is owed; a negative errno: -EFBIG: more than
 * FRONT_TEXT_MAX, -EBADMSG: it is no text (base/front), -ENOMEM, or what reading says.
 */
int words_get(struct words_shelf *shelf, int fd, struct words **ret);

/* One user less; NULL is nothing.  Returns NULL. */
struct words *words_put(struct words *words);

#endif
