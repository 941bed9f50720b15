/*
 * codec: fields that are written and read by one and the same list.
 *
 * What one image of hatchd hands over to the next is written by one version of the program
 * and read by another, so the list of fields is there once, for both ways: a function that
 * names each field in turn.  Below is base/wire.
 *
 * A record has its length with it.  Fields are only ever added at its end: what a newer one has
 * there is not looked at by an older reader, and what an older one lacks reads as zero.
 *
 * The reader trusts nothing: after the first fault everything reads as zero, and the fault
 * stays.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_CODEC_H
#define HATCHD_MASTER_HANDOVER_CODEC_H

#include "base/addr.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of both is there. */
struct codec {
	struct wire_writer *out; /* borrowed */
	struct wire_reader *in;  /* borrowed */
};

/* Is it read?  Then what pointers in fields lead to is new, and whoever has the field owns it.
 */
bool codec_reads(const struct codec *codec);

/* What was read cannot be.  Not for writers. */
void codec_fault(struct codec *codec, int error);

/* What was read is sound, or a fault (-EBADMSG).  What is written is. */
void codec_expect(struct codec *codec, bool holds);

/* 0, or what has gone wrong so far: -EBADMSG, -ENOMEM. */
int codec_error(const struct codec *codec);

void codec_bool(struct codec *codec, bool *field);
void codec_u8(struct codec *codec, uint8_t *field);
void codec_u32(struct codec *codec, uint32_t *field);
void codec_u64(struct codec *codec, uint64_t *field);

/* Numbers that may be negative; a number that does not fit is a fault. */
void codec_i32(struct codec *codec, int32_t *field);

/* A descriptor, by its number: as codec_i32(), and whoever writes it has to see that it stays
 * open.  -EBADF: there is none. */
void codec_fd(struct codec *codec, int *field);

/* So many bytes as they are. */
void codec_raw(struct codec *codec, void *field, size_t len);

/* NULL is kept apart from "". */
void codec_text(struct codec *codec, char **field);

/* Any bytes; NULL for none.  What is read is at most `max` long, or a fault. */
void codec_bytes(struct codec *codec, uint8_t **field, size_t *len, size_t max);

/* An address with all there is to it.  That it can be handled by base/addr is checked. */
void codec_addr(struct codec *codec, struct addr *field);
void codec_source(struct codec *codec, struct addr_source *field);

/* A record of which `fields` is the list. */
void codec_record(
	struct codec *codec, void (*fields)(struct codec *codec, void *object), void *object);

/* Read one that is all there is in memory.  0, -EBADMSG or -ENOMEM; what the object has by then
 * is the caller's in any case. */
int codec_read_record(const void *data, size_t len,
	void (*fields)(struct codec *codec, void *object), void *object);

/*
 * An array of records of `size` bytes each, `*n` of them at *items, which is new memory when it
 * is read, at most `max` of them; zeroed before the list sees them.
 */
void codec_array(struct codec *codec, void **items, size_t *n, size_t size, size_t max,
	void (*fields)(struct codec *codec, void *object));

#endif
