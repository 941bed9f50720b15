/*
 * validity: what there is to say of a certificate as its end comes near, and when.
 *
 * It is spoken of from 14 days before, which is time enough to have a new one, and not so
 * early that nobody minds any more.
 *
 * Pure: all times in seconds since 1970, as certificates have them; any number is one.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_VALIDITY_H
#define HATCHD_POLICY_VALIDITY_H

#include <stdint.h>

#define VALIDITY_DAY  86400
#define VALIDITY_SOON (14 * VALIDITY_DAY)

enum validity {
	VALIDITY_GOOD,   /* for long enough: nothing is said */
	VALIDITY_ENDING, /* in less than VALIDITY_SOON */
	VALIDITY_ENDED,
	_VALIDITY_MAX,
};

/* How a certificate that ends then stands now. */
enum validity validity_judge(int64_t ends, int64_t now);

/* The stable word. */
const char *validity_word(enum validity validity);

/* Seconds until it is no longer VALIDITY_GOOD; 0: it is not. */
uint64_t validity_wait(int64_t ends, int64_t now);

/* Room for any day, and for the longest of all phrases. */
#define VALIDITY_DAY_MAX  32
#define VALIDITY_TEXT_MAX 96

/* "2033-05-18", in UTC, without asking the machine for anything; returns `buf`. */
const char *validity_format_day(int64_t at, char buf[VALIDITY_DAY_MAX]);

/*
 * "is valid until 2033-05-18", "is only valid until 2033-05-18, 9 days from now" or "was valid
 * until 2033-05-18; clients will refuse it"; returns `buf`.
 */
const char *validity_format(int64_t ends, int64_t now, char buf[VALIDITY_TEXT_MAX]);

#endif
