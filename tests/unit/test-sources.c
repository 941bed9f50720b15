/* sources: children counted per source and service, against a plain array. */
#include "policy/sources.h"

#include "policy/admit.h"

#include "short-of-memory.h"
#include "sources-try.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What was hashed last, to what, and with which key. */
static struct {
	uint8_t data[64];
	size_t len;
	uint64_t hash;
	uint8_t key[16];
} hashed;

uint64_t __real_siphash(const void *data, size_t len, const uint8_t with[16]);
uint64_t __wrap_siphash(const void *data, size_t len, const uint8_t with[16]);

uint64_t __wrap_siphash(const void *data, size_t len, const uint8_t with[16])
{
	assert_true(len <= sizeof hashed.data);
	memcpy(hashed.data, data, len);
	hashed.len = len;
	memcpy(hashed.key, with, sizeof hashed.key);
	return hashed.hash = __real_siphash(data, len, with);
}

static struct addr_source source_of(unsigned number)
{
	struct addr_source source = {.family = 4};

	memcpy(source.bytes, &number, sizeof number);
	return source;
}

static void test_counts(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1), b = source_of(2);

	(void)ctx;
	assert_int_equal(sources_count(sources, 7, &a), 0);
	assert_int_equal(sources_add(sources, 7, &a), 0);
	assert_int_equal(sources_add(sources, 7, &a), 0);
	assert_int_equal(sources_add(sources, 7, &b), 0);
	assert_int_equal(sources_count(sources, 7, &a), 2);
	assert_int_equal(sources_count(sources, 7, &b), 1);
	assert_int_equal(sources_used(sources), 2);

	sources_remove(sources, 7, &a, 0);
	assert_int_equal(sources_count(sources, 7, &a), 1);
	assert_int_equal(sources_used(sources), 2);
	sources_remove(sources, 7, &a, 0);
	assert_int_equal(sources_count(sources, 7, &a), 0);
	assert_int_equal(sources_used(sources), 1);
	sources_remove(sources, 7, &b, 0);
	assert_int_equal(sources_used(sources), 0);
	sources_free(sources);
}

/* The same client of two services is two sources; so are the same bytes of two families. */
static void test_what_makes_a_source(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source four = source_of(1), six = four, user;

	(void)ctx;
	six.family = 6;
	addr_source_uid(1, &user);
	assert_int_equal(sources_add(sources, 1, &four), 0);
	assert_int_equal(sources_count(sources, 2, &four), 0);
	assert_int_equal(sources_count(sources, 1, &six), 0);
	assert_int_equal(sources_count(sources, 1, &user), 0);
	assert_int_equal(sources_count(sources, 1, &four), 1);
	sources_remove(sources, 1, &four, 0);

	/* Among so many, some share a chain. */
	for (unsigned i = 0; i < 300; i++) {
		four = six = source_of(i);
		six.family = 6;
		assert_int_equal(sources_add(sources, 1, &four), 0);
		assert_int_equal(sources_count(sources, 1, &six), 0);
		sources_remove(sources, 1, &four, 0);
	}
	sources_free(sources);
}

static void test_bound(void **ctx)
{
	struct sources *sources = sources_new(3, 3, key);
	struct addr_source a = source_of(1), b = source_of(2);

	(void)ctx;
	assert_int_equal(sources_add(sources, 1, &a), 0);
	assert_int_equal(sources_add(sources, 1, &a), 0);
	assert_int_equal(sources_add(sources, 1, &b), 0);
	assert_int_equal(sources_add(sources, 1, &b), -ENOSPC);
	assert_int_equal(sources_add(sources, 1, &a), -ENOSPC);
	assert_int_equal(sources_count(sources, 1, &b), 1);
	sources_remove(sources, 1, &a, 0);
	assert_int_equal(sources_add(sources, 1, &b), 0);
	sources_free(sources);
	assert_null(sources_free(NULL));
}

/* The same address of two links is two sources. */
static void test_links(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source here = {.family = 6, .bytes = {0xfe, 0x80}, .scope = {1}};
	struct addr_source there = {.family = 6, .bytes = {0xfe, 0x80}, .scope = {2}};

	(void)ctx;
	assert_int_equal(sources_add(sources, 1, &here), 0);
	assert_int_equal(sources_count(sources, 1, &there), 0);
	ban(sources, 1, &there, 5, 0);
	assert_true(sources_look(sources, 1, &here).banned_until == 0);
	assert_int_equal(sources_used(sources), 2);
	sources_free(sources);
}

