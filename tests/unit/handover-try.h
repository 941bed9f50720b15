/*
 * handover-try: records that were damaged on the way, and readers without memory, for tests of
 * what reads them.
 */
#ifndef HATCHD_TESTS_HANDOVER_TRY_H
#define HATCHD_TESTS_HANDOVER_TRY_H

#include "base/own.h"
#include "base/wire.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "short-of-memory.h"

#define SECOND UINT64_C(1000000)
#define NOW    (UINT64_C(1000000000) * SECOND) /* later than the clock of any machine */

/* Below, `try` reads it, releases what it has read, and returns 0 or a negative errno.  It gets
 * memory of its own, so that a sanitizer sees what is read behind its end. */
static inline int handover_try(
	int (*try)(const void *data, size_t len), const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, data, len);
	r = try(copy, len);
	free(copy);
	return r;
}

/* A record that is cut off anywhere is refused; where there is none at all, nothing is said. */
static inline void handover_try_cut(
	int (*try)(const void *data, size_t len), const struct wire_writer *w)
{
	for (size_t len = 1; len < w->len; len++)
		assert_int_equal(handover_try(try, w->data, len), -EBADMSG);
	assert_int_equal(handover_try(try, w->data, 0), 0);
	assert_int_equal(handover_try(try, w->data, w->len), 0);
}

/* One that says less, as an older version would, is read as far as it goes, or refused; how
 * many of these lengths are read. */
static inline size_t handover_try_shorter(
	int (*try)(const void *data, size_t len), const struct wire_writer *w)
{
	uint8_t *copy = malloc(w->len);
	size_t n_read = 0;

	assert_non_null(copy);
	for (uint32_t less = 0; less <= w->len - sizeof less; less++) {
		uint32_t len = (uint32_t)(w->len - sizeof len) - less;
		int r;

		memcpy(copy, w->data, w->len - less);
		memcpy(copy, &(uint32_t){htole32(len)}, sizeof len);
		r = handover_try(try, copy, w->len - less);
		assert_true(r == 0 || r == -EBADMSG);
		n_read += r == 0;
	}
	free(copy);
	return n_read;
}

/* What a newer version has added at the end is not looked at. */
static inline void handover_try_longer(
	int (*try)(const void *data, size_t len), const struct wire_writer *w)
{
	uint32_t len = (uint32_t)(w->len - sizeof len) + 3;
	uint8_t *copy = malloc(w->len + 3);

	assert_non_null(copy);
	memcpy(copy, w->data, w->len);
	memcpy(copy, &(uint32_t){htole32(len)}, sizeof len);
	memcpy(copy + w->len, "new", 3);
	assert_int_equal(handover_try(try, copy, w->len + 3), 0);
	free(copy);
}

/* Whatever becomes of a bit: it is read or refused. */
static inline void handover_try_flipped(
	int (*try)(const void *data, size_t len), const struct wire_writer *w)
{
	for (size_t bit = 0; bit < 8 * w->len; bit++) {
		int r;

		w->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = handover_try(try, w->data, w->len);
		assert_true(r == 0 || r == -EBADMSG || r == -ENOMEM);
		w->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* All of that; how many lengths of one that says less are read. */
static inline size_t handover_try_damaged(
	int (*try)(const void *data, size_t len), const struct wire_writer *w)
{
	handover_try_cut(try, w);
	handover_try_longer(try, w);
	handover_try_flipped(try, w);
	return handover_try_shorter(try, w);
}

/* Whichever of its allocations fails, it says so; how many there are, and one. */
static inline int handover_try_without_memory(
	int (*try)(const void *data, size_t len), const struct wire_writer *w)
{
	int n = 0, r;

	do {
		allocations_left = ++n;
		r = handover_try(try, w->data, w->len);
		allocations_left = -1;
		assert_true(r == 0 || r == -ENOMEM);
	} while (r < 0);
	return n;
}

#endif
