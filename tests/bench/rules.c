#include "rules.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCATTER UINT32_C(2654435761) /* odd, so that no two numbers become one */

uint64_t rules_random(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

double rules_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of IPv4 from 0.0.0.0/6, of IPv6 from 2001:db8::/38. */
void rules_address(uint8_t family, uint32_t number, uint8_t bytes[16])
{
	uint32_t word = number * SCATTER & (RULES_ADDRESSES - 1);
	uint8_t *first = bytes;

	memset(bytes, 0, 16);
	if (family == 6) {
		uint64_t host = rules_random();

		memcpy(bytes, "\x20\x01\x0d\xb8", 4);
		memcpy(bytes + 8, &host, sizeof host);
		first += 4;
	}
	for (int i = 0; i < 4; i++)
		first[i] = (uint8_t)(word >> (24 - 8 * i));
}

static struct access_rule draw_rule(uint8_t family)
{
	struct access_rule rule = {.kind = ACCESS_IP, .deny = rules_random() & 1};
	unsigned shortest = family == 4 ? 16 : 40, more = family == 4 ? 17 : 57;

	rule.prefix.family = family;
	rule.prefix.bits = (uint8_t)(shortest + rules_random() % more);
	rules_address(family, (uint32_t)rules_random(), rule.prefix.bytes);
	addr_prefix_cut(&rule.prefix);
	return rule;
}

struct access_rule *rules_draw(size_t n)
{
	struct access_rule *rules = calloc(n + 1, sizeof *rules);

	for (size_t i = 0; rules && i < n; i++)
		rules[i] = draw_rule(i % 2 ? 4 : 6);
	return rules;
}
