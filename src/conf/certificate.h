/*
 * certificate: what is in files of certificates and keys, and whether it can be used.
 *
 * The one module of this layer that knows OpenSSL, in hatchd-certificate alone; not there in a
 * build without TLS.  The loader has a notary for all of this.  Texts for people say of a file
 * what is wrong with it, to stand behind its name.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CERTIFICATE_H
#define HATCHD_CONF_CERTIFICATE_H

#include "base/tls.h"

#include <sys/types.h>

/* Room for such a text. */
#define CERTIFICATE_WHY_MAX 256

/* A certificate with those that lead to who signed it, and its key. */
struct certificate;

/*
 * Read both in PEM, which may be the same bytes; what else is in there is passed over.
 * 0; -EINVAL with what is wrong in `why`, which is about the file of the key if *ret_of_key;
 * -ENOMEM.
 */
int certificate_read(const struct tls_bytes *chain, const struct tls_bytes *key,
	struct certificate **ret, bool *ret_of_key, char why[CERTIFICATE_WHY_MAX]);

/* Wipes the key; NULL is fine.  Returns NULL. */
struct certificate *certificate_free(struct certificate *certificate);

static inline void own_certificate(struct certificate **certificate)
{
	certificate_free(*certificate);
}
#define _cleanup_certificate_ _cleanup_(own_certificate)

/* Both anew in PEM, without anything else; borrowed. */
struct tls_certificate certificate_pem(const struct certificate *certificate);

/* From when on it is valid, and until when the first of it and of those behind it is; in
 * seconds since 1970. */
int64_t certificate_begins(const struct certificate *certificate);
int64_t certificate_ends(const struct certificate *certificate);

/* Whether those behind the first one certify one another in the order of the file. */
bool certificate_in_order(const struct certificate *certificate);

/* Whether it is for who asks for that name, a pattern of base/tls. */
bool certificate_covers(const struct certificate *certificate, const char *pattern);

/* How many certificates are in it, in PEM, of those who sign that of clients: 0: none, or
 * one of them is broken, with a text in `why`; -ENOMEM. */
ssize_t certificate_count(const struct tls_bytes *ca, char why[CERTIFICATE_WHY_MAX]);

/* What of a setup is refused by the library, though each part of it can be read. */
enum certificate_refused {
	REFUSED_NOTHING,
	REFUSED_CIPHERS,
	REFUSED_CIPHERSUITES,
	REFUSED_CERTIFICATE, /* number *ret_which of them: its keys are too weak, and so on */
};

/* Try it as hatchd-tls will.  With REFUSED_NOTHING nothing is written; -ENOMEM. */
int certificate_try(
	const struct tls_setup *setup, size_t *ret_which, char why[CERTIFICATE_WHY_MAX]);

/* SHA-256. */
#define CERTIFICATE_DIGEST_LEN 32

/* 0 or -ENOMEM. */
int certificate_digest(const void *data, size_t len, uint8_t ret[CERTIFICATE_DIGEST_LEN]);

/*
 * One that nobody has signed but itself, with a key of its own (P-256), for those names and
 * addresses (RFC 9525) from `now` on, for so many days.  Key and certificate in PEM, in fresh
 * memory that is to be wiped; 0, -EINVAL for what cannot be a name or for none, -ENOMEM.
 */
int certificate_make(
	char *const *names, int64_t now, unsigned days, char **ret, size_t *ret_len);

#endif
