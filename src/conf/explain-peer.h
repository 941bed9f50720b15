/*
 * explain-peer: a client as somebody writes him who asks about him.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_EXPLAIN_PEER_H
#define HATCHD_CONF_EXPLAIN_PEER_H

#include "conf/identity.h"
#include "policy/access.h"

struct explain_peer {
	struct access_peer peer; /* its groups are those below */
	uint32_t groups[ACCESS_GROUPS_MAX];
	char shown[ADDR_TEXT_MAX]; /* as a record names him */
	const char *sort;          /* "IPv4", "IPv6", "UNIX", "vsock" */
};

/*
 * "192.0.2.7", "192.0.2.7:1234", "2001:db8::7", "[2001:db8::7]:1234", "fe80::7%eth0",
 * "vsock:3", "unix:uid=USER", "unix:uid=USER,gid=GROUP,...".  A user that is known is in his
 * groups.  0, -EINVAL with *reterr, or -ENOMEM.
 */
int explain_peer_read(const char *text, struct identities *identities, struct explain_peer *ret,
	const char **reterr);

#endif