/* A table that is as full as it may be, every child from a source of its own. */
static void test_full_of_different_ones(void **ctx)
{
	enum { MAX = 5000 };
	struct sources *sources = sources_new(MAX, MAX, key);

	(void)ctx;
	for (unsigned i = 0; i < MAX; i++) {
		struct addr_source source = source_of(i);

		assert_int_equal(sources_add(sources, i % 3, &source), 0);
	}
	assert_int_equal(sources_used(sources), MAX);
	for (unsigned i = 0; i < MAX; i += 2) {
		struct addr_source source = source_of(i);

		sources_remove(sources, i % 3, &source, 0);
	}
	for (unsigned i = 0; i < MAX; i++) {
		struct addr_source source = source_of(i);

		assert_int_equal(sources_count(sources, i % 3, &source), i % 2);
	}
	sources_free(sources);
}

/* Removal closes gaps in clusters: a small table, drawn upon at random, for long. */
static void test_like_a_plain_array(void **ctx)
{
	enum { SOURCES = 40, MAX = 30 };
	struct sources *sources = sources_new(MAX, MAX, key);
	uint32_t counts[SOURCES] = {0};
	uint64_t state = 88172645463325252;
	unsigned total = 0;

	(void)ctx;
	for (int step = 0; step < 200000; step++) {
		struct addr_source source;
		unsigned i;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		i = (unsigned)(state % SOURCES);
		source = source_of(i);
		assert_int_equal(sources_count(sources, 1, &source), counts[i]);
		if (state & (1 << 20)) {
			int r = sources_add(sources, 1, &source);

			assert_int_equal(r, total < MAX ? 0 : -ENOSPC);
			if (r == 0)
				counts[i]++, total++;
		} else if (counts[i] > 0) {
			sources_remove(sources, 1, &source, 0);
			counts[i]--, total--;
		}
	}
	sources_free(sources);
}

static bool knows(const struct sources *sources, unsigned number)
{
	struct addr_source source = source_of(number);
	struct source_facts facts = sources_look(sources, 1, &source);

	return facts.bucket.missing != 0 || facts.banned_until != 0 || facts.count != 0;
}

static void charge(struct sources *sources, unsigned number, unsigned times, uint64_t now)
{
	struct addr_source source = source_of(number);

	while (times-- > 0)
		sources_charge(sources, 1, &source, &slow, now);
}

/* As long as there is something to remember, and no longer. */
static void test_remembers_until_full_again(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1);

	(void)ctx;
	assert_int_equal(sources_add(sources, 1, &a), 0);
	charge(sources, 1, 3, 0);
	assert_int_equal(sources_remembered(sources), 0);
	sources_remove(sources, 1, &a, SECOND);
	assert_int_equal(sources_remembered(sources), 1);
	assert_true(sources_look(sources, 1, &a).bucket.missing == 3 * LIMIT_PARTS);
	/* He comes again, and goes when all is forgotten. */
	assert_int_equal(sources_add(sources, 1, &a), 0);
	assert_int_equal(sources_remembered(sources), 0);
	assert_int_equal(sources_used(sources), 1);
	sources_remove(sources, 1, &a, 3 * SECOND);
	assert_int_equal(sources_used(sources), 0);
	assert_false(knows(sources, 1));

	/* Without children at all; the next that are remembered sweep out what is over. */
	charge(sources, 1, 1, 10 * SECOND);
	charge(sources, 2, 2, 10 * SECOND);
	charge(sources, 3, 3, 10 * SECOND);
	assert_int_equal(sources_remembered(sources), 3);
	charge(sources, 4, 4, 11 * SECOND);
	assert_int_equal(sources_remembered(sources), 3);
	assert_false(knows(sources, 1));
	charge(sources, 5, 5, 13 * SECOND);
	assert_int_equal(sources_used(sources), 2);
	assert_true(knows(sources, 4) && knows(sources, 5));
	/* A clock that goes back forgets nothing that it should not. */
	charge(sources, 6, 1, 0);
	assert_true(knows(sources, 4) && knows(sources, 5) && knows(sources, 6));
	sources_free(sources);
}

static void test_another_limit_counts_on(void **ctx)
{
	const struct limit wide = {.count = 1, .burst = 20, .period = SECOND};
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1);

	(void)ctx;
	charge(sources, 1, 10, 0);
	for (int i = 0; i < 10; i++) {
		struct bucket bucket = sources_look(sources, 1, &a).bucket;

		assert_false(bucket_has(&bucket, &slow, 0));
		assert_true(bucket_has(&bucket, &wide, 0));
		sources_charge(sources, 1, &a, &wide, 0);
	}
	assert_true(sources_look(sources, 1, &a).bucket.missing == 20 * LIMIT_PARTS);
	sources_free(sources);
}

