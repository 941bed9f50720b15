/*
 * tls-names: services that share a listener, because what a client of TLS asks for (SNI, RFC
 * 6066; ALPN, RFC 7301) says which of them he gets.
 *
 * All of them have the same `listen`.  The first that has a section `tls` of its own is the
 * host: the socket is its, and so is what is agreed with clients.  The others are guests: they
 * have no socket, and at most certificates to add.  Each is had by its tls_name and tls_alpn;
 * one of them may have neither, and gets who asks for none of the others.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_TLS_NAMES_H
#define HATCHD_CONF_TLS_NAMES_H

#include "base/tls.h"
#include "conf/report.h"

/*
 * Find out who is whose guest, and tell what is wrong about that.  Guests lose their
 * addresses, so that these are not claimed twice.  0 or -ENOMEM.
 */
int tls_names_settle(
	struct conf *conf, const struct service_conf *defaults, struct report *report);

/* Warn of guests whose host is not there any more, because its file has mistakes. */
void tls_names_check_hosts(const struct conf *conf, struct report *report);

/* A name as a pattern of base/tls.  0 or -EINVAL: it cannot be one. */
int tls_names_read(const char *text, char ret[HOSTNAME_ROOM + 2]);

/* How many names and protocols it is had by: 0 if by none, and it gets the others. */
size_t tls_names_count(const struct service_conf *service);

/*
 * Who gets whom at that host, for its setup: `names`, n_names and names_only, and what is
 * spoken there.  None of it where nobody chooses.  What is owned then is released by
 * tls_names_done().  0 or -ENOMEM.
 */
int tls_names_make(
	const struct conf *conf, const struct service_conf *host, struct tls_setup *setup);
void tls_names_done(struct tls_setup *setup);

#endif
