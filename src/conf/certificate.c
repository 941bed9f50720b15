#include "conf/certificate.h"

#include "base/openssl.h"
#include "base/own.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct certificate {
	X509 *leaf;
	STACK_OF(X509) * rest;
	EVP_PKEY *key;
	char *chain_pem, *key_pem;
	size_t chain_len, key_len;
};

static void own_bio(BIO **bio)
{
	BIO_free_all(*bio);
}
#define _cleanup_bio_ _cleanup_(own_bio)

static void own_x509(X509 **x)
{
	X509_free(*x);
}
#define _cleanup_x509_ _cleanup_(own_x509)

static void own_ssl_ctx(SSL_CTX **ctx)
{
	SSL_CTX_free(*ctx);
}
#define _cleanup_ssl_ctx_ _cleanup_(own_ssl_ctx)

static bool begin(void)
{
	ERR_clear_error();
	return openssl_begin() == 0;
}

static BIO *open_bytes(const struct tls_bytes *bytes)
{
	return BIO_new_mem_buf(bytes->data, (int)bytes->len);
}

/* Why the library has refused something, in its own words; the last is about most of it. */
static const char *library_says(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "it does not say why";
}

static bool out_of_memory(void)
{
	return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
}

/* The next certificate; NULL at the end, or where it is broken, which the queue tells. */
static X509 *next_certificate(BIO *bio)
{
	return PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

static bool at_the_end(void)
{
	unsigned long error = ERR_peek_last_error();
	bool end = ERR_GET_LIB(error) == ERR_LIB_PEM &&
	           ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

	if (end)
		ERR_clear_error();
	return end;
}

/* ----------------------------------------------------------------------- reading */

static int fail(char why[CERTIFICATE_WHY_MAX], const char *text)
{
	if (out_of_memory())
		return -ENOMEM;
	snprintf(why, CERTIFICATE_WHY_MAX, "%s", text);
	return -EINVAL;
}

static int read_chain(
	struct certificate *c, const struct tls_bytes *bytes, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_bio_ BIO *bio = open_bytes(bytes);
	X509 *x;

	c->rest = sk_X509_new_null();
	if (!bio || !c->rest)
		return -ENOMEM;
	while ((x = next_certificate(bio))) {
		if (!c->leaf) {
			c->leaf = x;
		} else if (sk_X509_push(c->rest, x) == 0) {
			X509_free(x);
			return -ENOMEM;
		}
	}
	if (!at_the_end())
		return fail(why, c->leaf ? "has a certificate behind the first that is broken"
					 : "has a certificate that is broken");
	return c->leaf ? 0 : fail(why, "has no certificate in it");
}

/* Nobody is there who could be asked. */
static int refuse_password(char *buf, int size, int writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

/* What the library says where there is none differs by what else is in there. */
static bool has_key(const struct tls_bytes *bytes)
{
	static const char mark[] = "PRIVATE KEY-----";

	return memmem(bytes->data, bytes->len, mark, sizeof mark - 1);
}

static int read_key(
	struct certificate *c, const struct tls_bytes *bytes, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_bio_ BIO *bio = open_bytes(bytes);
	bool asked = false;

	if (!bio)
		return -ENOMEM;
	if (!has_key(bytes))
		return fail(why, "has no key in it");
	c->key = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &asked);
	if (c->key)
		return 0;
	if (asked)
		return fail(why, "has a key that is encrypted, and nobody is there to be asked "
				 "for the password; write it without one by openssl pkey");
	return fail(why, "has a key that is broken");
}

/* The certificate that it would fit, counted from 1; 0: none. */
static int find_fitting(const struct certificate *c)
{
	for (int i = 0; i < sk_X509_num(c->rest); i++)
		if (X509_check_private_key(sk_X509_value(c->rest, i), c->key) == 1)
			return i + 2;
	return 0;
}

static int check_fit(const struct certificate *c, char why[CERTIFICATE_WHY_MAX])
{
	int fitting;

	if (X509_check_private_key(c->leaf, c->key) == 1)
		return 0;
	if (out_of_memory())
		return -ENOMEM;
	fitting = find_fitting(c);
	ERR_clear_error();
	if (fitting > 0)
		snprintf(why, CERTIFICATE_WHY_MAX,
			"has a key that is for number %d of the certificates; the server's own "
			"has to be the first",
			fitting);
	else
		snprintf(why, CERTIFICATE_WHY_MAX, "has a key that is not for the certificate");
	return -EINVAL;
}

/* ------------------------------------------------------------------ writing it anew */

/* What a BIO of memory has gathered, in memory of our own; it wipes its own. */
static int take_text(BIO *bio, char **ret, size_t *ret_len)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	char *copy;

	if (len <= 0)
		return -ENOMEM;
	copy = malloc((size_t)len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, (size_t)len);
	*ret = copy;
	*ret_len = (size_t)len;
	return 0;
}

