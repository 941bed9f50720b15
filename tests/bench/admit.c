/*
 * How long the master thinks about a client, with every limit set and a table that many
 * sources have gone through.
 *
 *	admit RULES CHILDREN SOURCES
 *
 * So many sources come one after the other, half of them of IPv4, the others of IPv6.  Each
 * is decided about and counted, and goes when CHILDREN others have come.  What it has taken
 * is worth remembering for longer than all of this lasts, so the memory of the table is
 * always full.  Then anybody of them is decided about again, and at last those that are
 * still there go.  It prints
 *
 *	new_nsec=N       a decision about one who was never here
 *	known_nsec=N     about one of those that have come, of whom some are forgotten
 *	come_nsec=N      to count him
 *	go_nsec=N        to count him no more
 *	known=N          sources in the table when nobody else comes
 *	table_kbytes=N   of memory that the table has then
 */
#include "rules.h"

#include "base/own.h"
#include "policy/admit.h"
#include "policy/sources.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As in the master. */
#define REMEMBERED 65536

/* Times are taken of so many at once, because taking one takes time as well. */
#define BATCH     256
#define QUESTIONS 1000000

#define SERVICE 7

/* A token comes back in 1000 s. */
static const struct limit source_rate = {.count = 1, .burst = 20, .period = 1000000000};
static const struct limit rate = {.count = 1000000, .burst = 1000000, .period = 1000000};

struct bench {
	const uint8_t *rules;
	struct sources *sources;
	uint32_t children;
	uint64_t now;      /* usec, made up */
	unsigned verdicts; /* their sum, so that the compiler leaves nothing out */
};

struct client {
	struct addr peer;
	struct addr_source source;
};

static struct client client_of(uint32_t number)
{
	struct client client = {.peer.kind = ADDR_TCP};
	uint8_t bytes[16];

	if (number % 2) {
		rules_address(4, number, bytes);
		client.peer.in.sin_family = AF_INET;
		memcpy(&client.peer.in.sin_addr, bytes, sizeof client.peer.in.sin_addr);
	} else {
		rules_address(6, number, bytes);
		client.peer.in6.sin6_family = AF_INET6;
		memcpy(&client.peer.in6.sin6_addr, bytes, sizeof bytes);
	}
	addr_source(&client.peer, 32, 64, &client.source);
	return client;
}

/* As the master does it. */
static void add_source(
	const struct bench *bench, const struct addr *peer, struct admit_request *request)
{
	struct access_peer asker = {0};
	struct addr_source source;
	struct source_facts facts, everywhere;

	addr_source(peer, 32, 128, &asker.who);
	request->access = access_ask(bench->rules, &asker).verdict;
	addr_source(peer, 32, 64, &source);
	facts = sources_look(bench->sources, SERVICE, &source);
	everywhere = sources_look(bench->sources, SOURCES_EVERYWHERE, &source);
	request->from_source = facts.count;
	request->source_bucket = facts.bucket;
	request->banned_until = facts.banned_until;
	if (everywhere.banned_until > request->banned_until)
		request->banned_until = everywhere.banned_until;
}

/* Of a service that has room, so that every limit is looked at. */
static void decide(struct bench *bench, const struct client *client)
{
	struct admit_request request = {
		.total = bench->children / 2,
		.total_limit = bench->children,
		.instances = bench->children / 2,
		.instances_limit = bench->children,
		.per_source_limit = 10,
		.max_load = 100,
		.now = bench->now,
		.rate = rate,
		.source_rate = source_rate,
	};

	add_source(bench, &client->peer, &request);
	bench->verdicts += admit(&request);
}

static void come(struct bench *bench, const struct client *client)
{
	sources_add(bench->sources, SERVICE, &client->source);
	sources_charge(bench->sources, SERVICE, &client->source, &source_rate, bench->now++);
}

static void go(struct bench *bench, const struct client *client)
{
	sources_remove(bench->sources, SERVICE, &client->source, bench->now);
}

