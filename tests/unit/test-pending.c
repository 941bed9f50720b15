/* pending: who goes when another one comes, against a plain array that is searched. */
#include "policy/pending.h"

#include "base/own.h"

#include "short-of-memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* As configured when nobody says anything. */
static const struct pending_limits usual = {.all = 256, .per_source = 16};

static struct addr_source source_of(unsigned number)
{
	struct addr_source source = {.family = 4};

	memcpy(source.bytes, &number, sizeof number);
	return source;
}

static struct pending ledger_for(size_t room)
{
	struct pending ledger = {.key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

	assert_int_equal(pending_reserve(&ledger, room), 0);
	return ledger;
}

static uint32_t count(const struct pending *ledger, unsigned number)
{
	struct addr_source source = source_of(number);

	return pending_count(ledger, &source);
}

/* One of that source comes; who has gone for it, of whom there is one at most. */
static struct pending_node *come(struct pending *ledger, struct pending_node *node,
	unsigned number, const struct pending_limits *limits)
{
	struct addr_source source = source_of(number);
	struct pending_node *gone = pending_make_room(ledger, &source, limits);

	assert_null(gone ? pending_make_room(ledger, &source, limits) : NULL);
	pending_add(ledger, node, &source);
	return gone;
}

static void test_counts(void **ctx)
{
	struct pending ledger = ledger_for(256);
	struct pending_node nodes[5];

	(void)ctx;
	for (unsigned i = 0; i < 5; i++)
		assert_null(come(&ledger, &nodes[i], i % 2, &usual));
	assert_int_equal(count(&ledger, 0), 3);
	assert_int_equal(count(&ledger, 1), 2);
	assert_int_equal(count(&ledger, 2), 0);

	/* From the middle, the oldest, the newest, the last; and once more. */
	pending_remove(&ledger, &nodes[2]);
	assert_int_equal(count(&ledger, 0), 2);
	pending_remove(&ledger, &nodes[0]);
	pending_remove(&ledger, &nodes[0]);
	assert_int_equal(count(&ledger, 0), 1);
	pending_remove(&ledger, &nodes[3]);
	assert_int_equal(count(&ledger, 1), 1);
	pending_remove(&ledger, &nodes[1]);
	pending_remove(&ledger, &nodes[4]);
	assert_int_equal(ledger.n, 0);
	assert_int_equal(count(&ledger, 0) + count(&ledger, 1), 0);
	pending_done(&ledger);
}

/* The same bytes of another family are somebody else. */
static void test_what_makes_a_source(void **ctx)
{
	struct pending ledger = ledger_for(256);
	struct addr_source four = source_of(1), six = four;
	struct pending_node node;

	(void)ctx;
	six.family = 6;
	pending_add(&ledger, &node, &four);
	assert_int_equal(pending_count(&ledger, &four), 1);
	assert_int_equal(pending_count(&ledger, &six), 0);
	pending_done(&ledger);
}

static void test_source_evicts_its_own(void **ctx)
{
	struct pending ledger = ledger_for(256);
	struct pending_node other, nodes[100];

	(void)ctx;
	come(&ledger, &other, 2, &usual);
	for (unsigned i = 0; i < 100; i++) {
		struct pending_node *gone = come(&ledger, &nodes[i], 1, &usual);

		assert_ptr_equal(gone, i < 16 ? NULL : &nodes[i - 16]);
	}
	assert_int_equal(count(&ledger, 1), 16);
	assert_int_equal(count(&ledger, 2), 1);
	pending_done(&ledger);
}

/* Without a limit for each, one source fills the ledger; others still come in. */
static void test_the_one_with_most_loses(void **ctx)
{
	const struct pending_limits limits = {.all = 20, .per_source = UINT32_MAX};
	struct pending ledger = ledger_for(20);
	struct pending_node noisy[20], quiet[10], more;

	(void)ctx;
	for (unsigned i = 0; i < 20; i++)
		assert_null(come(&ledger, &noisy[i], 1, &limits));
	for (unsigned i = 0; i < 10; i++)
		assert_ptr_equal(come(&ledger, &quiet[i], 2, &limits), &noisy[i]);
	/* Now they have as many as each other: nobody loses anything to his equal. */
	assert_ptr_equal(come(&ledger, &more, 2, &limits), &quiet[0]);
	assert_ptr_equal(come(&ledger, &quiet[0], 1, &limits), &noisy[10]);
	assert_int_equal(ledger.n, 20);
	pending_done(&ledger);
}

/* Everybody has one: the oldest of all goes, in turn. */
static void test_crowd_evicts_the_oldest(void **ctx)
{
	enum { CROWD = 100000 };
	struct pending ledger = ledger_for(256);
	_cleanup_free_ struct pending_node *nodes = calloc(CROWD, sizeof *nodes);

	(void)ctx;
	assert_non_null(nodes);
	for (unsigned i = 0; i < CROWD; i++) {
		struct pending_node *gone = come(&ledger, &nodes[i], i, &usual);

		assert_ptr_equal(gone, i < 256 ? NULL : &nodes[i - 256]);
		assert_int_equal(ledger.n, i < 256 ? i + 1 : 256);
	}
	pending_done(&ledger);
}

/* So many sources that they fill the ledger, each renewing its connections as fast as it
 * can, one after the other or in any order: nobody else loses his. */
static void test_few_sources_drive_out_nobody(void **ctx)
{
	enum { ENEMIES = 200, VICTIM = 1000 };
	struct pending ledger = ledger_for(256);
	struct pending_node victim, spare[257], *next = &spare[256];
	uint64_t state = 88172645463325252;

	(void)ctx;
	for (unsigned i = 0; i < 256; i++)
		come(&ledger, &spare[i], i % ENEMIES, &usual);
	assert_ptr_equal(come(&ledger, &victim, VICTIM, &usual), &spare[0]);
	for (unsigned i = 0; i < 100000; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		next = come(&ledger, next, (unsigned)(state % (1 + i / 500)), &usual);
		assert_true(next && next != &victim);
	}
	assert_int_equal(count(&ledger, VICTIM), 1);
	pending_done(&ledger);
}

/* What a reload may do. */
static void test_other_limits(void **ctx)
{
	const struct pending_limits narrow = {.all = 4, .per_source = 2};
	const struct pending_limits wide = {.all = 1000, .per_source = 1000};
	struct addr_source one = source_of(1), two = source_of(2), three = source_of(3);
	struct pending ledger = ledger_for(16);
	struct pending_node nodes[1000];

	(void)ctx;
	for (unsigned i = 0; i < 8; i++)
		come(&ledger, &nodes[i], 1 + i % 2, &usual);
	/* First what this source has too many, then what all have. */
	assert_ptr_equal(pending_make_room(&ledger, &one, &narrow), &nodes[0]);
	assert_ptr_equal(pending_make_room(&ledger, &one, &narrow), &nodes[2]);
	assert_ptr_equal(pending_make_room(&ledger, &one, &narrow), &nodes[4]);
	assert_ptr_equal(pending_make_room(&ledger, &one, &narrow), &nodes[1]);
	assert_ptr_equal(pending_make_room(&ledger, &one, &narrow), &nodes[3]);
	assert_null(pending_make_room(&ledger, &one, &narrow));
	assert_null(pending_make_room(&ledger, &three, &narrow));
	assert_int_equal(ledger.n, 3);

	assert_int_equal(pending_reserve(&ledger, 1000), 0);
	assert_int_equal(pending_reserve(&ledger, 10), 0);
	assert_int_equal(pending_count(&ledger, &one), 1);
	assert_int_equal(pending_count(&ledger, &two), 2);
	for (unsigned i = 8; i < 1000; i++)
		assert_null(come(&ledger, &nodes[i], i, &wide));
	for (unsigned i = 8; i < 1000; i++)
		assert_int_equal(count(&ledger, i), 1);
	pending_done(&ledger);
}

/* ---------------------------------------- against one who looks at all of them */

#define SOURCES 40
#define NODES   60

struct plain {
	unsigned source[NODES]; /* of each connection */
	unsigned age[NODES];    /* when it came, from 1; 0: it is not there */
	unsigned now;
};

static unsigned count_plain(const struct plain *plain, unsigned source)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NODES; i++)
		n += plain->age[i] && plain->source[i] == source;
	return n;
}

