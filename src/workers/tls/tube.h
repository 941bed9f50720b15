/*
 * tube: a client's socket, as OpenSSL reads and writes it: in large pieces, and never
 * waiting.
 *
 * OpenSSL reads a record in two pieces and writes each for itself.  Here what is there is
 * read at once, into room that all tubes share, and records are written together, when
 * tube_flush() says so.  Writing to a tube always succeeds, so that nothing is ever half
 * written within OpenSSL: whoever writes looks at tube_unsent() first.
 *
 * A step of its owner ends with tube_rest(): then the shared room is somebody else's, and
 * what of it OpenSSL has not taken is kept.
 *
 * Memory: sizeof(struct tube), and what was read or written and is not yet gone: TUBE_ROOM
 * bytes of what was read at most.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_TLS_TUBE_H
#define HATCHD_WORKERS_TLS_TUBE_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A record of TLS with all around it (RFC 5246, 6.2.3). */
#define TUBE_RECORD (16 * 1024 + 2048 + 5)

/* Read at once from who has much to say. */
#define TUBE_ROOM (64 * 1024)

/* Read in one step, and a piece more. */
#define TUBE_SHARE (256 * 1024)

/* And in as many pieces at most, two for a record: each of them is work, however small it is.
 */
#define TUBE_PIECES 128

/* Unsent bytes at most: more than the longest flight of a handshake has. */
#define TUBE_UNSENT_MAX (512 * 1024)

/* What all tubes share. */
struct tube_works {
	BIO_METHOD *method; /* owned */
	uint8_t room[TUBE_ROOM];
};

/* 0 or -ENOMEM. */
int tube_works_init(struct tube_works *works);
void tube_works_done(struct tube_works *works);

struct tube {
	struct tube_works *works; /* borrowed */
	int fd;                   /* borrowed; all calls are MSG_DONTWAIT */
	int error;                /* errno of what broke it off; 0: it is whole */
	bool ended;               /* nothing more can be read */
	bool deaf;                /* nothing more can be written: it is thrown away */
	bool dry;                 /* in this step all was read that is there, or its share */
	bool sated;               /* there may be more: it has had its share, or its pieces */
	uint32_t taken;           /* bytes read in this step */
	uint32_t pieces;          /* that OpenSSL has asked for in it */
	uint64_t received, sent;  /* bytes that the socket has given and taken, in all */
	uint32_t in_at, in_len;
	uint32_t out_at, out_len, out_room;
	uint8_t *in;  /* to be taken by OpenSSL: owned between steps, the shared room in one */
	uint8_t *out; /* owned; to be sent */
};

void tube_init(struct tube *tube, struct tube_works *works, int fd);
void tube_done(struct tube *tube);

/* For SSL_set_bio(3): it points to the tube.  NULL: no memory. */
BIO *tube_bio(struct tube *tube);

/* Send what was written, as much as goes.  False: not all of it is gone. */
bool tube_flush(struct tube *tube);

/* Bytes. */
size_t tube_unsent(const struct tube *tube);

/* Bytes that were read, and taken. */
uint64_t tube_used(const struct tube *tube);

/* Is there something that was read, and not taken? */
bool tube_has_more(const struct tube *tube);

/* The step is over.  0 or -ENOMEM, and then what was read is lost. */
int tube_rest(struct tube *tube);

/* Read and throw away what is there, `max` bytes at most: how many; 0: there are none now, or
 * never any more (`ended`, `error`). */
size_t tube_discard(struct tube *tube, size_t max);

#endif
