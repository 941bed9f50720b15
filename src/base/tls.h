/*
 * tls: what the loader, which reads files, and hatchd-tls, which speaks TLS with clients,
 * agree about: the certificates and the keys to them, what is asked of clients, and which
 * service a client gets by the name that he asks for.
 *
 * Several setups lie one behind the other in one sealed file in memory.  SERVE (os/channel)
 * brings that as its second descriptor, and says where in it the setup of this connection
 * is, and its number.  The worker reads it as a stranger's.
 *
 * The same setup means the same ticket key: whatever process of the worker a client comes
 * back to, his session goes on.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_TLS_H
#define HATCHD_BASE_TLS_H

#include "base/hostname.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the PEM of a certificate with its chain, of a key, and of all that certify
 * clients. */
#define TLS_CHAIN_MAX (64 * 1024)
#define TLS_KEY_MAX   (64 * 1024)
#define TLS_CA_MAX    (1024 * 1024)

/* How many there may be. */
#define TLS_CERTIFICATES_MAX 64
#define TLS_ALPN_MAX         32
#define TLS_NAMES_MAX        1024

/* Letters of a list of ciphers, of a protocol (RFC 7301, 3.1), and of a service's name. */
#define TLS_CIPHERS_MAX  4096
#define TLS_PROTOCOL_MAX 255
#define TLS_SERVICE_MAX  64

/* A name of 16 bytes by which a ticket is known, 32 for its HMAC, 32 for its AES. */
#define TLS_TICKET_KEY_SIZE 80

/* Descriptors that one connection needs at most: the client's, and the worker's end of a
 * stream pair with his program. */
#define TLS_FDS 2

/* Of all of it, as it is written. */
#define TLS_SETUP_MAX                                                                   \
	(TLS_CERTIFICATES_MAX * (TLS_CHAIN_MAX + TLS_KEY_MAX + 8) + TLS_CA_MAX +        \
		2 * TLS_CIPHERS_MAX + TLS_ALPN_MAX * (TLS_PROTOCOL_MAX + 4) +           \
		TLS_NAMES_MAX *                                                         \
			(HOSTNAME_ROOM + 2 + TLS_PROTOCOL_MAX + TLS_SERVICE_MAX + 12) + \
		256)

/* What is asked of a client about his certificate. */
enum tls_verify {
	TLS_VERIFY_NONE,     /* nothing: he is not asked for one */
	TLS_VERIFY_OPTIONAL, /* he may have one, and his service is told what it is worth */
	TLS_VERIFY_REQUIRED, /* without one that `ca` certifies there is no connection */
	_TLS_VERIFY_MAX,
};

/* Their names, in that order; NULL-terminated. */
extern const char *const tls_verify_names[];

enum tls_version {
	TLS_VERSION_1_2, /* RFC 5246 */
	TLS_VERSION_1_3, /* RFC 8446 */
	_TLS_VERSION_MAX,
};

/* Their names, "1.2" and "1.3", in that order; NULL-terminated. */
extern const char *const tls_version_names[];

struct tls_bytes {
	const uint8_t *data; /* borrowed */
	size_t len;
};

/* Both in PEM (RFC 7468).  Neither is empty. */
struct tls_certificate {
	struct tls_bytes chain; /* the certificate first, then who certifies it */
	struct tls_bytes key;   /* to it, without a passphrase */
};

/*
 * Which service a client gets.  Of all entries that fit it is the most specific one, and of
 * several the first: a name itself before "*.", that before any; and with the same pattern
 * a protocol before none.
 */
struct tls_name {
	char *pattern; /* "git.example.org"; "*.example.org", which stands for one label
	                  (RFC 9525, 6.3); "": any, also if he says none */
	char *alpn;    /* the protocol that was chosen with him; "": whatever was, or none */
	char *service; /* "": the one whose socket he came to */
};

struct tls_setup {
	/* Which one he gets is a matter of the name that he asks for (RFC 6066, 3) and of
	 * the names in it; the first one where none fits. */
	struct tls_certificate *certificates; /* owned if it was read */
	size_t n_certificates;                /* 1 to TLS_CERTIFICATES_MAX */

	struct tls_bytes ca;    /* PEM of those who certify clients; len 0: nobody */
	enum tls_verify verify; /* others than TLS_VERIFY_NONE need `ca` */
	enum tls_version min_version;

	/* As OpenSSL's ciphers(1) has them; NULL: hatchd-tls's own choice.  Owned if read. */
	char *ciphers;      /* of TLS 1.2 */
	char *ciphersuites; /* of TLS 1.3 */

	char **alpn; /* what is spoken here, best first; NULL: it is not asked.  Owned if read
	              */
	bool session_tickets;
	uint8_t ticket_key[TLS_TICKET_KEY_SIZE]; /* random, of this setup alone; all zero
	                                            without session_tickets */

	struct tls_name *names; /* owned if it was read; NULL: he gets the one he came to */
	size_t n_names;         /* 0 to TLS_NAMES_MAX */
	bool names_only;        /* who asks for what no entry fits is refused within the
	                           handshake; else he gets the one he came to */
};

/* Whether that can be the pattern of a name. */
bool tls_is_pattern(const char *text);

/* 0; -E2BIG: one of the bounds is exceeded, -EINVAL: something is empty that must not be, or
 * is not what it should be, and nothing was written; -ENOMEM, and the writer is at fault.
 * What is written has the keys in it. */
int tls_setup_write(const struct tls_setup *setup, struct wire_writer *w);

/* What was written, to be released by tls_setup_done(); struct tls_bytes point into `data`.
 * 0; -EBADMSG: it is not such a setup, or exceeds a bound; -ENOMEM.  PEM is not looked at. */
int tls_setup_read(const void *data, size_t len, struct tls_setup *ret);

/* Of one that was read; the ticket key is wiped.  The keys in `data` are the caller's to
 * wipe. */
void tls_setup_done(struct tls_setup *setup);

#endif
