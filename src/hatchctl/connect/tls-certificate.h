/*
 * tls-certificate: the certificate of a server, in words.
 *
 * Names in it come from whoever is at the other end: they are escaped, and cut where they
 * are long.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_TLS_CERTIFICATE_H
#define HATCHD_HATCHCTL_CONNECT_TLS_CERTIFICATE_H

#include <openssl/x509.h>
#include <stddef.h>

/* Whom it is for, who has signed it, and until when.  Returns buf. */
const char *tls_certificate_describe(const X509 *certificate, char *buf, size_t size);

/*
 * What is wrong, when the library asks whether it matters, with the certificate of who is to
 * be `name`; `ca` is the file of those who are trusted, NULL for the system's.
 */
void tls_certificate_doubt(
	X509_STORE_CTX *store, const char *name, const char *ca, char *buf, size_t size);

#endif
