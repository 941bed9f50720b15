#include "workers/front/words.h"

#include "base/own.h"
#include "base/strv.h"
#include "policy/siphash.h"

#include <string.h>

/* Most texts fit the first piece. */
#define FIRST_ROOM 4096

/* ------------------------------------------------------------------- what came */

static ssize_t read_at(int fd, uint8_t *to, size_t room, size_t at)
{
	ssize_t n;

	do
		n = pread(fd, to, room, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int grow(uint8_t **data, size_t *room)
{
	uint8_t *more = realloc(*data, *room * 2);

	if (!more)
		return -ENOMEM;
	*data = more;
	*room *= 2;
	return 0;
}

/* There is always room for one byte more, so that the end is seen. */
static int read_whole(int fd, uint8_t **ret, size_t *ret_len)
{
	size_t room = FIRST_ROOM, len = 0;
	_cleanup_free_ uint8_t *data = malloc(room);
	ssize_t n = 1;

	if (!data)
		return -ENOMEM;
	while (n > 0) {
		if (len == room && grow(&data, &room) < 0)
			return -ENOMEM;
		n = read_at(fd, data + len, room - len, len);
		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (len > FRONT_TEXT_MAX)
			return -EFBIG;
	}
	*ret = take_ptr(data);
	*ret_len = len;
	return 0;
}

/* ------------------------------------------------------------------- the shelf */

/* They come from the configuration: nobody outside chooses what falls together. */
static uint64_t hash_of(const uint8_t *data, size_t len)
{
	static const uint8_t key[16];

	return siphash(data, len, key);
}

static struct words *find(
	const struct words_shelf *shelf, const uint8_t *data, size_t len, uint64_t hash)
{
	struct words *words = shelf->buckets[hash % WORDS_BUCKETS];

	while (words && (words->hash != hash || words->len != len ||
				memcmp(words->data, data, len) != 0))
		words = words->next;
	return words;
}

static void put_in(struct words_shelf *shelf, struct words *words)
{
	struct words **bucket = &shelf->buckets[words->hash % WORDS_BUCKETS];

	words->shelf = shelf;
	words->next = *bucket;
	*bucket = words;
}

static void take_out(struct words *words)
{
	struct words **at = &words->shelf->buckets[words->hash % WORDS_BUCKETS];

	while (*at != words)
		at = &(*at)->next;
	*at = words->next;
}

/* Not longer than it has to be; where that cannot be had, it is used as it is. */
static uint8_t *trim(uint8_t *data, size_t len)
{
	uint8_t *less = realloc(data, len);

	return less ? less : data;
}

/* The words own `data` from here on. */
static int words_new(uint8_t *data, size_t len, uint64_t hash, struct words **ret)
{
	struct words *words = calloc(1, sizeof *words);
	int r = words ? 0 : -ENOMEM;

	data = trim(data, len);
	if (r == 0)
		r = front_text_read(data, len, &words->text);
	if (r < 0) {
		free(words);
		free(data);
		return r;
	}
	words->n_names = strv_length(words->text.names);
	words->data = data;
	words->len = len;
	words->hash = hash;
	*ret = words;
	return 0;
}

int words_get(struct words_shelf *shelf, int fd, struct words **ret)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct words *words;
	uint64_t hash;
	size_t len = 0;
	int r = read_whole(fd, &data, &len);

	if (r < 0)
		return r;
	if (len == 0)
		return -EBADMSG;
	hash = hash_of(data, len);
	words = find(shelf, data, len, hash);
	if (!words) {
		r = words_new(take_ptr(data), len, hash, &words);
		if (r < 0)
			return r;
		put_in(shelf, words);
	}
	words->n_users++;
	*ret = words;
	return 0;
}

struct words *words_put(struct words *words)
{
	if (!words || --words->n_users > 0)
		return NULL;
	take_out(words);
	front_text_done(&words->text);
	free(words->data);
	free(words);
	return NULL;
}