/* Who was full again before the limit became another has used up nothing of it. */
static void test_another_limit_begins_afresh(void **ctx)
{
	const struct limit fast = {.count = 50, .burst = 50, .period = SECOND};
	const struct limit hourly = {.count = 2, .burst = 2, .period = 3600 * SECOND};
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1);
	struct source_facts facts;

	(void)ctx;
	/* A child keeps its entry from being let go. */
	assert_int_equal(sources_add(sources, 1, &a), 0);
	sources_charge(sources, 1, &a, &fast, 0);
	facts = sources_look(sources, 1, &a);
	assert_true(facts.until > 0 && facts.until <= SECOND);
	sources_charge(sources, 1, &a, &hourly, 2 * SECOND);
	facts = sources_look(sources, 1, &a);
	assert_true(bucket_has(&facts.bucket, &hourly, 2 * SECOND));
	assert_true(facts.until > 1000 * SECOND);
	sources_free(sources);
}

static void test_ban(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1), b = source_of(2);

	(void)ctx;
	ban(sources, 1, &a, 5 * SECOND, 0);
	assert_true(sources_look(sources, 1, &a).banned_until == 5 * SECOND);
	assert_true(sources_look(sources, 2, &a).banned_until == 0);
	assert_true(sources_look(sources, 1, &b).banned_until == 0);
	/* A shorter one takes nothing away, and a bucket that is full neither. */
	ban(sources, 1, &a, 3 * SECOND, 0);
	charge(sources, 1, 1, SECOND);
	assert_true(sources_look(sources, 1, &a).banned_until == 5 * SECOND);
	assert_int_equal(sources_add(sources, 1, &a), 0);
	ban(sources, 1, &a, 9 * SECOND, 3 * SECOND);
	sources_remove(sources, 1, &a, 8 * SECOND);
	assert_true(sources_look(sources, 1, &a).banned_until == 9 * SECOND);
	charge(sources, 2, 1, 9 * SECOND);
	assert_true(sources_look(sources, 1, &a).banned_until == 0);
	/* Over before it begins. */
	ban(sources, 1, &a, 9 * SECOND, 9 * SECOND);
	assert_false(knows(sources, 1));
	sources_free(sources);
}

static void test_ban_everywhere(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1), b = source_of(2);

	(void)ctx;
	assert_false(sources_any_everywhere(sources));
	ban(sources, 1, &a, 5 * SECOND, 0);
	assert_false(sources_any_everywhere(sources));
	ban(sources, SOURCES_EVERYWHERE, &a, 5 * SECOND, 0);
	ban(sources, SOURCES_EVERYWHERE, &a, 6 * SECOND, 0);
	ban(sources, SOURCES_EVERYWHERE, &b, 7 * SECOND, 0);
	assert_true(sources_any_everywhere(sources));
	assert_true(sources_look(sources, SOURCES_EVERYWHERE, &a).banned_until == 6 * SECOND);
	charge(sources, 3, 1, 8 * SECOND);
	charge(sources, 3, 1, 8 * SECOND);
	assert_false(sources_any_everywhere(sources));
	sources_free(sources);
}

