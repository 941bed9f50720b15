#include "workers/tls/certificate.h"

#include "base/own.h"
#include "base/strv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

/* In one chain. */
#define CHAIN_MAX 16

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *to, int size, int writing, void *context)
{
	(void)to;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

static BIO *open_pem(const struct tls_bytes *pem)
{
	return BIO_new_mem_buf(pem->data, (int)pem->len);
}

/* ------------------------------------------------------------------ certificates */

/* What ends a list is that nothing begins any more. */
static bool is_at_end(void)
{
	unsigned long error = ERR_peek_last_error();

	return ERR_GET_LIB(error) == ERR_LIB_PEM &&
	       ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

static int read_all(BIO *bio, int max, STACK_OF(X509) * list)
{
	X509 *next;

	while ((next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		if (sk_X509_num(list) >= max || sk_X509_push(list, next) <= 0) {
			X509_free(next);
			return -EBADMSG;
		}
	}
	if (!is_at_end() || sk_X509_num(list) == 0)
		return -EBADMSG;
	ERR_clear_error();
	return 0;
}

int certificate_read_list(const struct tls_bytes *pem, int max, STACK_OF(X509) * *ret)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	BIO *bio = open_pem(pem);
	int r = list && bio ? read_all(bio, max, list) : -ENOMEM;

	BIO_free(bio);
	if (r == 0)
		*ret = list;
	else
		sk_X509_pop_free(list, X509_free);
	return r;
}

/* -------------------------------------------------------------------------- names */

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

/* One that no client can ask for is left out. */
static int add_name(char ***names, const ASN1_STRING *string)
{
	char name[HOSTNAME_ROOM];
	int len = ASN1_STRING_length(string);

	if (len <= 0 || len > HOSTNAME_MAX)
		return 0;
	memcpy(name, ASN1_STRING_get0_data(string), (size_t)len);
	name[len] = '\0';
	lower(name);
	if (strlen(name) != (size_t)len || !tls_is_pattern(name))
		return 0;
	return strv_add(names, name);
}

static int add_alternatives(char ***names, const GENERAL_NAMES *alternatives)
{
	int r = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(alternatives) && r == 0; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(alternatives, i);

		if (name->type == GEN_DNS)
			r = add_name(names, name->d.dNSName);
	}
	return r;
}

/* As it was before there were others (RFC 6125, 6.4.4). */
static int add_common_name(char ***names, X509 *leaf)
{
	const X509_NAME *subject = X509_get_subject_name(leaf);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0)
		return 0;
	return add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static int read_names(X509 *leaf, char ***ret)
{
	GENERAL_NAMES *alternatives = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	int r = add_alternatives(ret, alternatives);

	GENERAL_NAMES_free(alternatives);
	if (r == 0 && !*ret)
		r = add_common_name(ret, leaf);
	return r;
}

enum names_fit certificate_fit(const struct certificate *certificate, const char *name)
{
	enum names_fit best = NAMES_UNFIT;

	for (char **at = certificate->names; at && *at; at++) {
		enum names_fit fit = names_fit(*at, name);

		if (fit > best)
			best = fit;
	}
	return best;
}

/* --------------------------------------------------------------------- one of ours */

static int read_key(const struct tls_bytes *pem, EVP_PKEY **ret)
{
	BIO *bio = open_pem(pem);

	if (!bio)
		return -ENOMEM;
	*ret = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return *ret ? 0 : -EBADMSG;
}

int certificate_read(const struct tls_certificate *pem, struct certificate *ret)
{
	struct certificate made = {0};
	int r = certificate_read_list(&pem->chain, CHAIN_MAX, &made.chain);

	if (r == 0)
		made.leaf = sk_X509_shift(made.chain);
	if (r == 0)
		r = read_key(&pem->key, &made.key);
	if (r == 0 && X509_check_private_key(made.leaf, made.key) != 1)
		r = -EBADMSG;
	if (r == 0)
		r = read_names(made.leaf, &made.names);
	if (r == 0)
		*ret = made;
	else
		certificate_done(&made);
	return r;
}

void certificate_done(struct certificate *certificate)
{
	X509_free(certificate->leaf);
	sk_X509_pop_free(certificate->chain, X509_free);
	EVP_PKEY_free(certificate->key);
	strv_free(certificate->names);
	*certificate = (struct certificate){0};
}