/* Seconds for a batch of clients. */
static double measure(struct bench *bench, const struct client clients[BATCH],
	void (*what)(struct bench *bench, const struct client *client))
{
	double begun = rules_clock();

	for (int i = 0; i < BATCH; i++)
		what(bench, &clients[i]);
	return rules_clock() - begun;
}

static void take_next(struct client clients[BATCH], uint32_t first)
{
	for (uint32_t i = 0; i < BATCH; i++)
		clients[i] = client_of(first + i);
}

static void take_any(struct client clients[BATCH], uint32_t n)
{
	for (int i = 0; i < BATCH; i++)
		clients[i] = client_of((uint32_t)(rules_random() % n));
}

struct times {
	double of_new, of_known, come, go; /* seconds for all */
};

/* All come, and go when so many have come after them. */
static void let_through(struct bench *bench, uint32_t n, struct times *times)
{
	static struct client clients[BATCH];

	for (uint32_t first = 0; first < n; first += BATCH) {
		if (first >= bench->children) {
			take_next(clients, first - bench->children);
			times->go += measure(bench, clients, go);
		}
		take_next(clients, first);
		times->of_new += measure(bench, clients, decide);
		times->come += measure(bench, clients, come);
	}
}

static void ask_again(struct bench *bench, uint32_t n, struct times *times)
{
	static struct client clients[BATCH];

	for (int i = 0; i < QUESTIONS; i += BATCH) {
		take_any(clients, n);
		times->of_known += measure(bench, clients, decide);
	}
}

/* Those that are still there. */
static void let_go(struct bench *bench, uint32_t n, struct times *times)
{
	static struct client clients[BATCH];
	uint32_t first = n > bench->children ? n - bench->children : 0;

	for (; first < n; first += BATCH) {
		take_next(clients, first);
		times->go += measure(bench, clients, go);
	}
}

/* Pages that the program has touched, in KB. */
static long resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void run(struct bench *bench, uint32_t n)
{
	long before = resident(), table;
	struct times times = {0};
	size_t known;

	let_through(bench, n, &times);
	known = sources_used(bench->sources);
	table = resident() - before;
	ask_again(bench, n, &times);
	let_go(bench, n, &times);
	printf("new_nsec=%.1f known_nsec=%.1f come_nsec=%.1f go_nsec=%.1f known=%zu "
	       "table_kbytes=%ld sum=%u\n",
		times.of_new * 1e9 / n, times.of_known * 1e9 / QUESTIONS, times.come * 1e9 / n,
		times.go * 1e9 / n, known, table, bench->verdicts);
}

/* Whole batches, so that each is timed alike. */
static uint32_t number(const char *text)
{
	return (uint32_t)(strtoul(text, NULL, 10) / BATCH * BATCH);
}

int main(int argc, char **argv)
{
	static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	size_t n_rules = argc == 4 ? strtoul(argv[1], NULL, 10) : 0, len;
	_cleanup_free_ struct access_rule *rules = rules_draw(n_rules);
	_cleanup_free_ uint8_t *table = NULL;
	struct bench bench = {.now = 1000000};
	struct client banned = client_of(RULES_ADDRESSES - 1);
	struct addr_net who;
	uint32_t n;

	if (n_rules == 0 || !rules || access_compile(rules, n_rules, false, &table, &len) < 0)
		return 2;
	n = number(argv[3]);
	bench.rules = table;
	bench.children = number(argv[2]);
	if (n == 0 || n > RULES_ADDRESSES / 2 || bench.children == 0)
		return 2;
	bench.sources = sources_new(bench.children, REMEMBERED, key);
	if (!bench.sources)
		return 2;
	/* So that everybody is looked for twice. */
	addr_net_of(&banned.source, 32, 64, &who);
	sources_ban(bench.sources, SOURCES_EVERYWHERE, &who, UINT64_MAX, 0);
	run(&bench, n);
	sources_free(bench.sources);
	return 0;
}