/* Whose memory ends first goes, be it the one that has just come. */
static void test_full_of_memories(void **ctx)
{
	struct sources *sources = sources_new(10, 3, key);
	struct addr_source living = source_of(50), banned = source_of(60);

	(void)ctx;
	assert_int_equal(sources_add(sources, 1, &living), 0);
	charge(sources, 50, 1, 0);
	ban(sources, 1, &banned, 100 * SECOND, 0);
	charge(sources, 2, 5, 0);
	charge(sources, 3, 4, 0);
	for (unsigned i = 100; i < 1000; i++) {
		charge(sources, i, 1, 0);
		assert_false(knows(sources, i));
	}
	assert_true(knows(sources, 2) && knows(sources, 3));
	assert_int_equal(sources_remembered(sources), 3);
	assert_int_equal(sources_used(sources), 4);
	/* With three children in a row he has more to tell. */
	for (unsigned i = 0; i < 5; i++) {
		struct addr_source four = source_of(4);

		assert_int_equal(sources_add(sources, 1, &four), 0);
		charge(sources, 4, 1, 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		struct addr_source four = source_of(4);

		sources_remove(sources, 1, &four, 0);
	}
	assert_true(knows(sources, 4) && knows(sources, 2) && !knows(sources, 3));
	assert_true(sources_look(sources, 1, &banned).banned_until == 100 * SECOND);
	assert_int_equal(sources_count(sources, 1, &living), 1);
	assert_true(sources_look(sources, 1, &living).bucket.missing == LIMIT_PARTS);
	sources_remove(sources, 1, &living, 0);
	assert_int_equal(sources_used(sources), 3);
	sources_free(sources);
}

static void test_no_memory_for_anybody(void **ctx)
{
	struct sources *sources = sources_new(3, 0, key);
	struct addr_source a = source_of(1);

	(void)ctx;
	charge(sources, 1, 1, 0);
	assert_int_equal(sources_used(sources), 0);
	assert_int_equal(sources_add(sources, 1, &a), 0);
	charge(sources, 1, 1, 0);
	sources_remove(sources, 1, &a, 0);
	assert_int_equal(sources_used(sources), 0);
	sources_free(sources);
}

/* A million sources, each with a connection or two: neither a count nor a ban is lost. */
static void test_crowd_drops_nothing_that_matters(void **ctx)
{
	enum { CHILDREN = 1000, MEMORIES = 4096 };
	struct sources *sources = sources_new(CHILDREN, MEMORIES, key);
	struct addr_source victim = source_of(1), banned = source_of(2);

	(void)ctx;
	for (int i = 0; i < 4; i++)
		assert_int_equal(sources_add(sources, 1, &victim), 0);
	charge(sources, 1, 4, 0);
	ban(sources, 1, &banned, 3600 * SECOND, 0);
	for (unsigned i = 1000; i < 1001000; i++) {
		struct addr_source source = source_of(i);
		uint64_t now = i / 100;

		assert_int_equal(sources_add(sources, 1, &source), 0);
		charge(sources, i, 1 + i % 2, now);
		sources_remove(sources, 1, &source, now);
		assert_true(sources_used(sources) <= MEMORIES + 1);
	}
	assert_int_equal(sources_remembered(sources), MEMORIES);
	assert_int_equal(sources_count(sources, 1, &victim), 4);
	assert_true(sources_look(sources, 1, &victim).bucket.missing == 4 * LIMIT_PARTS);
	assert_true(sources_look(sources, 1, &banned).banned_until == 3600 * SECOND);
	sources_free(sources);
}

/* All of a network are one: 2^20 of its addresses make one entry. */
static void test_network_is_one_source(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr peer = {.kind = ADDR_TCP};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	uint64_t state = 88172645463325252;
	struct addr_source source;

	(void)ctx;
	memcpy(in6.sin6_addr.s6_addr, "\x20\x01\x0d\xb8\0\0\0\x01", 8);
	for (int i = 0; i < 1 << 20; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(in6.sin6_addr.s6_addr + 8, &state, sizeof state);
		addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&in6, sizeof in6, &peer);
		addr_source(&peer, 32, 64, &source);
		sources_charge(sources, 1, &source, &slow, 0);
		assert_int_equal(sources_used(sources), 1);
	}
	assert_true(sources_look(sources, 1, &source).bucket.missing >= 10 * LIMIT_PARTS);
	sources_free(sources);
}

static struct addr_source ipv4_of(uint32_t address)
{
	struct addr_source source = {.family = 4};

	address = htonl(address);
	memcpy(source.bytes, &address, sizeof address);
	return source;
}

/* One of the networks of 64 bits in 2001:db8:PLACE::/48. */
static struct addr_source ipv6_of(uint16_t place, uint32_t number)
{
	struct addr_source source = {.family = 6, .bytes = {0x20, 0x01, 0x0d, 0xb8}};

	source.bytes[4] = (uint8_t)(place >> 8);
	source.bytes[5] = (uint8_t)place;
	source.bytes[6] = (uint8_t)(number >> 8);
	source.bytes[7] = (uint8_t)number;
	return source;
}

#define SENSOR SOURCES_EVERYWHERE

enum { VICTIMS_SERVICE = 1, OTHER_SERVICE = 2, PLACES = 65536 };

struct victims {
	struct addr_source banned, busy, neighbour;
};

static struct victims make_victims(struct sources *sources)
{
	struct victims victims = {ipv4_of(0x7f090909), ipv4_of(0xc0000207), ipv6_of(7, 1)};

	ban(sources, VICTIMS_SERVICE, &victims.banned, 600 * SECOND, 0);
	sources_charge(sources, VICTIMS_SERVICE, &victims.busy, &slow, 0);
	sources_charge(sources, OTHER_SERVICE, &victims.neighbour, &slow, 0);
	return victims;
}

