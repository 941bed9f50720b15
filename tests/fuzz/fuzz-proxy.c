/*
 * Headers of the PROXY protocol, versions 1 and 2.
 *
 * Besides memory errors this looks for what must never be: a result that depends on how
 * the bytes came, a byte taken that is not the header's, something left to be read of what
 * was refused, and addresses that are not understood when they are written anew.
 */
#include "workers/front/proxy.h"
#include "workers/front/proxy_write.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Pieces of `piece` bytes, each in memory of its own size; no more than is wanted if
 * that is all the header's anyway.  Returns how many bytes were taken. */
static size_t feed(struct proxy_parser *p, const uint8_t *data, size_t size, size_t piece)
{
	size_t at = 0;

	while (p->state == PROXY_MORE && at < size) {
		size_t n = size - at < piece ? size - at : piece, used;
		uint8_t *exact = malloc(n);
		size_t wanted;
		bool peek;

		wanted = proxy_wants(p, &peek);
		check(wanted > 0);
		if (!peek && n > wanted)
			n = wanted;
		memcpy(exact, data + at, n);
		proxy_feed(p, exact, n, &used);
		check(used <= n);
		check(peek || used == n || p->state == PROXY_REFUSED);
		free(exact);
		at += used;
	}
	return at;
}

static void check_same(const struct proxy_parser *a, const struct proxy_parser *b)
{
	check(a->state == b->state && a->fault == b->fault && a->taken == b->taken);
	if (a->state != PROXY_MORE)
		check(memcmp(&a->header, &b->header, sizeof a->header) == 0);
}

static void check_facts(const struct proxy_header *header)
{
	for (enum proxy_fact fact = 0; fact < _PROXY_FACT_MAX; fact++) {
		size_t len;
		const uint8_t *value = proxy_fact(header, fact, &len);

		if (value)
			check(value >= header->values &&
				value + len <= header->values + sizeof header->values);
	}
}

/* Version 1 has no words for some addresses. */
static void check_written(const struct proxy_header *header, unsigned version)
{
	uint8_t buf[PROXY_WRITE_MAX];
	struct proxy_parser p;
	size_t len, used;

	len = proxy_write(version, &header->source, &header->destination, buf);
	proxy_init(&p, version);
	check(proxy_feed(&p, buf, len, &used) == PROXY_DONE && used == len);
	check(p.header.has_addresses || version == PROXY_V1);
	if (!p.header.has_addresses)
		return;
	check(addr_equal(&header->source, &p.header.source));
	check(addr_equal(&header->destination, &p.header.destination));
}

static void check_done(const struct proxy_parser *p)
{
	check(p->fault == PROXY_FAULTLESS);
	check_facts(&p->header);
	if (p->header.has_addresses) {
		check_written(&p->header, PROXY_V1);
		check_written(&p->header, PROXY_V2);
	}
}

static void check_refused(const struct proxy_parser *p)
{
	static const struct proxy_header nothing;

	check(p->fault != PROXY_FAULTLESS && *proxy_fault_text(p->fault));
	check(memcmp(&p->header, &nothing, sizeof nothing) == 0);
}

static void try_versions(const uint8_t *data, size_t size, unsigned versions)
{
	static const size_t pieces[] = {1, 7};
	struct proxy_parser whole, p;
	enum proxy_presence presence = proxy_detect(data, size, versions);
	size_t used;

	proxy_init(&whole, versions);
	used = feed(&whole, data, size, SIZE_MAX);
	check(used == whole.taken);
	check(whole.state != PROXY_MORE || used == size);
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		proxy_init(&p, versions);
		check(feed(&p, data, size, pieces[i]) == used);
		check_same(&whole, &p);
	}

	if (whole.state == PROXY_DONE)
		check_done(&whole);
	else
		proxy_end(&whole);
	if (whole.state == PROXY_REFUSED)
		check_refused(&whole);
	check(whole.state != PROXY_DONE || presence == PROXY_PRESENT);
	check(presence != PROXY_ABSENT || whole.fault == PROXY_NO_HEADER ||
		whole.fault == PROXY_NOT_ALLOWED || whole.fault == PROXY_CUT_SHORT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_versions(data, size, PROXY_V1);
	try_versions(data, size, PROXY_V2);
	try_versions(data, size, PROXY_V1 | PROXY_V2);
	return 0;
}
