/* facts: what a certificate says is told so that nobody can be fooled by it. */
#include "tls-pki.h"

#include "workers/tls/facts.h"

#include <openssl/err.h>

/* All other facts of a client at their longest. */
#define OTHERS_MAX 800

static struct facts told;

static const char *fact(const char *name)
{
	size_t len = strlen(name);

	for (size_t at = 0; at < told.len; at += strlen(told.bytes + at) + 1)
		if (strncmp(told.bytes + at, name, len) == 0 && told.bytes[at + len] == '=')
			return told.bytes + at + len + 1;
	return NULL;
}

static void fact_is(const char *name, const char *value)
{
	const char *found = fact(name);

	assert_int_equal(!found, !value);
	if (value)
		assert_string_equal(found, value);
}

static void tell(struct pki_spec spec)
{
	struct pki made = pki_make(spec);

	told.len = 0;
	facts_of_certificate(made.certificate, true, &told);
	assert_int_equal(ERR_peek_error(), 0);
	pki_free(&made);
}

#define TELL(...) tell((struct pki_spec){__VA_ARGS__})

/* --------------------------------------------------------------------------- names */

static void test_names_of_all_kinds(void **state)
{
	(void)state;
	TELL(.common_name = "x",
		.alternatives = "DNS:Git.Example.org,email:Alice@example.org,IP:192.0.2.1,"
				"IP:2001:db8::1,URI:spiffe://example.org/a,RID:1.2.3.4");
	fact_is("SSL_CLIENT_SAN", "DNS:git.example.org, email:Alice@example.org, IP:192.0.2.1, "
				  "IP:2001:db8::1, URI:spiffe://example.org/a");
	fact_is("SSL_CLIENT_OMITTED", NULL);
}

static void test_no_names(void **state)
{
	(void)state;
	TELL(.common_name = "x");
	fact_is("SSL_CLIENT_SAN", NULL);
	fact_is("SSL_CLIENT_OMITTED", NULL);
	TELL(.common_name = "x", .alternatives = "RID:1.2.3.4");
	fact_is("SSL_CLIENT_SAN", NULL);
	fact_is("SSL_CLIENT_OMITTED", NULL);
}

static X509_EXTENSION *names_of(GENERAL_NAMES *names)
{
	X509_EXTENSION *made = X509V3_EXT_i2d(NID_subject_alt_name, 0, names);

	GENERAL_NAMES_free(names);
	assert_non_null(made);
	return made;
}

/* Any bytes, of any kind. */
static void add_name(GENERAL_NAMES *names, int type, const void *bytes, size_t len)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *string =
		type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	assert_int_equal(ASN1_STRING_set(string, bytes, (int)len), 1);
	GENERAL_NAME_set0_value(name, type, string);
	sk_GENERAL_NAME_push(names, name);
}

static void tell_name(int type, const void *bytes, size_t len)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	X509_EXTENSION *extension;

	add_name(names, GEN_DNS, "good.example.org", 16);
	add_name(names, type, bytes, len);
	extension = names_of(names);
	TELL(.common_name = "x", .extension = extension);
	X509_EXTENSION_free(extension);
}

#define TELL_NAME(type, text) tell_name(type, text, sizeof(text) - 1)

static void test_a_name_in_a_name(void **state)
{
	(void)state;
	TELL_NAME(GEN_DNS, "a, DNS:admin");
	fact_is("SSL_CLIENT_SAN", "DNS:good.example.org, DNS:a\\x2c\\x20dns:admin");
	TELL_NAME(GEN_EMAIL, "a,email:b");
	fact_is("SSL_CLIENT_SAN", "DNS:good.example.org, email:a\\x2cemail:b");
	TELL_NAME(GEN_URI, "x\ny\t\\x2c\x7f\xc3\xbc");
	fact_is("SSL_CLIENT_SAN",
		"DNS:good.example.org, URI:x\\x0ay\\x09\\x5cx2c\\x7f\\xc3\\xbc");
}

/* One that cannot be told is a reason to tell none. */
static void test_names_that_cannot_be_told(void **state)
{
	static const int types[] = {GEN_DNS, GEN_EMAIL, GEN_URI};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		TELL_NAME(types[i], "admin.example.org\0.example.net");
		fact_is("SSL_CLIENT_SAN", NULL);
		fact_is("SSL_CLIENT_OMITTED", "SAN");
		TELL_NAME(types[i], "");
		fact_is("SSL_CLIENT_SAN", NULL);
		fact_is("SSL_CLIENT_OMITTED", "SAN");
	}
	TELL_NAME(GEN_IPADD, "12345");
	fact_is("SSL_CLIENT_SAN", NULL);
	fact_is("SSL_CLIENT_OMITTED", "SAN");
	assert_non_null(fact("SSL_CLIENT_S_DN"));
}

static void test_names_twice(void **state)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	X509_EXTENSION *extension;

	(void)state;
	add_name(names, GEN_DNS, "other.example.org", 17);
	extension = names_of(names);
	TELL(.common_name = "x", .alternatives = "DNS:a", .extension = extension);
	X509_EXTENSION_free(extension);
	fact_is("SSL_CLIENT_SAN", NULL);
	fact_is("SSL_CLIENT_OMITTED", "SAN");
}

