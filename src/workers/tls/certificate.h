/*
 * certificate: one that we show to clients, with its chain, its key and its names.
 *
 * Layer: workers.
 */
#ifndef HATCHD_WORKERS_TLS_CERTIFICATE_H
#define HATCHD_WORKERS_TLS_CERTIFICATE_H

#include "base/tls.h"
#include "workers/tls/names.h"

#include <openssl/x509.h>

struct certificate {
	/* All owned. */
	X509 *leaf;
	STACK_OF(X509) * chain; /* those behind it, in their order; never NULL */
	EVP_PKEY *key;
	char **names; /* patterns (base/tls), those of DNS in it, else its common name; NULL:
	                 it has none that a client could ask for */
};

/* 0, and certificate_done() is owed; -EBADMSG: PEM that cannot be understood, or a key that
 * is not its; -ENOMEM.  OpenSSL's queue of errors says more. */
int certificate_read(const struct tls_certificate *pem, struct certificate *ret);

void certificate_done(struct certificate *certificate);

/* The best of its names.  `name` is never "". */
enum names_fit certificate_fit(const struct certificate *certificate, const char *name);

/* Certificates one behind the other in PEM, up to `max`, owned by the caller.  Anything else
 * between them is passed over.  0; -EBADMSG: there is none, there are more, or one is broken;
 * -ENOMEM. */
int certificate_read_list(const struct tls_bytes *pem, int max, STACK_OF(X509) * *ret);

#endif
