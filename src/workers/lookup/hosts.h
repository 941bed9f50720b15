/*
 * hosts: what hosts(5) says: names that the administrator has given to addresses.
 *
 * Read once, before the worker is shut in, and looked up both ways.  What is no address, or
 * no name of a host (base/hostname), is passed over, and so are link-local addresses with
 * an interface.
 *
 * Bounded: HOSTS_MAX names; of a longer file those at its end are left out.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_LOOKUP_HOSTS_H
#define HATCHD_WORKERS_LOOKUP_HOSTS_H

#include "os/lookup.h"

#include <stdbool.h>
#include <stddef.h>

/* Names, and bytes of the file. */
#define HOSTS_MAX       65536
#define HOSTS_BYTES_MAX (16 * 1024 * 1024)

struct hosts;

/* From the text of the file, at most HOSTS_BYTES_MAX, which stays the caller's.  0 or
 * -ENOMEM. */
int hosts_new(const char *text, size_t len, struct hosts **ret);

/* Returns NULL. */
struct hosts *hosts_free(struct hosts *hosts);

/* Some names were left out. */
bool hosts_are_cut(const struct hosts *hosts);

/* The first name of the first line with that address (its port is not looked at), which
 * stays the table's; NULL: there is none. */
const char *hosts_name_of(const struct hosts *hosts, const struct lookup_address *address);

/* The addresses of a name in the order of the file, LOOKUP_ADDRESSES_MAX at most; how many. */
size_t hosts_addresses_of(const struct hosts *hosts, const char *name,
	struct lookup_address ret[LOOKUP_ADDRESSES_MAX]);

#endif
