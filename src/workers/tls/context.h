/*
 * context: what all clients of one setup (base/tls) share: certificates, rules and keys,
 * as OpenSSL has them.
 *
 * Setups are known by their numbers, which are never used for another one: what was read
 * once is there for the next client.  One without clients is kept for CONTEXT_IDLE_TIME, and
 * CONTEXT_IDLE_MAX of them at most; of more the one goes that nobody has come to for longest.
 * So what a reload has replaced goes with its last client, or soon after.
 *
 * TLS 1.2 and 1.3, with keys that are agreed upon by elliptic curves.  There is no
 * renegotiation, no compression and no early data.  Sessions are in tickets, and nowhere here.
 * Nothing of a machine's configuration of OpenSSL is read.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_TLS_CONTEXT_H
#define HATCHD_WORKERS_TLS_CONTEXT_H

#include "base/tls.h"
#include "workers/tls/tube.h"

#include <openssl/ssl.h>

#define CONTEXT_IDLE_MAX  256
#define CONTEXT_IDLE_TIME (UINT64_C(600) * 1000 * 1000) /* usec */

/* Of a client's chain: bits of the key in his own certificate, certificates above that, and
 * bytes of all of it. */
#define CONTEXT_KEY_MAX   8192
#define CONTEXT_DEPTH_MAX 8
#define CONTEXT_CHAIN_MAX (64 * 1024)

/* A session may go on for that long, in seconds. */
#define CONTEXT_SESSION_TIME 7200

struct context;

/* All zero: empty. */
struct context_shelf {
	struct context *first; /* in the order in which somebody has come to them, last first */
	size_t n_idle;
};

/* Where a setup is. */
struct context_place {
	int fd; /* it stays the caller's, and as it is */
	uint64_t at, len;
	uint64_t number; /* 0: it has none, and is nobody else's */
};

/* 0, and context_put() is owed; -EBADMSG: that is no setup, or OpenSSL cannot make anything of
 * what is in it, and its queue of errors may say why; -ENOMEM, or what reading says.  `now`:
 * usec, monotonic, here and below. */
int context_get(struct context_shelf *shelf, const struct context_place *place, uint64_t now,
	struct context **ret);

/* A client less.  Returns NULL. */
struct context *context_put(struct context *context, uint64_t now);

/* All go that nobody uses. */
void context_shelf_done(struct context_shelf *shelf);

/* For tests: of a setup, without a shelf; for context_put(). */
int context_new(const struct tls_setup *setup, struct context **ret);

/* What is noted of a client while he shakes hands; SSL_get_app_data() of his SSL. */
struct hello {
	const struct context *context; /* borrowed */
	bool offers_alpn;
	uint32_t n_updates; /* of his keys (RFC 8446, 4.6.3), in all */
};

/* A server's.  `hello` is borrowed, and initialized here.  NULL: no memory. */
SSL *context_open(const struct context *context, struct hello *hello);

/* The name that he asks for, in base/hostname's spelling; "": none, or what is no name. */
void context_name(const SSL *ssl, char ret[HOSTNAME_ROOM]);

/* The service that he gets, after the handshake: "": the one whose socket he came to. */
const char *context_service(const SSL *ssl);

#endif
