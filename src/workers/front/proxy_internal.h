/*
 * proxy_internal: what proxy.c, proxy_v1.c and proxy_v2.c share.  For nobody else.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_FRONT_PROXY_INTERNAL_H
#define HATCHD_WORKERS_FRONT_PROXY_INTERNAL_H

#include "workers/front/proxy.h"

/* What the bytes to come are. */
enum proxy_stage {
	PROXY_AT_START,     /* of either version */
	PROXY_AT_LINE,      /* v1: all that follows "PROXY " */
	PROXY_AT_FIXED,     /* v2: what follows the signature, up to the length */
	PROXY_AT_ADDRESSES, /* v2 */
	PROXY_AT_TLV,       /* v2: type and length */
	PROXY_AT_VALUE,     /* v2: value of a fact */
	PROXY_AT_CRC,       /* v2: value of the checksum */
	PROXY_AT_SSL,       /* v2: the fixed part of the SSL TLV */
	PROXY_AT_UNWANTED,  /* v2: value of a TLV to be skipped */
	PROXY_AT_UNREAD,    /* v2: the whole rest of the header, skipped */
	_PROXY_STAGE_MAX,
};

/* The header is refused, or complete. */
void proxy_refuse(struct proxy_parser *parser, enum proxy_fault fault);
void proxy_finish(struct proxy_parser *parser);

/* The next byte of a line. */
void proxy_v1_take(struct proxy_parser *parser, uint8_t byte);

/* The signature of version 2 is complete. */
void proxy_v2_begin(struct proxy_parser *parser);

/* Take some bytes, at least one; returns how many. */
size_t proxy_v2_take(struct proxy_parser *parser, const uint8_t *data, size_t len);

#endif
