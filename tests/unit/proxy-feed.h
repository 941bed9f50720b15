/*
 * proxy-feed: headers of the PROXY protocol, made and tried, for tests.
 *
 * Whatever is tried is fed in one piece, byte by byte, and in two pieces cut at every
 * place, and every beginning of it is tried as all that ever comes.
 */
#ifndef HATCHD_TESTS_PROXY_FEED_H
#define HATCHD_TESTS_PROXY_FEED_H

#include "base/own.h"
#include "workers/front/crc32c.h"
#include "workers/front/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BOTH (PROXY_V1 | PROXY_V2)

/* A text with its NULs, without the last one. */
#define BYTES(text) text, sizeof(text) - 1

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define STREAM4   "\x21\x11"
#define ADDRESSES "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
#define SOURCE    "tcp:192.0.2.1:56324"
#define TARGET    "tcp:198.51.100.2:443"
#define PAYLOAD   "\x02\x00\x01payload\r\n"

/*
 * Feeding.
 */

static inline enum proxy_state feed(struct proxy_parser *p, const uint8_t *data, size_t len)
{
	size_t used;

	if (p->state == PROXY_MORE)
		proxy_feed(p, data, len, &used);
	return p->state;
}

static inline void assert_same(const struct proxy_parser *a, const struct proxy_parser *b)
{
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->fault, b->fault);
	assert_int_equal(a->taken, b->taken);
	if (a->state != PROXY_MORE)
		assert_memory_equal(&a->header, &b->header, sizeof a->header);
}

/* The result does not depend on how the bytes come. */
static inline void try_pieces(
	const uint8_t *data, size_t len, unsigned versions, const struct proxy_parser *whole)
{
	struct proxy_parser p;

	proxy_init(&p, versions);
	for (size_t i = 0; i < len; i++)
		feed(&p, data + i, 1);
	assert_same(whole, &p);
	for (size_t cut = 0; cut <= len; cut++) {
		proxy_init(&p, versions);
		feed(&p, data, cut);
		feed(&p, data + cut, len - cut);
		assert_same(whole, &p);
	}
}

/* What never becomes complete is never believed. */
static inline void try_beginnings(const uint8_t *data, size_t len, unsigned versions)
{
	static const struct proxy_header nothing;
	struct proxy_parser p;

	for (size_t n = 0; n < len; n++) {
		proxy_init(&p, versions);
		assert_int_equal(feed(&p, data, n), PROXY_MORE);
		assert_int_equal(p.taken, n);
		assert_int_equal(proxy_end(&p), PROXY_REFUSED);
		assert_int_equal(p.fault, n == 0 ? PROXY_NO_HEADER : PROXY_CUT_SHORT);
		assert_memory_equal(&p.header, &nothing, sizeof nothing);
	}
}

/* All of it, as one header with something behind it: the header, which is valid. */
static inline const struct proxy_header *accept_as(
	const void *data, size_t len, unsigned versions)
{
	static struct proxy_parser p;
	uint8_t *all = malloc(len + sizeof PAYLOAD);
	size_t used;

	assert_non_null(all);
	memcpy(all, data, len);
	memcpy(all + len, PAYLOAD, sizeof PAYLOAD);

	proxy_init(&p, versions);
	assert_int_equal(proxy_feed(&p, all, len + sizeof PAYLOAD, &used), PROXY_DONE);
	assert_int_equal(p.fault, PROXY_FAULTLESS);
	assert_int_equal(used, len);
	assert_int_equal(p.taken, len);
	assert_int_equal(proxy_end(&p), PROXY_DONE);
	try_pieces(all, len + sizeof PAYLOAD, versions, &p);
	try_beginnings(all, len, versions);
	free(all);
	return &p.header;
}

static inline const struct proxy_header *accept_header(const void *data, size_t len)
{
	return accept_as(data, len, BOTH);
}