static int write_chain(struct certificate *c)
{
	_cleanup_bio_ BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_X509(bio, c->leaf) != 1)
		return -ENOMEM;
	for (int i = 0; i < sk_X509_num(c->rest); i++)
		if (PEM_write_bio_X509(bio, sk_X509_value(c->rest, i)) != 1)
			return -ENOMEM;
	return take_text(bio, &c->chain_pem, &c->chain_len);
}

static int write_key(const EVP_PKEY *key, char **ret, size_t *ret_len)
{
	_cleanup_bio_ BIO *bio = BIO_new(BIO_s_secmem());

	if (!bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return -ENOMEM;
	return take_text(bio, ret, ret_len);
}

static int check_sizes(
	const struct certificate *c, bool *ret_of_key, char why[CERTIFICATE_WHY_MAX])
{
	*ret_of_key = c->key_len > TLS_KEY_MAX;
	if (c->chain_len <= TLS_CHAIN_MAX && c->key_len <= TLS_KEY_MAX)
		return 0;
	snprintf(why, CERTIFICATE_WHY_MAX, "has more than 64K of %s, the most there is",
		*ret_of_key ? "a key" : "certificates");
	return -EINVAL;
}

static int read_all(struct certificate *c, const struct tls_bytes *chain,
	const struct tls_bytes *key, bool *ret_of_key, char why[CERTIFICATE_WHY_MAX])
{
	int r;

	*ret_of_key = false;
	r = read_chain(c, chain, why);
	if (r < 0)
		return r;
	*ret_of_key = true;
	r = read_key(c, key, why);
	if (r == 0)
		r = check_fit(c, why);
	if (r == 0)
		r = write_chain(c);
	if (r == 0)
		r = write_key(c->key, &c->key_pem, &c->key_len);
	return r < 0 ? r : check_sizes(c, ret_of_key, why);
}

int certificate_read(const struct tls_bytes *chain, const struct tls_bytes *key,
	struct certificate **ret, bool *ret_of_key, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_certificate_ struct certificate *c = calloc(1, sizeof *c);
	int r;

	if (!c || !begin())
		return -ENOMEM;
	r = read_all(c, chain, key, ret_of_key, why);
	if (r == 0)
		*ret = take_ptr(c);
	return r;
}

struct certificate *certificate_free(struct certificate *c)
{
	if (!c)
		return NULL;
	X509_free(c->leaf);
	sk_X509_pop_free(c->rest, X509_free);
	EVP_PKEY_free(c->key);
	free(c->chain_pem);
	if (c->key_pem)
		OPENSSL_cleanse(c->key_pem, c->key_len);
	free(c->key_pem);
	free(c);
	return NULL;
}

struct tls_certificate certificate_pem(const struct certificate *c)
{
	return (struct tls_certificate){
		.chain = {(const uint8_t *)c->chain_pem, c->chain_len},
		.key = {(const uint8_t *)c->key_pem, c->key_len},
	};
}

/* ----------------------------------------------------------------------- judging */

static int64_t seconds(const ASN1_TIME *at)
{
	struct tm tm;

	return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int64_t certificate_begins(const struct certificate *c)
{
	return seconds(X509_get0_notBefore(c->leaf));
}

int64_t certificate_ends(const struct certificate *c)
{
	int64_t first = seconds(X509_get0_notAfter(c->leaf));

	for (int i = 0; i < sk_X509_num(c->rest); i++) {
		int64_t end = seconds(X509_get0_notAfter(sk_X509_value(c->rest, i)));

		if (end < first)
			first = end;
	}
	return first;
}

bool certificate_in_order(const struct certificate *c)
{
	X509 *subject = c->leaf;

	for (int i = 0; i < sk_X509_num(c->rest); i++) {
		X509 *issuer = sk_X509_value(c->rest, i);

		if (X509_check_issued(issuer, subject) != X509_V_OK)
			return false;
		subject = issuer;
	}
	return true;
}

/* A pattern is covered by itself, or by nothing less: any label will do to ask. */
bool certificate_covers(const struct certificate *c, const char *pattern)
{
	char name[HOSTNAME_ROOM + 1];

	if (pattern[0] != '*')
		return X509_check_host(c->leaf, pattern, 0, 0, NULL) == 1;
	snprintf(name, sizeof name, "x%s", pattern + 1);
	return X509_check_host(c->leaf, name, 0, 0, NULL) == 1;
}

ssize_t certificate_count(const struct tls_bytes *ca, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_bio_ BIO *bio = begin() ? open_bytes(ca) : NULL;
	ssize_t n = 0;
	X509 *x;

	if (!bio)
		return -ENOMEM;
	while ((x = next_certificate(bio))) {
		X509_free(x);
		n++;
	}
	if (at_the_end() && n > 0)
		return n;
	if (out_of_memory())
		return -ENOMEM;
	snprintf(why, CERTIFICATE_WHY_MAX, "%s",
		n > 0 || ERR_peek_error() ? "has a certificate that is broken"
					  : "has no certificate in it");
	ERR_clear_error();
	return 0;
}

/* ------------------------------------------------------------------------ trying */

static int refused(enum certificate_refused what, char why[CERTIFICATE_WHY_MAX])
{
	if (out_of_memory())
		return -ENOMEM;
	snprintf(why, CERTIFICATE_WHY_MAX, "%s", library_says());
	ERR_clear_error();
	return (int)what;
}

static int use_chain(SSL_CTX *ctx, const struct tls_bytes *chain)
{
	_cleanup_bio_ BIO *bio = open_bytes(chain);
	_cleanup_x509_ X509 *leaf = bio ? next_certificate(bio) : NULL;
	X509 *x;

	if (!leaf || SSL_CTX_use_certificate(ctx, leaf) != 1 ||
		SSL_CTX_clear_chain_certs(ctx) != 1)
		return -EINVAL;
	while ((x = next_certificate(bio))) {
		if (SSL_CTX_add0_chain_cert(ctx, x) == 1)
			continue;
		X509_free(x);
		return -EINVAL;
	}
	return at_the_end() ? 0 : -EINVAL;
}

/* What may be too weak is judged by the level of security that the ciphers say. */
static int try_certificates(SSL_CTX *ctx, const struct tls_setup *setup, size_t *ret_which,
	char why[CERTIFICATE_WHY_MAX])
{
	for (size_t i = 0; i < setup->n_certificates; i++) {
		*ret_which = i;
		ERR_clear_error();
		if (use_chain(ctx, &setup->certificates[i].chain) < 0)
			return refused(REFUSED_CERTIFICATE, why);
	}
	return REFUSED_NOTHING;
}

int certificate_try(
	const struct tls_setup *setup, size_t *ret_which, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_ssl_ctx_ SSL_CTX *ctx = begin() ? SSL_CTX_new(TLS_server_method()) : NULL;

	if (!ctx)
		return -ENOMEM;
	if (setup->ciphers && SSL_CTX_set_cipher_list(ctx, setup->ciphers) != 1)
		return refused(REFUSED_CIPHERS, why);
	if (setup->ciphersuites && SSL_CTX_set_ciphersuites(ctx, setup->ciphersuites) != 1)
		return refused(REFUSED_CIPHERSUITES, why);
	return try_certificates(ctx, setup, ret_which, why);
}

int certificate_digest(const void *data, size_t len, uint8_t ret[CERTIFICATE_DIGEST_LEN])
{
	if (!begin() || EVP_Digest(data, len, ret, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	return 0;
}
