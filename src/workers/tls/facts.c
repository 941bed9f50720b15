#include "workers/tls/facts.h"

#include "base/own.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* All but subject and names. */
#define REST_MAX 1000

_Static_assert(FACTS_DN_MAX + FACTS_SAN_MAX + REST_MAX <= CHANNEL_FACTS_BYTES_MAX, "no room");

/* ------------------------------------------------------------------------- one fact */

/* Names and values are bounded, and there is room for all of them: test-tls-facts. */
static void add(struct facts *facts, const char *name, const char *value)
{
	size_t room = sizeof facts->bytes - facts->len;
	int len = snprintf(facts->bytes + facts->len, room, "%s=%s", name, value);

	assert(len > 0 && (size_t)len < room);
	facts->len += (size_t)len + 1;
}

static void replace_odd(char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		uint32_t code;
		size_t n = text_utf8(text, left, &code);

		if (n == 0 || text_is_control(code)) {
			n = n == 0 ? 1 : n;
			memset(text, '?', n);
		}
		text += n;
		left -= n;
	}
}

/* ------------------------------------------------------------------------- names */

/* A value in the making; too long, or not to be told at all: `failed`. */
struct line {
	char text[FACTS_SAN_MAX + 1];
	size_t len;
	bool failed;
};

static void put(struct line *line, const char *text, size_t len)
{
	if (line->failed || len > sizeof line->text - 1 - line->len) {
		line->failed = true;
		return;
	}
	memcpy(line->text + line->len, text, len);
	line->len += len;
	line->text[line->len] = '\0';
}

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != ',' && c != '\\';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void put_escaped(struct line *line, const ASN1_STRING *string, bool lowered)
{
	const unsigned char *bytes = ASN1_STRING_get0_data(string);
	int len = ASN1_STRING_length(string);
	char piece[8];

	if (len <= 0 || memchr(bytes, '\0', (size_t)len)) {
		line->failed = true;
		return;
	}
	for (int i = 0; i < len && !line->failed; i++) {
		piece[0] = lowered ? lower((char)bytes[i]) : (char)bytes[i];
		if (is_plain(bytes[i]))
			put(line, piece, 1);
		else
			put(line, piece,
				(size_t)snprintf(piece, sizeof piece, "\\x%02x", bytes[i]));
	}
}

static void put_address(struct line *line, const ASN1_OCTET_STRING *address)
{
	int len = ASN1_STRING_length(address), family = len == 4 ? AF_INET : AF_INET6;
	char text[INET6_ADDRSTRLEN];

	if ((len != 4 && len != 16) ||
		!inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text)) {
		line->failed = true;
		return;
	}
	put(line, text, strlen(text));
}

static const char *kind_of(const GENERAL_NAME *name)
{
	switch (name->type) {
	case GEN_DNS:
		return "DNS:";
	case GEN_EMAIL:
		return "email:";
	case GEN_IPADD:
		return "IP:";
	case GEN_URI:
		return "URI:";
	default:
		return NULL;
	}
}

static void put_name(struct line *line, const GENERAL_NAME *name)
{
	const char *kind = kind_of(name);

	if (!kind)
		return;
	if (line->len > 0)
		put(line, ", ", 2);
	put(line, kind, strlen(kind));
	if (name->type == GEN_IPADD)
		put_address(line, name->d.iPAddress);
	else
		put_escaped(line, name->d.ia5, name->type == GEN_DNS);
}

/* False: it has names, and they cannot be told. */
static bool add_names(X509 *certificate, struct facts *facts)
{
	struct line line = {.len = 0};
	int how;
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &how, NULL);

	/* There is one, or none; else it is broken, or there are two. */
	if (!names)
		return how == -1;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !line.failed; i++)
		put_name(&line, sk_GENERAL_NAME_value(names, i));
	GENERAL_NAMES_free(names);
	if (!line.failed && line.len > 0)
		add(facts, "SSL_CLIENT_SAN", line.text);
	return !line.failed;
}

/* ----------------------------------------------------------------------- the subject */

/* As RFC 2253 has it, which escapes what has a meaning there, and controls. */
static bool write_subject(BIO *bio, X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	unsigned long how = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;

	return X509_NAME_entry_count(subject) == 0 ||
	       X509_NAME_print_ex(bio, subject, 0, how) >= 0;
}

static bool add_subject(X509 *certificate, struct facts *facts)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char text[FACTS_DN_MAX + 1];
	char *bytes;
	long len = -1;
	bool told;

	if (bio && write_subject(bio, certificate))
		len = BIO_get_mem_data(bio, &bytes);
	told = len == 0 ||
	       (len > 0 && len <= FACTS_DN_MAX && !memchr(bytes, '\0', (size_t)len));
	if (told && len > 0) {
		memcpy(text, bytes, (size_t)len);
		text[len] = '\0';
		replace_odd(text);
		add(facts, "SSL_CLIENT_S_DN", text);
	}
	BIO_free(bio);
	return told;
}

/* ------------------------------------------------------------------- a certificate */

static void add_hash(X509 *certificate, struct facts *facts)
{
	char text[sizeof "SHA256:" + 2 * SHA256_DIGEST_LENGTH] = "SHA256:";
	unsigned char digest[EVP_MAX_MD_SIZE];
	char *at = text + strlen(text);
	unsigned len;

	if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1 ||
		len != SHA256_DIGEST_LENGTH)
		return;
	for (unsigned i = 0; i < len; i++)
		at += snprintf(at, 3, "%02x", digest[i]);
	add(facts, "SSL_PEER_CERT_HASH", text);
}

void facts_of_certificate(X509 *certificate, bool is_certified, struct facts *ret)
{
	static const char *const omitted[] = {"S_DN SAN", "SAN", "S_DN", NULL};
	bool subject, names;

	add_hash(certificate, ret);
	if (!is_certified)
		return;
	subject = add_subject(certificate, ret);
	names = add_names(certificate, ret);
	if (!subject || !names)
		add(ret, "SSL_CLIENT_OMITTED", omitted[(subject ? 1 : 0) + (names ? 2 : 0)]);
	ERR_clear_error();
}

/* ------------------------------------------------------------------------ a client */

static void add_protocol(const SSL *ssl, struct facts *facts)
{
	char text[256];
	const unsigned char *chosen;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &chosen, &len);
	if (len == 0 || len >= sizeof text)
		return;
	memcpy(text, chosen, len);
	text[len] = '\0';
	replace_odd(text);
	add(facts, "SSL_ALPN", text);
}

static void add_verdict(long fault, bool has_certificate, struct facts *facts)
{
	char text[128];

	if (!has_certificate || fault == X509_V_OK) {
		add(facts, "SSL_CLIENT_VERIFY", has_certificate ? "SUCCESS" : "NONE");
		return;
	}
	snprintf(text, sizeof text, "FAILED:%s", X509_verify_cert_error_string(fault));
	replace_odd(text);
	add(facts, "SSL_CLIENT_VERIFY", text);
}

void facts_of_client(const SSL *ssl, const char *name, struct facts *ret)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	long fault = SSL_get_verify_result(ssl);

	ret->len = 0;
	add(ret, "SSL_PROTOCOL", SSL_get_version(ssl));
	add(ret, "SSL_CIPHER", SSL_get_cipher_name(ssl));
	if (name[0])
		add(ret, "SSL_TLS_SNI_SERVERNAME", name);
	add_protocol(ssl, ret);
	add_verdict(fault, certificate != NULL, ret);
	if (certificate)
		facts_of_certificate(certificate, fault == X509_V_OK, ret);
}
