/* cert-facts: rules about certificates, asked about what hatchd-tls tells of real ones. */
#include "tls-pki.h"

#include "policy/cert.h"
#include "workers/tls/facts.h"

#include <stdio.h>

/* One part of a subject, of any bytes. */
struct part {
	const char *type; /* "CN"; with a "+" in front of it: together with the one before */
	const char *value;
	size_t len;
};

#define PART(type, value) type, value, sizeof(value) - 1
#define SUBJECT(...)                  \
	(const struct part[])         \
	{                             \
		__VA_ARGS__,          \
		{                     \
			NULL, NULL, 0 \
		}                     \
	}
#define IS_ALICE(is, ...)     is_alice(is, V_ASN1_UTF8STRING, SUBJECT(__VA_ARGS__))
#define IS_ALICE_AS(type, is) is_alice(is, type, SUBJECT({PART("CN", "alice")}))

static struct facts told;

static bool match(const char *rule)
{
	char text[CERT_RULE_MAX + 1], *rules[] = {text, NULL};
	struct cert_client client;

	assert_true(cert_is_rule(rule));
	snprintf(text, sizeof text, "%s", rule);
	assert_int_equal(cert_client_read(told.bytes, told.len, &client), 0);
	return cert_match(&client, rules);
}

static void tell(X509 *certificate, bool is_certified)
{
	static const char *const verdicts[] = {
		"SSL_CLIENT_VERIFY=FAILED:x", "SSL_CLIENT_VERIFY=SUCCESS"};

	told.len = strlen(verdicts[is_certified]) + 1;
	memcpy(told.bytes, verdicts[is_certified], told.len);
	facts_of_certificate(certificate, is_certified, &told);
}

static void is_alice(bool is, int string_type, const struct part *parts)
{
	struct pki made = PKI(.common_name = NULL);
	X509_NAME *name = X509_get_subject_name(made.certificate);

	for (; parts->type; parts++) {
		bool joined = parts->type[0] == '+';

		assert_int_equal(X509_NAME_add_entry_by_txt(name, parts->type + joined,
					 string_type, (const unsigned char *)parts->value,
					 (int)parts->len, -1, joined ? -1 : 0),
			1);
	}
	tell(made.certificate, true);
	assert_int_equal(match("cert:CN=alice"), is);
	tell(made.certificate, false);
	assert_false(match("cert:CN=alice"));
	pki_free(&made);
}

static void test_alice(void **ctx)
{
	(void)ctx;
	IS_ALICE(true, {PART("CN", "alice")});
	IS_ALICE(true, {PART("O", "x,CN=bob")}, {PART("CN", "alice")});
	IS_ALICE(true, {PART("CN", "alice")}, {PART("+UID", "7")}, {PART("1.2.3.4", "x")});
	IS_ALICE(true, {PART("O", " \\#\"<>;+=, \n\1 ")}, {PART("CN", "alice")});
	IS_ALICE_AS(V_ASN1_PRINTABLESTRING, true);
	IS_ALICE_AS(V_ASN1_IA5STRING, true);
	IS_ALICE_AS(V_ASN1_T61STRING, true);
	is_alice(true, V_ASN1_BMPSTRING, SUBJECT({PART("CN", "\0a\0l\0i\0c\0e")}));
}

static void test_not_alice(void **ctx)
{
	(void)ctx;
	IS_ALICE(false, {PART("CN", "alice ")});
	IS_ALICE(false, {PART("CN", " alice")});
	IS_ALICE(false, {PART("CN", "alice\0")});
	IS_ALICE(false, {PART("CN", "alice\0.example.org")});
	IS_ALICE(false, {PART("CN", "alice\n")});
	IS_ALICE(false, {PART("CN", "alice,O=x")});
	IS_ALICE(false, {PART("CN", "bob,CN=alice")});
	IS_ALICE(false, {PART("CN", "bob+CN=alice")});
	IS_ALICE(false, {PART("CN", "bob\\,CN=alice")});
	IS_ALICE(false, {PART("O", "x,CN=alice")});
	IS_ALICE(false, {PART("O", "x\\,CN=alice")});
	IS_ALICE(false, {PART("O", "x\\\\,CN=alice")});
	IS_ALICE(false, {PART("O", "x\\2cCN=alice")});
	IS_ALICE(false, {PART("O", "CN=alice")}, {PART("CN", "bob")});
	IS_ALICE(false, {PART("CN", "alice")}, {PART("CN", "bob")});
	IS_ALICE(false, {PART("CN", "bob")}, {PART("+CN", "alice")});
	IS_ALICE(false, {PART("CN", "alice")}, {PART("CN", "alice")});
	IS_ALICE(false, {PART("SN", "alice")}, {PART("GN", "alice")}, {PART("name", "alice")});
}

static void test_characters(void **ctx)
{
	struct pki made = PKI(.common_name = "J\303\266rg #1, \"x\"");

	(void)ctx;
	tell(made.certificate, true);
	assert_true(match("cert:CN=J\303\266rg #1, \"x\""));
	assert_false(match("cert:CN=J\303\266rg #1"));
	assert_true(match("cert:*"));
	pki_free(&made);
}

static void test_names(void **ctx)
{
	struct pki made = PKI(.common_name = "x",
		.alternatives = "DNS:Git.Example.org,email:Alice@example.org,IP:192.0.2.1,"
				"IP:2001:db8::1,URI:spiffe://example.org/a b,RID:1.2.3.4");

	(void)ctx;
	tell(made.certificate, true);
	assert_true(match("cert:DNS:git.example.org"));
	assert_true(match("cert:DNS:*.example.org"));
	assert_true(match("cert:DNS:.org"));
	assert_false(match("cert:DNS:example.org"));
	assert_true(match("cert:email:Alice@example.org"));
	assert_true(match("cert:IP:192.0.2.1"));
	assert_true(match("cert:IP:2001:db8::1"));
	assert_true(match("cert:URI:spiffe://example.org/a b"));
	assert_false(match("cert:URI:spiffe://example.org/a"));
	tell(made.certificate, false);
	assert_false(match("cert:DNS:git.example.org"));
	assert_false(match("cert:*"));
	pki_free(&made);
}

/* Whoever certifies it. */
static void test_hash(void **ctx)
{
	struct pki made = PKI(.common_name = "x"), other = PKI(.common_name = "x");
	char rule[CERT_RULE_MAX] = "cert:SHA256:";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	(void)ctx;
	assert_int_equal(X509_digest(made.certificate, EVP_sha256(), digest, &len), 1);
	for (unsigned i = 0; i < len; i++)
		snprintf(rule + strlen(rule), 3, "%02x", digest[i]);
	tell(made.certificate, true);
	assert_true(match(rule));
	tell(made.certificate, false);
	assert_true(match(rule));
	tell(other.certificate, true);
	assert_false(match(rule));
	pki_free(&made);
	pki_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alice),
		cmocka_unit_test(test_not_alice),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
