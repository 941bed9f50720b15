/*
 * addr-net: sources that begin with the same bits, as operators name them:
 *
 *	192.0.2.1               one address
 *	192.0.2.0/24            a network
 *	2001:db8::1             the network of 64 bits that a host has for itself
 *	2001:db8::1/128         one address of it
 *	fe80::1%eth0            a link-local address, on the interface eth0 or, by its
 *	                        number, on that; without it on any
 *	fe80::%eth0/10          all of these on one interface
 *	uid:1000                a user of this machine, who comes through UNIX sockets
 *	vsock:3                 a virtual machine
 *
 * An IPv4-mapped IPv6 address is the IPv4 address it stands for, as everywhere.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_ADDR_NET_H
#define HATCHD_BASE_ADDR_NET_H

#include "base/addr.h"

struct addr_net {
	struct addr_source source; /* zero behind the bits; without a scope: on any link */
	uint8_t bits;              /* that count; of a user or a CID all 32 */
};

/* Most of them, of IPv6. */
#define ADDR_NET_BITS_MAX 128

/* Room for the text of any, NUL included. */
#define ADDR_NET_TEXT_MAX 80

/*
 * Parse one of these; bits behind the prefix are cleared.  The name of an interface is looked
 * up (one ioctl).  0; -ENOENT: that is none; -EINVAL: what is behind the / is no number that
 * the family has; -ENODEV: there is no such interface, or the address is not link-local.
 */
int addr_net_parse(const char *text, struct addr_net *ret);

/* What a source that was cut to these prefixes is; a whole address with 32 and 128. */
void addr_net_of(const struct addr_source *source, unsigned prefix4, unsigned prefix6,
	struct addr_net *ret);

/* As above, with as little as addr_net_parse() needs to read it back.  Returns buf. */
const char *addr_net_format(const struct addr_net *net, char buf[ADDR_NET_TEXT_MAX]);

/* Clear of 16 bytes what is behind the first `bits` bits. */
void addr_net_cut(uint8_t bytes[16], unsigned bits);

/* Is there anybody who is in both?  Of two nets one holds the other, or they have nobody in
 * common. */
bool addr_net_overlap(const struct addr_net *a, const struct addr_net *b);

/* Is everybody who is in `inner` in `net`? */
bool addr_net_holds(const struct addr_net *net, const struct addr_net *inner);

#endif
