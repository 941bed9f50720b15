/*
 * addr-internal: what the files of base/addr share.  For nobody else.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_ADDR_INTERNAL_H
#define HATCHD_BASE_ADDR_INTERNAL_H

#include "base/addr.h"

/* Fill in family, address and length; the port stays as it is.  A mapped IPv6
 * address becomes an IPv4 one. */
void addr_set_ipv4(struct addr *addr, const struct in_addr *ip);
void addr_set_ipv6(struct addr *addr, const struct in6_addr *ip);

/* Only these addresses have a scope; the kernel ignores it elsewhere, and what
 * it ignores must not make two addresses out of one. */
bool addr_takes_scope(const struct in6_addr *ip);

/* What the kernel takes as the name of an interface, and a terminal as well. */
bool addr_interface_valid(const char *name);

/* "eth0", or the number if there is none, or none that could be written. */
void addr_interface_name(uint32_t scope, char buf[IF_NAMESIZE]);

/* "eth0", the number of an interface without a name, or "". */
void addr_scope_text(const struct addr *addr, char buf[IF_NAMESIZE]);

/* Clear what is behind the first `bits` bits. */
void addr_clear_behind(uint8_t bytes[16], unsigned bits);

/* The bytes of a UNIX path or abstract name, without the NUL of either; NULL
 * for an unnamed socket. */
const char *addr_unix_name(const struct addr *addr, size_t *ret_len);

#endif
