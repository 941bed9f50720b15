/*
 * front: what the master and hatchd-front agree about: what is to be done with a
 * connection before its service gets it, and what its client is told.
 *
 * The bits are `what` of a request (os/channel); the texts come with SERVE as its second
 * descriptor, if there are any, and begin at its byte 0.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_FRONT_H
#define HATCHD_BASE_FRONT_H

#include "base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum front_task {
	/* SERVE */
	FRONT_PROXY = 1 << 0,          /* it begins with a header of the PROXY protocol */
	FRONT_PROXY_OPTIONAL = 1 << 1, /* with FRONT_PROXY: or does not */
	FRONT_MUX = 1 << 2,            /* then comes the name of a service (RFC 1078) */
	FRONT_DENIED = 1 << 3,         /* nothing is read: he is told `fail`, and that is all */
	/* It is offered, and waits for the verdict, also if nothing has to be written then.
	 * Implied by FRONT_MUX, `success` and `fail`. */
	FRONT_ASK = 1 << 4,

	/* VERDICT, with CHANNEL_ADMITTED */
	FRONT_PLUS = 1 << 5, /* after FRONT_MUX: "+go" is said before the service speaks */
};

/* Bytes of a banner, of a name, and of all names as they are written. */
#define FRONT_BANNER_MAX 65536
#define FRONT_NAME_MAX   64
#define FRONT_NAMES_MAX  (16 * 1024 * 1024)

/* Of all of it, as it is written. */
#define FRONT_TEXT_MAX (FRONT_NAMES_MAX + 3 * FRONT_BANNER_MAX + 64)

struct front_bytes {
	const uint8_t *data; /* borrowed; any bytes */
	size_t len;          /* 0: nothing is said */
};

struct front_text {
	struct front_bytes banner;  /* at once, after the header of a proxy */
	struct front_bytes success; /* when he is admitted, before the service speaks */
	struct front_bytes fail;    /* when he is not, except after FRONT_MUX */
	char **names; /* of services, the answer to HELP; NULL: none.  Owned if it was read */
};

/* Is there anything to be said?  Without, no text has to be sent along. */
bool front_text_is_empty(const struct front_text *text);

/* 0; -E2BIG: one of the bounds is exceeded, -EINVAL: a name is empty, and nothing was
 * written; -ENOMEM, and the writer is at fault. */
int front_text_write(const struct front_text *text, struct wire_writer *w);

/* What was written, to be released by front_text_done(); banners point into `data`.  0;
 * -EBADMSG: it is not such a text, or exceeds a bound; -ENOMEM. */
int front_text_read(const void *data, size_t len, struct front_text *ret);

void front_text_done(struct front_text *text);

#endif