static void check_victims(const struct sources *sources, const struct victims *victims)
{
	struct source_facts banned, busy, neighbour;

	banned = sources_look(sources, VICTIMS_SERVICE, &victims->banned);
	busy = sources_look(sources, VICTIMS_SERVICE, &victims->busy);
	neighbour = sources_look(sources, OTHER_SERVICE, &victims->neighbour);
	assert_true(banned.banned_until == 600 * SECOND);
	assert_true(busy.bucket.missing == LIMIT_PARTS);
	assert_true(neighbour.bucket.missing == LIMIT_PARTS);
}

/* Is a rate still a limit for somebody who comes now? */
static void check_newcomer(struct sources *sources, uint32_t address)
{
	struct addr_source source = ipv4_of(address);
	struct bucket bucket;

	for (unsigned i = 1; i <= 10; i++) {
		assert_int_equal(sources_add(sources, VICTIMS_SERVICE, &source), 0);
		sources_charge(sources, VICTIMS_SERVICE, &source, &slow, 0);
		sources_remove(sources, VICTIMS_SERVICE, &source, 0);
		bucket = sources_look(sources, VICTIMS_SERVICE, &source).bucket;
		assert_true(bucket.missing == i * LIMIT_PARTS);
	}
	assert_false(bucket_has(&bucket, &slow, 0));
}

/*
 * Somebody has a whole network, and all of it goes into a trap, or has a token of a rate that
 * comes back in days: that ends later than what others have.  Neither their bans nor their
 * rates are lost, at the service of the crowd or at others.
 */
static void test_crowd_of_one_neighbourhood(void **ctx)
{
	static const struct limit daily = {.count = 1, .burst = 1, .period = 86400 * SECOND};
	struct sources *sources = sources_new(10, PLACES, key);
	struct victims victims = make_victims(sources);

	(void)ctx;
	for (uint32_t i = 0; i < PLACES + 1000; i++) {
		struct addr_source local = ipv4_of(0x7f640000 + i);

		ban(sources, SENSOR, &local, 3600 * SECOND, 0);
	}
	check_victims(sources, &victims);
	check_newcomer(sources, 0x7f070707);
	assert_int_equal(sources_remembered(sources), PLACES);
	for (uint32_t i = 0; i < 65536; i++) {
		struct addr_source other = ipv6_of(7, i), here = ipv6_of(8, i);

		sources_charge(sources, 3, &other, &daily, 0);
		sources_charge(sources, VICTIMS_SERVICE, &here, &daily, 0);
	}
	check_victims(sources, &victims);
	check_newcomer(sources, 0xc0000208);
	assert_int_equal(sources_remembered(sources), PLACES);
	sources_free(sources);
}

/* What was dropped is told only if it would have made a difference. */
static void test_counts_what_is_forgotten(void **ctx)
{
	struct sources *sources = sources_new(10, 3, key);

	(void)ctx;
	for (unsigned i = 1; i <= 3; i++)
		charge(sources, i, i, 0);
	assert_true(sources_forgotten(sources) == 0);
	charge(sources, 4, 4, 0);
	assert_false(knows(sources, 1));
	assert_true(sources_forgotten(sources) == 1);
	/* These have ended: they are swept out, and one that is left ends as another comes. */
	charge(sources, 5, 5, 4 * SECOND);
	assert_true(sources_forgotten(sources) == 1);
	sources_free(sources);
}

/* The group gives up who ends first; who has children is in no group meanwhile. */
static void test_order_in_a_neighbourhood(void **ctx)
{
	struct sources *sources = sources_new(10, 4, key);
	struct addr_source net[4], alone = ipv4_of(0x0a000001);

	(void)ctx;
	for (unsigned i = 0; i < 4; i++) {
		net[i] = ipv4_of(0xc0000200 + i);
		ban(sources, 1, &net[i], (10 + i) * SECOND, 0);
	}
	/* The first of them comes, and so has his place for sure. */
	assert_int_equal(sources_add(sources, 1, &net[0]), 0);
	assert_int_equal(sources_remembered(sources), 3);
	ban(sources, 1, &alone, SECOND, 0);
	assert_int_equal(sources_remembered(sources), 4);
	/* He goes, and is the first of the neighbourhood that has most. */
	sources_remove(sources, 1, &net[0], 0);
	assert_true(sources_look(sources, 1, &net[0]).banned_until == 0);
	assert_true(sources_look(sources, 1, &alone).banned_until == SECOND);
	/* Another one, who has meanwhile a longer ban, is not. */
	assert_int_equal(sources_add(sources, 1, &net[1]), 0);
	ban(sources, 1, &net[1], 20 * SECOND, 0);
	ban(sources, 1, &net[0], 15 * SECOND, 0);
	sources_remove(sources, 1, &net[1], 0);
	assert_true(sources_look(sources, 1, &net[1]).banned_until == 20 * SECOND);
	assert_true(sources_look(sources, 1, &net[2]).banned_until == 0);
	/* Nor one whose ban becomes longer while he is idle. */
	ban(sources, 1, &net[3], 30 * SECOND, 0);
	ban(sources, 1, &net[2], 25 * SECOND, 0);
	assert_true(sources_look(sources, 1, &net[0]).banned_until == 0);
	assert_true(sources_look(sources, 1, &net[3]).banned_until == 30 * SECOND);
	sources_free(sources);
}

