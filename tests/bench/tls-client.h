/*
 * tls-client: a client of TLS 1.3 who waits, for load generators.  He speaks with 127.0.0.1,
 * offers P-256 and AES-128-GCM and nothing else, so that all servers have the same to do,
 * believes each certificate, and takes up no session again.
 */
#ifndef HATCHD_BENCH_TLS_CLIENT_H
#define HATCHD_BENCH_TLS_CLIENT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Seconds until somebody who reads or writes nothing is given up. */
#define TLS_CLIENT_PATIENCE 10

/* Owned by the caller; NULL: it cannot be had. */
SSL_CTX *tls_client_context(void);

/* A connection to that port that has shaken hands, and its socket (SSL_get_fd(3)): all owned by
 * the caller.  NULL: there is none. */
SSL *tls_client_connect(SSL_CTX *ctx, uint16_t port);

/* What comes until the server says that it was all, *ret_n bytes.  False: he does not say so,
 * or it is more than there is room for. */
bool tls_client_read_all(SSL *ssl, char *to, size_t room, size_t *ret_n);

/* Say the end, and reset the connection, so that neither side keeps it in TIME_WAIT and ports
 * do not run out.  NULL does nothing. */
void tls_client_close(SSL *ssl);

#endif