/* Refused for that reason, with nothing left to be read. */
static inline void refuse_as(
	const void *data, size_t len, unsigned versions, enum proxy_fault fault)
{
	static const struct proxy_header nothing;
	struct proxy_parser p;
	size_t used;

	proxy_init(&p, versions);
	assert_int_equal(proxy_feed(&p, data, len, &used), PROXY_REFUSED);
	assert_string_equal(proxy_fault_text(p.fault), proxy_fault_text(fault));
	assert_int_equal(used, p.taken);
	assert_memory_equal(&p.header, &nothing, sizeof nothing);
	try_pieces(data, len, versions, &p);

	assert_int_equal(proxy_feed(&p, data, len, &used), PROXY_REFUSED);
	assert_int_equal(used, 0);
	assert_int_equal(proxy_end(&p), PROXY_REFUSED);
	assert_int_equal(p.fault, fault);
}

static inline void refuse(const void *data, size_t len, enum proxy_fault fault)
{
	refuse_as(data, len, BOTH, fault);
}

static inline void assert_addresses(
	const struct proxy_header *header, const char *source, const char *destination)
{
	char text[ADDR_TEXT_MAX];

	assert_int_equal(header->command, PROXY_PROXY);
	assert_true(header->has_addresses);
	assert_string_equal(addr_format(&header->source, text), source);
	assert_string_equal(addr_format(&header->destination, text), destination);
}

static inline void assert_fact(const struct proxy_header *header, enum proxy_fact fact,
	const void *value, size_t value_len)
{
	const uint8_t *said;
	size_t len;

	said = proxy_fact(header, fact, &len);
	assert_non_null(said);
	assert_int_equal(len, value_len);
	assert_in_range(said - header->values, 0, sizeof header->values - len);
	assert_memory_equal(said, value, len);
}

static inline void assert_no_fact(const struct proxy_header *header, enum proxy_fact fact)
{
	size_t len;

	assert_null(proxy_fact(header, fact, &len));
}

/*
 * Making headers of version 2.
 */

struct draft {
	size_t len;
	size_t crc; /* where the checksum is; 0 for none */
	uint8_t data[16 + 65536];
};

static inline void add(struct draft *d, const void *data, size_t len)
{
	assert_in_range(len, 0, sizeof d->data - d->len);
	memcpy(d->data + d->len, data, len);
	d->len += len;
}

static inline void add_tlv(struct draft *d, uint8_t type, const void *value, size_t len)
{
	const uint8_t head[] = {type, (uint8_t)(len >> 8), (uint8_t)len};

	add(d, head, sizeof head);
	add(d, value, len);
}

/* A TLV of `len` bytes that are all the same. */
static inline void add_long_tlv(struct draft *d, uint8_t type, uint8_t byte, size_t len)
{
	uint8_t *value = malloc(len + 1);

	assert_non_null(value);
	memset(value, byte, len);
	add_tlv(d, type, value, len);
	free(value);
}

static inline void add_crc(struct draft *d)
{
	add_tlv(d, 3, BYTES("\0\0\0\0"));
	d->crc = d->len - 4;
}

static inline struct draft *start(const void *head, size_t len)
{
	static struct draft d;

	d.len = d.crc = 0;
	add(&d, SIGNATURE, 12);
	add(&d, head, 2);
	add(&d, BYTES("\0\0"));
	add(&d, (const uint8_t *)head + 2, len - 2);
	return &d;
}

static inline struct draft *start_ipv4(void)
{
	return start(BYTES(STREAM4 ADDRESSES));
}

/* Length and checksum are known when all is there. */
static inline void finish(struct draft *d)
{
	uint32_t crc;

	assert_in_range(d->len, 16, 16 + 65535);
	d->data[14] = (uint8_t)((d->len - 16) >> 8);
	d->data[15] = (uint8_t)(d->len - 16);
	if (d->crc == 0)
		return;
	crc = crc32c_add(0, d->data, d->len);
	for (size_t i = 0; i < 4; i++)
		d->data[d->crc + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static inline const struct proxy_header *accept_draft(struct draft *d)
{
	finish(d);
	return accept_header(d->data, d->len);
}

static inline void refuse_draft(struct draft *d, enum proxy_fault fault)
{
	finish(d);
	refuse(d->data, d->len, fault);
}

#endif
