/*
 * access-cert: rules about the certificates of clients, from the words of only_from to what
 * policy/cert compares, and where they can be kept.
 *
 *	cert:CN=alice
 *	cert:DNS:host.example.org  cert:DNS:*.example.org  cert:DNS:.example.org
 *	cert:email:alice@example.org  cert:URI:urn:x  cert:IP:192.0.2.7
 *	cert:SHA256:HASH
 *	cert:*
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ACCESS_CERT_H
#define HATCHD_CONF_ACCESS_CERT_H

#include "conf/report.h"
#include "policy/cert.h"

/* Does the word say that it is such a rule? */
bool access_names_cert(const char *word);

/* The rule in the spelling of policy/cert.  0, or -EINVAL with what is wrong with a word that
 * says that it is one, to be put behind it: "is ...". */
int access_cert_read(const char *word, char ret[CERT_RULE_MAX + 1], const char **reterr);

/*
 * Tell of services that have such rules, and would never see a certificate.  For who is a
 * guest at the socket of another one the section `tls` of that counts, so all of them are
 * known, and tls_names_settle() has been there.  Such services lose these rules: those of
 * `defaults` are left out with a warning.
 */
void access_cert_check(
	struct conf *conf, const struct service_conf *defaults, struct report *report);

#endif