static void test_names_that_are_broken(void **state)
{
	ASN1_OCTET_STRING *bytes = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	(void)state;
	ASN1_OCTET_STRING_set(bytes, (const unsigned char *)"broken", 6);
	extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, bytes);
	TELL(.common_name = "x", .extension = extension);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(bytes);
	fact_is("SSL_CLIENT_SAN", NULL);
	fact_is("SSL_CLIENT_OMITTED", "SAN");
}

/* ------------------------------------------------------------------------- the subject */

static void test_a_subject(void **state)
{
	(void)state;
	TELL(.common_name = "alice");
	fact_is("SSL_CLIENT_S_DN", "CN=alice");
	TELL(.common_name = "a,CN=admin+x");
	fact_is("SSL_CLIENT_S_DN", "CN=a\\,CN=admin\\+x");
	TELL(.common_name = "J\xc3\xbcrgen");
	fact_is("SSL_CLIENT_S_DN", "CN=J\xc3\xbcrgen");
	TELL(.common_name = "a\nb\x1b[1m");
	fact_is("SSL_CLIENT_S_DN", "CN=a\\0Ab\\1B[1m");
	/* Terminals obey those as well, and RFC 2253 lets them be. */
	TELL(.common_name = "a\xc2\x9b"
			    "1m");
	fact_is("SSL_CLIENT_S_DN", "CN=a??1m");
	TELL(.common_name = NULL);
	fact_is("SSL_CLIENT_S_DN", NULL);
	fact_is("SSL_CLIENT_OMITTED", NULL);
}

static void test_a_nul_in_the_subject(void **state)
{
	struct pki made = PKI(.common_name = NULL);

	(void)state;
	assert_int_equal(
		X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "CN",
			MBSTRING_UTF8, (const unsigned char *)"admin\0x", 7, -1, 0),
		1);
	told.len = 0;
	facts_of_certificate(made.certificate, true, &told);
	pki_free(&made);
	fact_is("SSL_CLIENT_S_DN", "CN=admin\\00x");
}

/* ---------------------------------------------------------------------------- bounds */

static const char *alternatives_of(size_t len)
{
	static char text[FACTS_SAN_MAX + 64];

	strcpy(text, "URI:");
	memset(text + 4, 'a', len - 4);
	text[len] = '\0';
	return text;
}

/* Of 64 letters each, which is the most that some of them may have. */
static struct pki with_subject_of(size_t len, const char *alternatives)
{
	struct pki made = PKI(.common_name = NULL, .alternatives = alternatives);
	X509_NAME *name = X509_get_subject_name(made.certificate);
	char letters[65];

	memset(letters, 'n', sizeof letters);
	for (size_t sum = 0; sum < len;) {
		size_t more = len - sum - (sum > 0 ? 4 : 3);

		/* None of them is too short to be one. */
		if (more > 64)
			more = more < 70 ? 32 : 64;
		letters[more] = '\0';
		assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					 (unsigned char *)letters, -1, -1, 0),
			1);
		letters[more] = 'n';
		sum += more + (sum > 0 ? 4 : 3);
	}
	return made;
}

static void test_bounds(void **state)
{
	static const struct {
		size_t subject, names;
		const char *omitted;
	} cases[] = {
		{FACTS_DN_MAX, FACTS_SAN_MAX, NULL},
		{FACTS_DN_MAX + 1, FACTS_SAN_MAX, "S_DN"},
		{FACTS_DN_MAX, FACTS_SAN_MAX + 1, "SAN"},
		{FACTS_DN_MAX + 1, FACTS_SAN_MAX + 1, "S_DN SAN"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pki made =
			with_subject_of(cases[i].subject, alternatives_of(cases[i].names));

		/* There is room for them behind all others. */
		memset(told.bytes, 'x', OTHERS_MAX);
		told.bytes[OTHERS_MAX - 1] = '\0';
		told.len = OTHERS_MAX;
		facts_of_certificate(made.certificate, true, &told);
		pki_free(&made);
		fact_is("SSL_CLIENT_OMITTED", cases[i].omitted);
		if (cases[i].subject > FACTS_DN_MAX)
			fact_is("SSL_CLIENT_S_DN", NULL);
		else
			assert_int_equal(strlen(fact("SSL_CLIENT_S_DN")), FACTS_DN_MAX);
		if (cases[i].names > FACTS_SAN_MAX)
			fact_is("SSL_CLIENT_SAN", NULL);
		else
			assert_int_equal(strlen(fact("SSL_CLIENT_SAN")), FACTS_SAN_MAX);
	}
}

/* Nobody has looked whether it is true. */
static void test_not_certified(void **state)
{
	struct pki made = PKI(.common_name = "admin", .alternatives = "DNS:admin");

	(void)state;
	told.len = 0;
	facts_of_certificate(made.certificate, false, &told);
	pki_free(&made);
	assert_int_equal(strlen(fact("SSL_PEER_CERT_HASH")), 7 + 64);
	fact_is("SSL_CLIENT_S_DN", NULL);
	fact_is("SSL_CLIENT_SAN", NULL);
	fact_is("SSL_CLIENT_OMITTED", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_all_kinds),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_a_name_in_a_name),
		cmocka_unit_test(test_names_that_cannot_be_told),
		cmocka_unit_test(test_names_twice),
		cmocka_unit_test(test_names_that_are_broken),
		cmocka_unit_test(test_a_subject),
		cmocka_unit_test(test_a_nul_in_the_subject),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_not_certified),
	};

	alarm(60);
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
