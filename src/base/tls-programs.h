/*
 * tls-programs: those of our programs that know OpenSSL, and whether they are there.
 *
 * They are left out of a build without TLS, and otherwise are a package of their own, so that
 * who needs no TLS needs no OpenSSL.  Whoever would execute one of them asks here first, and
 * what is to be said where it is not there is the same everywhere.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_TLS_PROGRAMS_H
#define HATCHD_BASE_TLS_PROGRAMS_H

#include <limits.h>

/* Speaks TLS with clients; judges certificates for the loader; is what hatchctl connect
 * becomes. */
#define TLS_PROGRAM_SERVE       "hatchd-tls"
#define TLS_PROGRAM_CERTIFICATE "hatchd-certificate"
#define TLS_PROGRAM_CONNECT     "hatchctl-tls"

/* Room for what is to be said. */
#define TLS_PROGRAM_WHY_MAX (PATH_MAX + 128)

/*
 * Where that one is: in `folder`, or NULL for where all our programs are (base/sibling).  0;
 * or a negative errno with a phrase in `why` that says what is missing, and what helps.
 */
int tls_program_find(const char *name, const char *folder, char path[PATH_MAX],
	char why[TLS_PROGRAM_WHY_MAX]);

/* The same of both that a service needs; `path` is that of hatchd-certificate. */
int tls_programs_find(const char *folder, char path[PATH_MAX], char why[TLS_PROGRAM_WHY_MAX]);

#endif
