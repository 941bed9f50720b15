/*
 * conceal: how the address of a client appears in records and in messages, as log_address
 * says.
 *
 * What is left out here is in no line of the log, at whatever level, and in no record.  Who
 * asks at the control socket is told everything.  Also what a client is called where he comes
 * from goes with his address: who his machine or his user is says as much.
 *
 *	full     192.0.2.7:4711, uid 1000 pid 4711
 *	prefix   192.0.2.0/24, 2001:db8::/48, vsock, unix
 *	hash     hash:6f1c0a55d2b9e337: of the address, without its port.  The key is made when
 *	         hatchd starts, so that it can be computed by nobody else, also not for all
 *	         addresses there are, and says nothing when hatchd has ended.
 *	none     -
 *
 * Where the service counts a wider network as one source (source_prefix4, source_prefix6), it
 * is that network which is told, or hashed.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_CONCEAL_H
#define HATCHD_MASTER_CONCEAL_H

#include "base/addr.h"
#include "conf/conf.h"
#include "policy/siphash.h"

#include <stdbool.h>

#define CONCEAL_PREFIX4 24
#define CONCEAL_PREFIX6 48

/* Of hashes. */
#define CONCEAL_KEY_LEN 16

/* Whether only his address may not be told as it is; then his names may not either. */
bool conceal_wanted(const struct service_conf *conf);

/* A client, where he is known; "" for nobody in particular.  Returns `buf`. */
const char *conceal_peer(const struct service_conf *conf, const uint8_t key[CONCEAL_KEY_LEN],
	const struct addr *peer, const struct ucred *cred, char buf[ADDR_TEXT_MAX]);

/* The same of a source as the service counts it; returns `buf`. */
const char *conceal_source(const struct service_conf *conf, const uint8_t key[CONCEAL_KEY_LEN],
	const struct addr_source *source, char buf[ADDR_SOURCE_TEXT_MAX]);

#endif