static unsigned count_all_plain(const struct plain *plain)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NODES; i++)
		n += plain->age[i] != 0;
	return n;
}

/* The oldest of those whose source has so many, of that source or of any; NODES: none. */
static unsigned oldest_plain(const struct plain *plain, unsigned source, unsigned n)
{
	unsigned oldest = NODES;

	for (unsigned i = 0; i < NODES; i++) {
		if (!plain->age[i] || count_plain(plain, plain->source[i]) != n)
			continue;
		if (source < SOURCES && plain->source[i] != source)
			continue;
		if (oldest == NODES || plain->age[i] < plain->age[oldest])
			oldest = i;
	}
	return oldest;
}

static unsigned choose_plain(
	const struct plain *plain, unsigned source, const struct pending_limits *limits)
{
	unsigned own = count_plain(plain, source), most = 0;

	for (unsigned i = 0; i < SOURCES; i++)
		if (count_plain(plain, i) > most)
			most = count_plain(plain, i);
	if (own >= limits->per_source)
		return oldest_plain(plain, source, own);
	if (count_all_plain(plain) < limits->all)
		return NODES;
	return oldest_plain(plain, own >= most ? source : SOURCES, most);
}

/* One that is not there comes, with a source. */
static void come_both(struct pending *ledger, struct plain *plain, struct pending_node *nodes,
	unsigned i, unsigned source, const struct pending_limits *limits)
{
	struct addr_source address = source_of(source);

	for (;;) {
		struct pending_node *gone = pending_make_room(ledger, &address, limits);
		unsigned expected = choose_plain(plain, source, limits);

		assert_ptr_equal(gone, expected < NODES ? &nodes[expected] : NULL);
		if (!gone)
			break;
		plain->age[expected] = 0;
	}
	pending_add(ledger, &nodes[i], &address);
	plain->source[i] = source;
	plain->age[i] = ++plain->now;
}

