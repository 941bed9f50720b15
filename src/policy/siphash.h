/*
 * siphash: a keyed hash that an outsider cannot steer (SipHash-2-4, by
 * J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF").
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_SIPHASH_H
#define HATCHD_POLICY_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const void *data, size_t len, const uint8_t key[16]);

#endif
