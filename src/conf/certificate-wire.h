/*
 * certificate-wire: how the loader and hatchd-certificate talk.
 *
 * Over a stream pair (UNIX socket), in turns: a question, its answer, the next question.  Each
 * has its length in front, and a mark that tells one version from another: the two programs
 * come in different packages, and whoever reads a mark that is not his own stops.
 *
 *	READ     bytes of a certificate, bytes of its key
 *	         -> result; 0: both anew in PEM, begin, first end, whether in order;
 *	            else whether it is about the key, why
 *	COUNT    bytes of certificates
 *	         -> result, which is how many; why
 *	TRY      certificates with their keys, ciphers, ciphersuites
 *	         -> result, of enum certificate_refused; which one, why
 *	COVER    certificates with their keys, names
 *	         -> result; for each name, whether one of them is for it
 *	DIGEST   any bytes, any other bytes
 *	         -> result; the digests of both
 *	MAKE     names, when (seconds since 1970), for how many days
 *	         -> result; bytes of key and certificate in PEM
 *
 * A result below 0 is a negative errno; what stands behind it is there in any case, and means
 * nothing then but where it says so.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CERTIFICATE_WIRE_H
#define HATCHD_CONF_CERTIFICATE_WIRE_H

#include "base/tls.h"
#include "base/wire.h"

enum certificate_question {
	CERTIFICATE_READ,
	CERTIFICATE_COUNT,
	CERTIFICATE_TRY,
	CERTIFICATE_COVER,
	CERTIFICATE_DIGEST,
	CERTIFICATE_MAKE,
	_CERTIFICATE_QUESTION_MAX,
};

/* Bytes of a question or an answer: two setups, for the digests of both, are more than any
 * other has. */
#define CERTIFICATE_WIRE_MAX (2 * TLS_SETUP_MAX + 64)

/* One that was received. */
struct certificate_message {
	uint8_t *data; /* owned, wiped: there are keys in it */
	size_t len;
};

void certificate_message_done(struct certificate_message *message);
#define _cleanup_certificate_message_ _cleanup_(certificate_message_done)

/* A result, which may be negative. */
void certificate_put_result(struct wire_writer *w, int result);
int certificate_get_result(struct wire_reader *r);

/* Bytes with their length; what is read stays where it is. */
void certificate_put_bytes(struct wire_writer *w, const struct tls_bytes *bytes);
struct tls_bytes certificate_get_bytes(struct wire_reader *r);

/* The same of the certificates of a setup; what is read there is to be freed.  0; -EBADMSG or
 * -ENOMEM. */
void certificate_put_pairs(struct wire_writer *w, const struct tls_setup *setup);
int certificate_get_pairs(struct wire_reader *r, struct tls_setup *ret);

/* Begin one, which certificate_send() sends and then wipes and releases.  It waits until all
 * is taken.  0; -ECHILD: nobody is there to take it; -EMSGSIZE: it is too long; -ENOMEM: it
 * could not be written; others as of send(2). */
void certificate_begin(struct wire_writer *w);
int certificate_send(int fd, struct wire_writer *w);

/* Wait for one.  0 with *ret, the caller's; -ECHILD: the other end is closed; -EBADMSG: it is
 * of another version, or too long; -ENOMEM; others as of recv(2). */
int certificate_receive(int fd, struct certificate_message *ret);

#endif