/* A million sources of as many networks as there are. */
static void test_million_of_all_networks(void **ctx)
{
	enum { MEMORIES = 4096 };
	struct sources *sources = sources_new(10, MEMORIES, key);
	struct addr_source living = ipv4_of(1), banned = ipv4_of(2);

	(void)ctx;
	assert_int_equal(sources_add(sources, 1, &living), 0);
	sources_charge(sources, 1, &living, &slow, 0);
	ban(sources, 1, &banned, 3600 * SECOND, 0);
	for (uint32_t i = 0; i < 1000000; i++) {
		struct addr_source source = ipv4_of(0x0a000000 + i * 257);

		sources_charge(sources, 2 + i % 3, &source, &slow, i);
		assert_true(sources_remembered(sources) <= MEMORIES);
	}
	assert_int_equal(sources_count(sources, 1, &living), 1);
	assert_true(sources_look(sources, 1, &banned).banned_until == 3600 * SECOND);
	sources_free(sources);
}

/* Everything that tells sources apart is hashed, and with the key of the table. */
static void test_hash_has_all_of_a_source(void **ctx)
{
	struct sources *sources = sources_new(3, 3, key);
	struct addr_source source = source_of(0), other;
	uint8_t first[sizeof hashed.data];

	(void)ctx;
	sources_count(sources, 1, &source);
	memcpy(first, hashed.data, hashed.len);
	assert_memory_equal(hashed.key, key, sizeof key);
	sources_count(sources, 2, &source);
	assert_memory_not_equal(first, hashed.data, hashed.len);
	for (size_t i = 0; i < sizeof source.bytes * 8; i++) {
		other = source;
		other.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		sources_count(sources, 1, &other);
		assert_memory_not_equal(first, hashed.data, hashed.len);
	}
	other = source;
	other.family = 6;
	sources_count(sources, 1, &other);
	assert_memory_not_equal(first, hashed.data, hashed.len);
	sources_free(sources);
}

/* Whoever knew the key could choose addresses that share a chain; for a table with
 * another key they are like any others, and drop nobody who has a connection. */
static void test_chosen_addresses(void **ctx)
{
	enum { CHAINS = 256, CHOSEN = 1024, LONGEST = 20, MEMORIES = 100 };
	static const uint8_t known[16] = {42};
	struct sources *theirs = sources_new(10, 10, known);
	struct sources *ours = sources_new(10, MEMORIES, key);
	struct addr_source victim = source_of(UINT32_MAX);
	unsigned lengths[CHAINS] = {0}, chosen = 0;

	(void)ctx;
	assert_int_equal(sources_add(ours, 1, &victim), 0);
	for (unsigned i = 0; chosen < CHOSEN; i++) {
		struct addr_source source = source_of(i);

		sources_count(theirs, 1, &source);
		if (hashed.hash % CHAINS != 0)
			continue;
		chosen++;
		charge(ours, i, 1, 0);
		sources_count(ours, 1, &source);
		lengths[hashed.hash % CHAINS]++;
		assert_true(sources_used(ours) <= MEMORIES + 1);
	}
	for (unsigned i = 0; i < CHAINS; i++)
		assert_true(lengths[i] < LONGEST);
	assert_int_equal(sources_count(ours, 1, &victim), 1);
	sources_free(theirs);
	sources_free(ours);
}

/* However much noise one makes: it is his next token all the same, to the microsecond, and
 * nobody else's. */
