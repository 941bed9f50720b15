/*
 * notary: who is asked what certificates and keys are worth.
 *
 * The loader reads files and knows what is to be said of them; OpenSSL is another program's,
 * hatchd-certificate (conf/certificate-answer), which gets bytes and returns facts.  It is
 * started with the first question, has one after another, and ends with the notary: one
 * process for each load, however many certificates there are.  What it says is read as a
 * stranger's.
 *
 * Whatever goes wrong with it is the end of the load: notary_explain() has words for it.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_NOTARY_H
#define HATCHD_CONF_NOTARY_H

#include "base/tls-programs.h"
#include "conf/certificate.h"
#include "conf/conf.h"

#include <sys/types.h>

struct notary {
	const char *folder; /* of the programs, borrowed; NULL: where they are (base/sibling) */
	bool looked;
	int found;           /* 0, or why there is nobody to be asked: a negative errno ... */
	char path[PATH_MAX]; /* of hatchd-certificate */
	char why[TLS_PROGRAM_WHY_MAX]; /* ... and what is to be said of it */
	int fd;    /* our end of a stream pair with it; owned; -EBADF: it does not run */
	pid_t pid; /* the same: -1 */
};

void notary_init(struct notary *notary, const char *folder);

/* Waits until it has ended, which it does at once. */
void notary_done(struct notary *notary);
#define _cleanup_notary_ _cleanup_(notary_done)

/* Whether there is TLS here: NULL, or a phrase that says what is missing.  Looked up once. */
const char *notary_missing(struct notary *notary);

/* A certificate with its key. */
struct notary_reading {
	struct tls_pem pem;            /* both anew in PEM; owned */
	int64_t begins;                /* in seconds since 1970; where it ends is in `pem` */
	bool in_order;                 /* certificate_in_order() */
	bool of_key;                   /* what is wrong is about the file of the key ... */
	char why[CERTIFICATE_WHY_MAX]; /* ... and this */
};

void notary_reading_done(struct notary_reading *reading);
#define _cleanup_notary_reading_ _cleanup_(notary_reading_done)

/* As certificate_read(): 0, or -EINVAL with what is wrong; then `pem` is empty.  Other negative
 * errno, here and below: it could not be asked. */
int notary_read(struct notary *notary, const struct tls_bytes *chain,
	const struct tls_bytes *key, struct notary_reading *ret);

/* As certificate_count(). */
int notary_count(
	struct notary *notary, const struct tls_bytes *ca, char why[CERTIFICATE_WHY_MAX]);

/* As certificate_try(). */
int notary_try(struct notary *notary, const struct tls_setup *setup, size_t *ret_which,
	char why[CERTIFICATE_WHY_MAX]);

/* Whether each of those names, patterns of base/tls, has a certificate in the setup that is
 * for it: n of them in *ret.  0. */
int notary_cover(
	struct notary *notary, const struct tls_setup *setup, char *const *names, bool *ret);

/* SHA-256 of both.  0. */
int notary_digest(struct notary *notary, const struct tls_bytes data[2],
	uint8_t ret[2][CERTIFICATE_DIGEST_LEN]);

/* As certificate_make(). */
int notary_make(struct notary *notary, char *const *names, int64_t now, unsigned days,
	char **ret, size_t *ret_len);

/* Why it could not be asked, behind "unable to ask hatchd-certificate: ". */
const char *notary_explain(int error);

#endif
