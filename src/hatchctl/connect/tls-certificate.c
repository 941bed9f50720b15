#include "hatchctl/connect/tls-certificate.h"

#include "base/addr.h"
#include "base/own.h"
#include "base/text.h"

#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* Names of a certificate that are told, before it is said how many others there are. */
#define NAMES_TOLD 4

/* Room for one of them, or for a distinguished one; what is longer is cut. */
#define NAME_ROOM 128

/* Room for all that are told. */
#define NAMES_ROOM (NAMES_TOLD * (NAME_ROOM + 2) + 32)

#define TIME_ROOM 32

/* ------------------------------------------------------- what is in a certificate */

static const char *show(const ASN1_STRING *text, char buf[NAME_ROOM])
{
	return text_escape((const char *)ASN1_STRING_get0_data(text),
		(size_t)ASN1_STRING_length(text), buf, NAME_ROOM);
}

static const char *show_address(const ASN1_OCTET_STRING *ip, char buf[NAME_ROOM])
{
	int len = ASN1_STRING_length(ip);
	char host[ADDR_TEXT_MAX];
	struct addr addr;

	if (len != 4 && len != 16)
		return NULL;
	addr_from_ip(ADDR_TCP, ASN1_STRING_get0_data(ip), (size_t)len, 0, &addr);
	snprintf(buf, NAME_ROOM, "%s", addr_format_host(&addr, host));
	return buf;
}

/* NULL: it is no host's. */
static const char *show_general(const GENERAL_NAME *name, char buf[NAME_ROOM])
{
	switch (name->type) {
	case GEN_DNS:
		return show(name->d.dNSName, buf);
	case GEN_IPADD:
		return show_address(name->d.iPAddress, buf);
	default:
		return NULL;
	}
}

/* The hosts that it is for: "a, b and 7 others"; "" if it names none. */
static const char *hosts_of(const X509 *certificate, char buf[NAMES_ROOM])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t len = 0;
	int n = 0;

	buf[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		char one[NAME_ROOM];

		if (!show_general(sk_GENERAL_NAME_value(names, i), one))
			continue;
		if (n++ < NAMES_TOLD)
			len += (size_t)snprintf(
				buf + len, NAMES_ROOM - len, "%s%s", n > 1 ? ", " : "", one);
	}
	if (n > NAMES_TOLD)
		snprintf(buf + len, NAMES_ROOM - len, " and %d others", n - NAMES_TOLD);
	GENERAL_NAMES_free(names);
	return buf;
}

/* What people call somebody with that name: the most particular part of it that is there. */
static const char *who_is(const X509_NAME *name, char buf[NAME_ROOM])
{
	static const int parts[] = {
		NID_commonName, NID_organizationalUnitName, NID_organizationName};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int at = X509_NAME_get_index_by_NID(name, parts[i], -1);
		const X509_NAME_ENTRY *entry = at < 0 ? NULL : X509_NAME_get_entry(name, at);
		unsigned char *text = NULL;
		int len;

		if (!entry)
			continue;
		len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
		if (len <= 0)
			continue;
		text_escape((const char *)text, (size_t)len, buf, NAME_ROOM);
		OPENSSL_free(text);
		return buf;
	}
	return "somebody without a name";
}

static const char *subject_of(const X509 *certificate, char buf[NAME_ROOM])
{
	return who_is(X509_get_subject_name(certificate), buf);
}

static const char *issuer_of(const X509 *certificate, char buf[NAME_ROOM])
{
	return who_is(X509_get_issuer_name(certificate), buf);
}

static const char *show_time(const ASN1_TIME *at, char buf[TIME_ROOM])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) != 1 ||
		strftime(buf, TIME_ROOM, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		return "an unknown time";
	return buf;
}

const char *tls_certificate_describe(const X509 *certificate, char *buf, size_t size)
{
	char hosts[NAMES_ROOM], subject[NAME_ROOM], issuer[NAME_ROOM], until[TIME_ROOM];

	hosts_of(certificate, hosts);
	snprintf(buf, size, "%s, signed by %s, valid until %s",
		hosts[0] ? hosts : subject_of(certificate, subject),
		issuer_of(certificate, issuer),
		show_time(X509_get0_notAfter(certificate), until));
	return buf;
}

/* ------------------------------------------------------------ what is wrong with one */

/* One in the making. */
struct doubt {
	const char *name, *ca; /* as of tls_certificate_doubt() */
	char *text;
	size_t size;
};

static void _printf_(2, 3) put(struct doubt *doubt, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(doubt->text, doubt->size, format, args);
	va_end(args);
}

static void doubt_name(struct doubt *doubt, const X509 *certificate)
{
	char hosts[NAMES_ROOM];

	if (hosts_of(certificate, hosts)[0] == '\0')
		put(doubt, "the certificate has no name of a host in it, and so is not for %s",
			doubt->name);
	else
		put(doubt, "the certificate is for %s, not for %s", hosts, doubt->name);
}

static void doubt_issuer(struct doubt *doubt, const X509 *certificate)
{
	char buf[NAME_ROOM];
	const char *issuer = issuer_of(certificate, buf);

	if (doubt->ca)
		put(doubt, "the certificate is signed by %s, which is not in %s", issuer,
			doubt->ca);
	else
		put(doubt,
			"the certificate is signed by %s, which is not trusted here; use "
			"--ca FILE if that is right",
			issuer);
}

static void doubt_self(struct doubt *doubt)
{
	if (doubt->ca)
		put(doubt, "the certificate is signed by itself, and is not in %s", doubt->ca);
	else
		put(doubt, "the certificate is signed by itself; use --ca FILE if that is "
			   "right");
}

/* Of the server's own, or of one of those that lead to somebody who is trusted. */
static void doubt_time(struct doubt *doubt, const X509 *certificate, int depth, bool is_over)
{
	char subject[NAME_ROOM], at[TIME_ROOM];
	const ASN1_TIME *when =
		is_over ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate);

	put(doubt, "the certificate%s%s %s %s%s", depth > 0 ? " of its signer " : "",
		depth > 0 ? subject_of(certificate, subject) : "",
		is_over ? "expired on" : "is valid only from", show_time(when, at),
		is_over ? "" : " on");
}

/* False: there are no better words than the library's. */
static bool doubt_known(
	struct doubt *doubt, const X509 *certificate, const X509_STORE_CTX *store)
{
	int depth = X509_STORE_CTX_get_error_depth(store);

	switch (X509_STORE_CTX_get_error(store)) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		doubt_self(doubt);
		return true;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		doubt_issuer(doubt, certificate);
		return true;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		doubt_name(doubt, certificate);
		return true;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		doubt_time(doubt, certificate, depth, true);
		return true;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		doubt_time(doubt, certificate, depth, false);
		return true;
	default:
		return false;
	}
}

void tls_certificate_doubt(
	X509_STORE_CTX *store, const char *name, const char *ca, char *buf, size_t size)
{
	struct doubt doubt = {.name = name, .ca = ca, .text = buf, .size = size};
	const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	int error = X509_STORE_CTX_get_error(store);

	if (!certificate || !doubt_known(&doubt, certificate, store))
		put(&doubt, "the certificate is not valid: %s",
			X509_verify_cert_error_string(error));
}