static void test_noise_takes_nothing(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct admit_request request = {
		.total_limit = UINT32_MAX,
		.instances_limit = UINT32_MAX,
		.per_source_limit = UINT32_MAX,
		.max_load = UINT32_MAX,
		.source_rate = {.count = 1, .burst = 1, .period = SECOND},
	};
	struct addr_source noisy = source_of(1), quiet = source_of(2);

	(void)ctx;
	sources_charge(sources, 1, &noisy, &request.source_rate, 0);
	for (uint64_t i = 0; i < 50000; i++) {
		request.now = i * (SECOND - 1) / 49999;
		request.source_bucket = sources_look(sources, 1, &noisy).bucket;
		assert_int_equal(admit(&request), ADMIT_PER_SOURCE_RATE);
		request.source_bucket = sources_look(sources, 1, &quiet).bucket;
		assert_int_equal(admit(&request), ADMIT_OK);
	}
	request.now = SECOND;
	request.source_bucket = sources_look(sources, 1, &noisy).bucket;
	assert_int_equal(admit(&request), ADMIT_OK);
	sources_free(sources);
}

/* Each of its allocations in turn. */
/* Where somebody is who is banned; all places: nowhere. */
static size_t find_banned(const struct sources *sources, const struct addr_source *source,
	uint64_t now, struct source_ban *ret)
{
	size_t i = 0;

	while (i < sources_places(sources) &&
		(!sources_banned_at(sources, i, now, ret) ||
			memcmp(&ret->who.source, source, sizeof *source) != 0))
		i++;
	return i;
}

/* Whoever is banned, and nobody else, is at a place of his own, whatever else becomes of him
 * and of others. */
static void test_who_is_banned(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1), b = source_of(2), c = source_of(3);
	struct source_ban found;
	size_t place;

	(void)ctx;
	assert_int_equal(sources_places(sources), 0);
	assert_int_equal(sources_add(sources, 7, &a), 0);
	sources_charge(sources, 7, &b, &(struct limit){1, 1, 1000 * SECOND}, 0);
	assert_int_equal(sources_places(sources), 2);
	assert_int_equal(find_banned(sources, &a, 0, &found), 2);
	assert_int_equal(find_banned(sources, &b, 0, &found), 2);

	ban(sources, SOURCES_EVERYWHERE, &c, 50 * SECOND, 0);
	ban(sources, 7, &a, 9 * SECOND, 0);
	place = find_banned(sources, &c, 0, &found);
	assert_true(place < 3);
	assert_true(found.service == SOURCES_EVERYWHERE && found.until == 50 * SECOND);
	assert_int_equal(found.who.bits, 24);
	assert_true(find_banned(sources, &a, 9 * SECOND - 1, &found) < 3);
	assert_true(found.service == 7 && found.until == 9 * SECOND);
	assert_int_equal(find_banned(sources, &a, 9 * SECOND, &found), 3);

	/* He stays where he is; who has gone is at no place. */
	sources_remove(sources, 7, &a, 10 * SECOND);
	assert_int_equal(find_banned(sources, &a, 0, &found), 3);
	assert_int_equal(find_banned(sources, &c, 0, &found), place);
	sources_free(sources);
}

/* With children and without: his ban and what he has taken are forgotten, his children are
 * not. */
static void test_lift(void **ctx)
{
	static const struct limit hourly = {1, 1, 3600 * SECOND};
	struct sources *sources = sources_new(10, 10, key);
	struct addr_source a = source_of(1), b = source_of(2);
	struct source_ban found;

	(void)ctx;
	assert_int_equal(sources_add(sources, 7, &a), 0);
	sources_charge(sources, 7, &a, &hourly, 0);
	ban(sources, 7, &a, 50 * SECOND, 0);
	ban(sources, SOURCES_EVERYWHERE, &b, 50 * SECOND, 0);
	assert_int_equal(sources_remembered(sources), 1);

	sources_lift_at(sources, find_banned(sources, &a, 0, &found));
	assert_true(sources_look(sources, 7, &a).banned_until == 0);
	assert_true(sources_look(sources, 7, &a).bucket.missing == 0);
	assert_int_equal(sources_count(sources, 7, &a), 1);
	sources_lift_at(sources, find_banned(sources, &b, 0, &found));
	assert_false(sources_any_everywhere(sources));
	assert_int_equal(sources_used(sources), 1);
	assert_int_equal(sources_remembered(sources), 0);
	assert_int_equal(find_banned(sources, &a, 0, &found), sources_places(sources));
	assert_int_equal(find_banned(sources, &b, 0, &found), sources_places(sources));

	/* He may be banned again, and be forgotten again. */
	ban(sources, 7, &a, 20 * SECOND, 0);
	assert_true(sources_look(sources, 7, &a).banned_until == 20 * SECOND);
	sources_lift_at(sources, find_banned(sources, &a, 0, &found));
	sources_remove(sources, 7, &a, 0);
	assert_int_equal(sources_used(sources), 0);
	sources_free(sources);
}

