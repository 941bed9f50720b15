/*
 * wire: bounded, versioned encoding of plain values into one flat buffer.
 *
 * The format between loader and master.  Little-endian fixed-width numbers;
 * strings and blobs carry a length.  The reader trusts nothing: after the
 * first fault every further read yields zero or NULL and the fault stays
 * recorded, so that a decoder reads as a list of fields and checks once.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_WIRE_H
#define HATCHD_BASE_WIRE_H

#include "base/own.h"

#include <stdbool.h>
#include <stdint.h>

struct wire_writer {
	uint8_t *data; /* owned; freed by wire_writer_done() */
	size_t len;
	size_t size;
	int error; /* 0 or -ENOMEM; once set, further writes do nothing */
	bool is_secret;
};

void wire_writer_init(struct wire_writer *w);

/* For keys: what memory it gives back is wiped before, also where it grows.  Who takes `data`
 * has to do that himself. */
void wire_writer_init_secret(struct wire_writer *w);
void wire_writer_done(struct wire_writer *w);

void wire_put_u8(struct wire_writer *w, uint8_t value);
void wire_put_u32(struct wire_writer *w, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint64_t value);

/* As they are, without a length: what another writer has put together. */
void wire_put_raw(struct wire_writer *w, const void *data, size_t len);

void wire_put_blob(struct wire_writer *w, const void *data, size_t len);
void wire_put_string(struct wire_writer *w, const char *text); /* NULL is kept apart from "" */
void wire_put_strv(struct wire_writer *w, char *const *vector);

struct wire_reader {
	const uint8_t *data; /* borrowed */
	size_t len;
	size_t at;
	int error; /* 0, -EBADMSG (malformed) or -ENOMEM */
};

void wire_reader_init(struct wire_reader *r, const void *data, size_t len);

uint8_t wire_get_u8(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);

/* The next `len` bytes into `data`, as wire_put_raw() wrote them; zeros after a fault. */
void wire_get_raw(struct wire_reader *r, void *data, size_t len);

/* Exactly `len` bytes into `data`; anything else is a fault. */
void wire_get_blob(struct wire_reader *r, void *data, size_t len);

/* Fresh memory owned by the caller; NULL where NULL was written or after a
 * fault.  A string with an embedded NUL is a fault. */
char *wire_get_string(struct wire_reader *r);
char **wire_get_strv(struct wire_reader *r);

/*
 * A count of things that follow, each at least `min_bytes` long on the wire:
 * a count that the rest of the buffer cannot hold is a fault and reads as 0,
 * so nobody allocates for elements that cannot be there.
 */
uint32_t wire_get_count(struct wire_reader *r, size_t min_bytes);

/* No fault, and nothing left over. */
bool wire_reader_complete(const struct wire_reader *r);

#endif
