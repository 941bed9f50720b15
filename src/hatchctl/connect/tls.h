/*
 * tls: the client's end of a TLS connection, with a certificate that is looked at.
 *
 * In hatchctl-tls alone, which knows OpenSSL; not there in a build without TLS.  It takes
 * what the system says about certificates that are trusted, and about algorithms, as other
 * clients do; but nothing before TLS 1.2.
 *
 * The socket is non-blocking.  To read may take that something can be written, and the other
 * way round, so that is asked for each time (tls_reading_awaits()).
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_CONNECT_TLS_H
#define HATCHD_HATCHCTL_CONNECT_TLS_H

#include "base/own.h"
#include "base/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Room for what is wrong, in words. */
#define TLS_WHY_MAX 1024

/* What a connection is to be.  All is borrowed, until tls_free(). */
struct tls_wish {
	const char *name;        /* a host's name, or an IP address without brackets: the
	                            certificate has to be for it, and a name is asked for */
	const char *ca;          /* file of those who are trusted; NULL: the system's */
	const char *certificate; /* file of our own, with those behind it; NULL: none */
	const char *key;         /* file of the key to it; NULL: it is in that file as well */
	const char *alpn[TLS_ALPN_MAX]; /* protocols, best first */
	size_t n_alpn;
	bool insecure;                      /* whatever the certificate is, go on */
	void (*narrate)(const char *event); /* NULL: in silence */
};

struct tls;

/* Read the files.  NULL with a whole sentence in `why`. */
struct tls *tls_new(const struct tls_wish *wish, char why[TLS_WHY_MAX]);

/* The socket stays the caller's, who is told nothing: see tls_end().  NULL is fine. */
struct tls *tls_free(struct tls *tls);

static inline void own_tls(struct tls **tls)
{
	tls_free(*tls);
}
#define _cleanup_tls_ _cleanup_(own_tls)

/*
 * Agree with who is at the other end of that socket, which is connected and non-blocking,
 * and wait for it.  0; or a negative errno, which tls_explain() has words for.
 */
int tls_shake_hands(struct tls *tls, int fd);

/* What is wrong with the certificate that was agreed to nevertheless; NULL: nothing is. */
const char *tls_doubt(const struct tls *tls);

/*
 * Read what there is, or write some of it; at least one byte.  The number of bytes, 0 if the
 * peer has said that this was all (reading only), or a negative errno: -EAGAIN for later;
 * after another one nothing goes that way any more, but still the other way.
 *
 * A peer that goes without having said so is -EPROTO, as is whatever breaks the rules: then
 * tls_explain() has words for it.
 */
ssize_t tls_read(struct tls *tls, char *data, size_t len);
ssize_t tls_write(struct tls *tls, const char *data, size_t len);

/* Say that this was all (close_notify); reading goes on.  To be called again after -EAGAIN;
 * 0, or another negative errno. */
int tls_end(struct tls *tls);

/* The events of poll(2) before which that would be -EAGAIN again; 0: try now. */
short tls_reading_awaits(const struct tls *tls);
short tls_writing_awaits(const struct tls *tls); /* and tls_end() */

/* One of them has come. */
void tls_wake(struct tls *tls);

/* Words for the last failure but -EAGAIN, which was `error`: borrowed until the next one. */
const char *tls_explain(const struct tls *tls, int error);

#endif
