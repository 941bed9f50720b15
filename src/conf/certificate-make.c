/*
 * certificate-make: certificates that are signed by nobody but themselves.
 */
#include "base/openssl.h"
#include "conf/certificate-name.h"
#include "conf/certificate.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* X.520: a common name has no more letters. */
#define COMMON_NAME_MAX 64

#define DAY 86400

/* RFC 5280, 4.1.2.2: 20 bytes at most; so many bits nobody has had before. */
#define SERIAL_BITS 120

static void own_x509(X509 **x)
{
	X509_free(*x);
}
#define _cleanup_x509_ _cleanup_(own_x509)

static void own_pkey(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}
#define _cleanup_pkey_ _cleanup_(own_pkey)

static void own_bio(BIO **bio)
{
	BIO_free_all(*bio);
}
#define _cleanup_bio_ _cleanup_(own_bio)

/* Letters of a name cannot end it in the language that the library reads them in. */
static int write_names(char *const *names, char **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int r = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; names[i] && r == 0; i++) {
		char name[CERTIFICATE_NAME_ROOM];

		r = certificate_read_name(names[i], name);
		if (r == 0)
			fprintf(out, "%s%s:%s", i > 0 ? "," : "",
				certificate_is_address(name) ? "IP" : "DNS", name);
	}
	if (fclose(out) != 0 && r == 0)
		r = -ENOMEM;
	if (r == 0)
		*ret = take_ptr(text);
	return r;
}

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool done;

	X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	done = extension && X509_add_ext(x, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return done;
}

static bool add_serial(X509 *x)
{
	BIGNUM *number = BN_new();
	bool done = number &&
	            BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
	            BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));

	BN_free(number);
	return done;
}

/* Everybody looks at the names below; this one is for people. */
static bool add_subject(X509 *x, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(x);

	if (strlen(name) <= COMMON_NAME_MAX &&
		X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
			(const unsigned char *)name, -1, -1, 0) != 1)
		return false;
	return X509_set_issuer_name(x, subject) == 1;
}

static bool add_dates(X509 *x, int64_t now, unsigned days)
{
	return ASN1_TIME_set(X509_getm_notBefore(x), (time_t)now) &&
	       ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(now + (int64_t)days * DAY));
}

static bool fill(X509 *x, EVP_PKEY *key, char *const *names, const char *alternatives,
	int64_t now, unsigned days)
{
	return X509_set_version(x, X509_VERSION_3) == 1 && add_serial(x) &&
	       add_dates(x, now, days) && add_subject(x, names[0]) &&
	       X509_set_pubkey(x, key) == 1 &&
	       add_extension(x, NID_subject_alt_name, alternatives) &&
	       add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x, NID_ext_key_usage, "serverAuth") &&
	       add_extension(x, NID_subject_key_identifier, "hash") &&
	       X509_sign(x, key, EVP_sha256()) > 0;
}

static int write_both(X509 *x, const EVP_PKEY *key, char **ret, size_t *ret_len)
{
	_cleanup_bio_ BIO *bio = BIO_new(BIO_s_secmem());
	char *data;
	long len;

	if (!bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1 ||
		PEM_write_bio_X509(bio, x) != 1)
		return -ENOMEM;
	len = BIO_get_mem_data(bio, &data);
	*ret = malloc((size_t)len);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, data, (size_t)len);
	*ret_len = (size_t)len;
	return 0;
}

int certificate_make(
	char *const *names, int64_t now, unsigned days, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *alternatives = NULL;
	_cleanup_pkey_ EVP_PKEY *key = NULL;
	_cleanup_x509_ X509 *x = NULL;
	int r;

	r = names[0] ? write_names(names, &alternatives) : -EINVAL;
	if (r < 0)
		return r;
	r = openssl_begin();
	if (r < 0)
		return r;
	key = EVP_EC_gen("P-256");
	x = X509_new();
	if (!key || !x || !fill(x, key, names, alternatives, now, days)) {
		ERR_clear_error();
		return -ENOMEM;
	}
	return write_both(x, key, ret, ret_len);
}