/* ---------------------------------------------------------------- from table to table */

/* Children may also come after what is remembered of them, if there is room. */
static void test_children_come_later(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key), *copy = sources_new(10, 10, key);
	struct addr_source a = source_of(1), nobody = source_of(2);
	struct source_ban found;

	(void)ctx;
	assert_int_equal(sources_add(sources, 7, &nobody), 0);
	assert_int_equal(sources_add(sources, 7, &a), 0);
	ban(sources, 7, &a, 50 * SECOND, 0);
	copy_memories(sources, copy, SECOND);
	assert_int_equal(sources_remembered(copy), 1);
	assert_int_equal(sources_add(copy, 7, &a), 0);
	assert_int_equal(sources_remembered(copy), 0);
	assert_int_equal(sources_used(copy), 1);
	assert_true(sources_look(copy, 7, &a).banned_until == 50 * SECOND);
	assert_int_equal(find_banned(copy, &a, SECOND, &found), 0);
	assert_int_equal(found.who.bits, 24);
	sources_remove(copy, 7, &a, 2 * SECOND);
	assert_int_equal(sources_remembered(copy), 1);
	sources_free(sources);
	sources_free(copy);
}

/* What there is no room for is dropped as always, and counted with what was before. */
static void test_copy_has_less_room(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key), *copy = sources_new(10, 3, key);

	(void)ctx;
	for (unsigned i = 1; i <= 10; i++)
		charge(sources, i, i, 0);
	charge(sources, 11, 1, 0);
	assert_true(sources_forgotten(sources) == 1);
	copy_memories(sources, copy, 0);
	assert_int_equal(sources_remembered(copy), 3);
	assert_true(knows(copy, 8) && knows(copy, 9) && knows(copy, 10));
	assert_true(sources_forgotten(copy) == 8);
	sources_free(sources);
	sources_free(copy);
}

/* Neither told of nor believed. */
static void test_nothing_left_to_remember(void **ctx)
{
	struct sources *sources = sources_new(10, 10, key);
	struct source_memory memory;

	(void)ctx;
	charge(sources, 1, 2, 0);
	assert_true(sources_memory_at(sources, 0, 2 * SECOND - 1, &memory));
	assert_false(sources_memory_at(sources, 0, 2 * SECOND, &memory));
	memory.source = source_of(2);
	sources_remember(sources, &memory, 2 * SECOND);
	assert_int_equal(sources_used(sources), 1);
	memory.banned_until = 9 * SECOND;
	sources_remember(sources, &memory, 2 * SECOND);
	assert_int_equal(sources_used(sources), 2);
	/* Twice is once. */
	sources_remember(sources, &memory, 2 * SECOND);
	assert_int_equal(sources_used(sources), 2);
	assert_int_equal(sources_remembered(sources), 2);
	sources_free(sources);
}

static void test_without_memory(void **ctx)
{
	struct sources *sources;
	int n = 0;

	(void)ctx;
	do {
		allocations_left = ++n;
		sources = sources_new(3, 3, key);
	} while (!sources);
	allocations_left = -1;
	assert_int_equal(n, 10);
	sources_free(sources);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_what_makes_a_source),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_full_of_different_ones),
		cmocka_unit_test(test_like_a_plain_array),
		cmocka_unit_test(test_remembers_until_full_again),
		cmocka_unit_test(test_another_limit_counts_on),
		cmocka_unit_test(test_another_limit_begins_afresh),
		cmocka_unit_test(test_ban),
		cmocka_unit_test(test_ban_everywhere),
		cmocka_unit_test(test_full_of_memories),
		cmocka_unit_test(test_no_memory_for_anybody),
		cmocka_unit_test(test_crowd_drops_nothing_that_matters),
		cmocka_unit_test(test_network_is_one_source),
		cmocka_unit_test(test_crowd_of_one_neighbourhood),
		cmocka_unit_test(test_counts_what_is_forgotten),
		cmocka_unit_test(test_order_in_a_neighbourhood),
		cmocka_unit_test(test_million_of_all_networks),
		cmocka_unit_test(test_hash_has_all_of_a_source),
		cmocka_unit_test(test_chosen_addresses),
		cmocka_unit_test(test_noise_takes_nothing),
		cmocka_unit_test(test_who_is_banned),
		cmocka_unit_test(test_lift),
		cmocka_unit_test(test_children_come_later),
		cmocka_unit_test(test_copy_has_less_room),
		cmocka_unit_test(test_nothing_left_to_remember),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
