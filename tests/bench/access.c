/*
 * How long the master thinks about an address: rules of IPv4 and IPv6, as many as are
 * asked for, nested as they come, and addresses of which about half are in one.
 *
 *	access RULES
 *
 * prints compile_msec=N ipv4_nsec=N ipv6_nsec=N bytes=N
 */
#include "policy/access.h"

#include "base/own.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define QUESTIONS 2000000
#define PEERS     65536

static uint64_t state = 88172645463325252;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of IPv4 out of 2^26 addresses, of IPv6 out of one /32. */
static void draw_address(uint8_t family, uint8_t bytes[16])
{
	uint64_t word = draw();

	memset(bytes, 0, 16);
	if (family == 4) {
		memcpy(bytes, &word, 4);
		bytes[0] &= 3;
		return;
	}
	memcpy(bytes, "\x20\x01\x0d\xb8", 4);
	memcpy(bytes + 4, &word, 8);
	bytes[4] &= 3;
}

static struct access_rule draw_rule(uint8_t family)
{
	struct access_rule rule = {.kind = ACCESS_IP, .deny = draw() & 1};
	unsigned shortest = family == 4 ? 16 : 40, more = family == 4 ? 17 : 57;

	rule.prefix.family = family;
	rule.prefix.bits = (uint8_t)(shortest + draw() % more);
	draw_address(family, rule.prefix.bytes);
	addr_prefix_cut(&rule.prefix);
	return rule;
}

/* Nanoseconds for one answer. */
static double measure(const uint8_t *table, uint8_t family, unsigned *sum)
{
	static struct access_peer peers[PEERS];
	double begun;

	for (size_t i = 0; i < PEERS; i++) {
		peers[i].who.family = family;
		draw_address(family, peers[i].who.bytes);
	}
	begun = now();
	for (size_t i = 0; i < QUESTIONS; i++)
		*sum += access_ask(table, &peers[i % PEERS]).verdict;
	return (now() - begun) * 1e9 / QUESTIONS;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, len;
	_cleanup_free_ struct access_rule *rules = calloc(n + 1, sizeof *rules);
	_cleanup_free_ uint8_t *table = NULL;
	double begun, compiled, four, six;
	unsigned sum = 0;

	if (n == 0 || !rules)
		return 2;
	for (size_t i = 0; i < n; i++)
		rules[i] = draw_rule(i % 2 ? 4 : 6);
	begun = now();
	if (access_compile(rules, n, true, &table, &len) < 0)
		return 1;
	compiled = now() - begun;
	four = measure(table, 4, &sum);
	six = measure(table, 6, &sum);
	printf("compile_msec=%.1f ipv4_nsec=%.1f ipv6_nsec=%.1f bytes=%zu sum=%u\n",
		compiled * 1e3, four, six, len, sum);
	return 0;
}