static void test_like_a_plain_array(void **ctx)
{
	struct pending ledger = ledger_for(10);
	struct pending_node nodes[NODES] = {0};
	struct plain plain = {0};
	uint64_t state = 88172645463325252;

	(void)ctx;
	for (unsigned step = 0; step < 20000; step++) {
		/* Other limits now and then, and a crowd that grows. */
		struct pending_limits limits = {
			.all = 10 + step / 1000 * 13 % 41,
			.per_source = 1 + step / 1700 % 7,
		};
		unsigned i, source;

		assert_int_equal(pending_reserve(&ledger, limits.all), 0);
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		i = (unsigned)(state % NODES);
		source = (unsigned)((state >> 20) % (1 + step * SOURCES / 20000));
		if (plain.age[i] == 0)
			come_both(&ledger, &plain, nodes, i, source, &limits);
		else if (state & UINT64_C(1) << 50) {
			pending_remove(&ledger, &nodes[i]);
			plain.age[i] = 0;
		}
		assert_int_equal(ledger.n, count_all_plain(&plain));
		assert_int_equal(count(&ledger, source), count_plain(&plain, source));
	}
	pending_done(&ledger);
}

/* Each of its allocations in turn; what is in the ledger stays. */
static void test_without_memory(void **ctx)
{
	struct pending ledger = ledger_for(1);
	struct pending_node node;

	(void)ctx;
	come(&ledger, &node, 1, &usual);
	for (int n = 1; n <= 2; n++) {
		allocations_left = n;
		assert_int_equal(pending_reserve(&ledger, 1000), -ENOMEM);
		allocations_left = -1;
		assert_int_equal(count(&ledger, 1), 1);
	}
	assert_int_equal(pending_reserve(&ledger, 1000), 0);
	assert_int_equal(count(&ledger, 1), 1);
	pending_done(&ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_what_makes_a_source),
		cmocka_unit_test(test_source_evicts_its_own),
		cmocka_unit_test(test_the_one_with_most_loses),
		cmocka_unit_test(test_crowd_evicts_the_oldest),
		cmocka_unit_test(test_few_sources_drive_out_nobody),
		cmocka_unit_test(test_other_limits),
		cmocka_unit_test(test_like_a_plain_array),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
