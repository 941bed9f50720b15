/*
 * How long the master thinks about an address, beside so many rules.
 *
 *	access RULES
 *
 * prints compile_msec=N ipv4_nsec=N ipv6_nsec=N bytes=N
 */
#include "rules.h"

#include "base/own.h"

#include <stdio.h>

#define QUESTIONS 2000000
#define PEERS     65536

/* Nanoseconds for one answer. */
static double measure(const uint8_t *table, uint8_t family, unsigned *sum)
{
	static struct access_peer peers[PEERS];
	double begun;

	for (size_t i = 0; i < PEERS; i++) {
		peers[i].who.family = family;
		rules_address(family, (uint32_t)rules_random(), peers[i].who.bytes);
	}
	begun = rules_clock();
	for (size_t i = 0; i < QUESTIONS; i++)
		*sum += access_ask(table, &peers[i % PEERS]).verdict;
	return (rules_clock() - begun) * 1e9 / QUESTIONS;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, len;
	_cleanup_free_ struct access_rule *rules = rules_draw(n);
	_cleanup_free_ uint8_t *table = NULL;
	double begun, compiled, four, six;
	unsigned sum = 0;

	if (n == 0 || !rules)
		return 2;
	begun = rules_clock();
	if (access_compile(rules, n, true, &table, &len) < 0)
		return 1;
	compiled = rules_clock() - begun;
	four = measure(table, 4, &sum);
	six = measure(table, 6, &sum);
	printf("compile_msec=%.1f ipv4_nsec=%.1f ipv6_nsec=%.1f bytes=%zu sum=%u\n",
		compiled * 1e3, four, six, len, sum);
	return 0;
}
