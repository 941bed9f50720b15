/*
 * cert: rules about the certificates of clients of TLS, and who is in them.
 *
 * Rules let somebody in, and keep nobody out.  They are texts in one spelling each:
 *
 *	cert:CN=alice              whose subject has one CN, and it is this
 *	cert:DNS:host.example.org  who has that among his other names (subjectAltName);
 *	                           "*.example.org" with any label for the star, and
 *	                           ".example.org" with any number of them, but one at least
 *	cert:email:alice@example.org, cert:URI:urn:x, cert:IP:192.0.2.7
 *	                           the same, for names of these kinds
 *	cert:*                     everybody whose certificate is certified
 *	cert:SHA256:HEX            who has that certificate, whoever certifies it: 64 small
 *	                           hexadecimal digits
 *
 * What is in a certificate was chosen by a stranger as far as those let him who certify it:
 * an escape, a second CN, a name in a name or a NUL must not make anybody of him whom he is
 * not.  So whatever is not exactly as hatchd-tls writes it (workers/tls/facts.h) is in no
 * rule, and neither is a part of what could not be told whole.
 *
 * Layer: policy, pure.
 */
#ifndef HATCHD_POLICY_CERT_H
#define HATCHD_POLICY_CERT_H

#include <stdbool.h>
#include <stddef.h>

/* What each rule begins with, and bytes of a rule, with that. */
#define CERT_MARK     "cert:"
#define CERT_RULE_MAX 512

/* What is told of a client's certificate; each is borrowed, and NULL if it is not told. */
struct cert_client {
	const char *verify;  /* SSL_CLIENT_VERIFY: "SUCCESS", "NONE", "FAILED:..." */
	const char *subject; /* SSL_CLIENT_S_DN, as RFC 2253 has it */
	const char *names;   /* SSL_CLIENT_SAN: "DNS:a, email:b, IP:c, URI:d" */
	const char *hash;    /* SSL_PEER_CERT_HASH: "SHA256:" and hexadecimal digits */
	const char *omitted; /* SSL_CLIENT_OMITTED: which of "S_DN" and "SAN" are not told */
};

/* Whether it is a rule, in that spelling. */
bool cert_is_rule(const char *text);

/*
 * What a block of NAME=VALUE, each with a NUL behind it, says of him; other names in it are
 * passed over.  It is borrowed.  0, or -EBADMSG: it is no such block, or has one of them
 * twice, and *ret is untouched.
 */
int cert_client_read(const char *facts, size_t len, struct cert_client *ret);

/* Whether one of the rules has him; NULL-terminated, and NULL are none.  Reads what is told
 * of him once, and compares each name in it with each rule. */
bool cert_match(const struct cert_client *client, char *const *rules);

#endif
