/*
 * rules: access rules and addresses for those who measure what a decision costs, the same
 * in every run.  Rules are of IPv4 and IPv6 in turn and nested as they come; about half of
 * the addresses are in one.
 */
#ifndef HATCHD_BENCH_RULES_H
#define HATCHD_BENCH_RULES_H

#include "policy/access.h"

/* Numbers below this are different addresses of IPv4, and different networks of IPv6. */
#define RULES_ADDRESSES (UINT32_C(1) << 26)

/* The next number of a fixed sequence. */
uint64_t rules_random(void);

/* So many rules in fresh memory; NULL without memory. */
struct access_rule *rules_draw(size_t n);

/* The address with that number, anywhere among those that the rules are about; of IPv6 it
 * is one of the network of 64 bits with that number. */
void rules_address(uint8_t family, uint32_t number, uint8_t bytes[16]);

/* Seconds. */
double rules_clock(void);

#endif
