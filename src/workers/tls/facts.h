/*
 * facts: what is told of a client after his handshake: a block of NAME=VALUE, each with a NUL
 * behind it, as a program finds them in its environment.
 *
 *	SSL_PROTOCOL             TLSv1.2, TLSv1.3
 *	SSL_CIPHER               as OpenSSL calls it
 *	SSL_TLS_SNI_SERVERNAME   the name that he asks for, in base/hostname's spelling
 *	SSL_ALPN                 the protocol that was chosen with him
 *	SSL_CLIENT_VERIFY        SUCCESS; NONE: he has shown no certificate; FAILED:reason
 *	SSL_PEER_CERT_HASH       SHA256: and 64 hexadecimal digits, of the certificate that he
 *	                         has shown, and has the key to, whoever certifies it
 *	SSL_CLIENT_S_DN          its subject (RFC 2253)
 *	SSL_CLIENT_SAN           its other names: "DNS:a, email:b, IP:c, URI:d"
 *	SSL_CLIENT_OMITTED       "S_DN", "SAN" or "S_DN SAN": has them, and they are not told
 *
 * What is not so is left out.  Subject and names are told with SUCCESS alone: else they are
 * what somebody has made up.  They are told whole or not at all, so that a rule about names
 * never sees some of them only: not if they are longer than FACTS_DN_MAX or FACTS_SAN_MAX, if
 * one of them has a NUL in it, or cannot be read; who has rules about them looks at
 * SSL_CLIENT_OMITTED.
 *
 * In a name of SSL_CLIENT_SAN whatever is not printable ASCII, and blank, comma and backslash,
 * is \xNN, so that nobody can put a name into a name; those of DNS are in small letters.  Names
 * of other kinds are passed over.  In all other values what is no UTF-8, or a control
 * character, is a question mark.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_TLS_FACTS_H
#define HATCHD_WORKERS_TLS_FACTS_H

#include "os/channel.h"

#include <openssl/ssl.h>

/* Bytes of these values. */
#define FACTS_DN_MAX  1024
#define FACTS_SAN_MAX 2048

struct facts {
	char bytes[CHANNEL_FACTS_BYTES_MAX];
	size_t len;
};

/* Of a client whose handshake is over.  `name` is the one that he asks for, "": none. */
void facts_of_client(const SSL *ssl, const char *name, struct facts *ret);

/* The last four lines above, added to *ret. */
void facts_of_certificate(X509 *certificate, bool is_certified, struct facts *ret);

#endif
