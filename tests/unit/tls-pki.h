/*
 * tls-pki: certificates for tests, made when they are needed, so that none ever expires but
 * those that are to.
 */
#ifndef HATCHD_TESTS_TLS_PKI_H
#define HATCHD_TESTS_TLS_PKI_H

#include "base/own.h"
#include "base/tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PKI_DAY (24L * 60 * 60)

struct pki {
	X509 *certificate;
	EVP_PKEY *key;
};

struct pki_spec {
	const char *common_name;  /* NULL: the subject is empty */
	const char *alternatives; /* as of openssl's "subjectAltName"; NULL: none */
	const struct pki *issuer; /* NULL: itself */
	bool is_authority;
	bool is_expired;
	bool is_of_server; /* its purpose is no client's */
	bool is_rsa;
	X509_EXTENSION *extension; /* one more; borrowed */
	EVP_PKEY *key;             /* becomes its; NULL: a new one is made */
};

static inline void pki_add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static inline void pki_fill_in(X509 *certificate, const struct pki_spec *spec)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	static long serial;

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -20 * PKI_DAY);
	X509_gmtime_adj(
		X509_getm_notAfter(certificate), spec->is_expired ? -PKI_DAY : 20 * PKI_DAY);
	if (spec->common_name)
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
			(const unsigned char *)spec->common_name, -1, -1, 0);
	if (spec->is_authority)
		pki_add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
	if (spec->is_of_server)
		pki_add_extension(certificate, NID_ext_key_usage, "serverAuth");
	if (spec->alternatives)
		pki_add_extension(certificate, NID_subject_alt_name, spec->alternatives);
	if (spec->extension)
		assert_int_equal(X509_add_ext(certificate, spec->extension, -1), 1);
}

static inline struct pki pki_make(struct pki_spec spec)
{
	struct pki made = {.certificate = X509_new()};
	const struct pki *issuer = spec.issuer ? spec.issuer : &made;

	if (spec.key)
		made.key = spec.key;
	else
		made.key = spec.is_rsa ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
		                       : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	assert_non_null(made.key);
	pki_fill_in(made.certificate, &spec);
	X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer->certificate));
	assert_int_equal(X509_set_pubkey(made.certificate, made.key), 1);
	assert_true(X509_sign(made.certificate, issuer->key, EVP_sha256()) > 0);
	return made;
}

#define PKI(...) pki_make((struct pki_spec){__VA_ARGS__})

static inline void pki_free(struct pki *pki)
{
	X509_free(pki->certificate);
	EVP_PKEY_free(pki->key);
	*pki = (struct pki){0};
}

static inline struct tls_bytes pki_take(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	uint8_t *copy = malloc((size_t)len);

	assert_non_null(copy);
	memcpy(copy, data, (size_t)len);
	BIO_free(bio);
	return (struct tls_bytes){.data = copy, .len = (size_t)len};
}

/* In PEM; to be freed by pki_free_bytes(). */
static inline struct tls_bytes pki_chain(const struct pki *pki)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509(bio, pki->certificate), 1);
	return pki_take(bio);
}

static inline struct tls_bytes pki_key(const struct pki *pki)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PrivateKey(bio, pki->key, NULL, NULL, 0, NULL, NULL), 1);
	return pki_take(bio);
}

static inline void pki_free_bytes(struct tls_bytes *bytes)
{
	free((void *)bytes->data);
	*bytes = (struct tls_bytes){0};
}

#endif
