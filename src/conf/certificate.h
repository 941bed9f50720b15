/*
 * certificate: what is in files of certificates and keys.
 *
 * The one module of this layer that knows OpenSSL; not there in a build without TLS.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CERTIFICATE_H
#define HATCHD_CONF_CERTIFICATE_H

#include "base/tls.h"

/* Room for a name or an address of a certificate. */
#define CERTIFICATE_NAME_ROOM (HOSTNAME_ROOM + 2)

/* The name of a host, "*.example.org" for a label, or an address, as it stands in a
 * certificate.  0, or -EINVAL for anything else. */
int certificate_read_name(const char *text, char ret[CERTIFICATE_NAME_ROOM]);

/*
 * One that nobody has signed but itself, with a key of its own (P-256), for those names and
 * addresses (RFC 9525) from `now` on, for so many days.  Key and certificate in PEM, in fresh
 * memory that is to be wiped; 0, -EINVAL for what cannot be a name or for none, -ENOMEM.
 */
int certificate_make(
	char *const *names, int64_t now, unsigned days, char **ret, size_t *ret_len);

#endif
