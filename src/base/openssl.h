/*
 * openssl: how each of our programs begins with OpenSSL.
 *
 * In a library of its own: what needs no TLS is not linked with OpenSSL.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_OPENSSL_H
#define HATCHD_BASE_OPENSSL_H

/* Without openssl.cnf: what that says is not for us, and differs by machine.  0 or -ENOMEM. */
int openssl_begin(void);

/*
 * The same, and have everything in memory that would be looked for later, where there may be
 * no files: its own tables and algorithms, randomness, and the time zone, for which the C
 * library looks when the validity of a certificate is compared.  0 or -ENOMEM.
 */
int openssl_have_all(void);

#endif
