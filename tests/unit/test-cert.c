/* cert: rules about certificates of clients, and what strangers put into theirs. */
#include "policy/cert.h"

#include "base/own.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Whether that rule alone has the client. */
static bool match(struct cert_client client, const char *rule)
{
	char text[2 * CERT_RULE_MAX];
	char *rules[] = {(char[]){"cert:CN=nobody"}, text, (char[]){"cert:URI:urn:none"}, NULL};

	snprintf(text, sizeof text, "%s", rule);
	assert_true(cert_is_rule(rule));
	return cert_match(&client, rules);
}

static bool by_subject(const char *subject, const char *rule)
{
	return match((struct cert_client){.verify = "SUCCESS", .subject = subject}, rule);
}

static bool by_names(const char *names, const char *rule)
{
	return match((struct cert_client){.verify = "SUCCESS", .names = names}, rule);
}

/* ------------------------------------------------------------------------- rules */

static void test_rules(void **ctx)
{
	static const char *const rules[] = {"cert:*", "cert:CN=a", "cert:CN=Alice Smith",
		"cert:CN=a,O=b", "cert:CN=\303\244", "cert:CN=CN=a", "cert:CN=*",
		"cert:DNS:host.example.org", "cert:DNS:*.example.org", "cert:DNS:.example.org",
		"cert:email:a@b", "cert:email:\"a, b\"@c", "cert:URI:https://x/a?b",
		"cert:IP:10.0.0.1"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		assert_true(cert_is_rule(rules[i]));
}

static void test_no_rules(void **ctx)
{
	static const char *const texts[] = {"", "a", "CN=a", "cert", "cert:", "cert:a",
		"Cert:CN=a", "cert:cn=a", "cert:CN", "cert:CN=", "cert:CN=a\n", "cert:CN=a?",
		"cert:CN=\302\205", "cert:CN=\377", "cert:O=a", "cert:**", "cert:*a",
		"cert:DNS:", "cert:DNS:*", "cert:DNS:*a", "cert:DNS:*.", "cert:DNS:A.b",
		"cert:DNS:a.b.", "cert:DNS:a.*.b", "cert:DNS:10.0.0.1",
		"cert:email:", "cert:email:a\tb", "cert:URI:", "cert:IP:", "cert:dns:a",
		"cert:SHA256:", "cert:SHA256:00"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_false(cert_is_rule(texts[i]));
}

static void test_hash_rules(void **ctx)
{
	(void)ctx;
	assert_true(cert_is_rule("cert:SHA256:" HASH));
	assert_false(cert_is_rule("cert:SHA256:" HASH "0"));
	assert_false(cert_is_rule("cert:SHA256:" HASH "x"));
	assert_false(cert_is_rule("cert:SHA256:X" HASH));
	assert_false(cert_is_rule("cert:SHA256:00112233445566778899AABBCCDDEEFF"
				  "00112233445566778899AABBCCDDEEFF"));
}

static void test_length(void **ctx)
{
	char text[CERT_RULE_MAX + 2] = "cert:CN=";

	(void)ctx;
	memset(text + 8, 'a', CERT_RULE_MAX - 8);
	assert_true(cert_is_rule(text));
	text[CERT_RULE_MAX] = 'a';
	assert_false(cert_is_rule(text));
}

/* ------------------------------------------------------------------------- verify */

static void test_verify(void **ctx)
{
	static const char *const not_certified[] = {NULL, "", "NONE", "FAILED:x", "success",
		"SUCCESS ", "SUCCES", "FAILED:SUCCESS"};
	static const char *const rules[] = {
		"cert:*", "cert:CN=alice", "cert:DNS:a.example", "cert:IP:::1"};
	struct cert_client client = {.subject = "CN=alice",
		.names = "DNS:a.example, IP:::1",
		.hash = "SHA256:" HASH};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(not_certified); j++) {
			client.verify = not_certified[j];
			assert_false(match(client, rules[i]));
			assert_true(match(client, "cert:SHA256:" HASH));
		}
		client.verify = "SUCCESS";
		assert_true(match(client, rules[i]));
	}
}

static void test_nobody(void **ctx)
{
	struct cert_client client = {.verify = "SUCCESS", .subject = "CN=alice"};
	char *none[] = {NULL};

	(void)ctx;
	assert_false(cert_match(&client, NULL));
	assert_false(cert_match(&client, none));
	assert_false(match((struct cert_client){0}, "cert:*"));
	assert_true(match((struct cert_client){.verify = "SUCCESS"}, "cert:*"));
	assert_false(match((struct cert_client){.verify = "SUCCESS"}, "cert:CN=alice"));
	assert_false(match((struct cert_client){.verify = "SUCCESS"}, "cert:DNS:a"));
}

static void is_no_hash(const char *hash)
{
	const struct cert_client client = {.hash = hash};

	assert_false(match(client, "cert:SHA256:" HASH));
	assert_false(match(client, "cert:CN=alice"));
	assert_false(match(client, "cert:*"));
}

/* It is told in one spelling, and nothing else that is told there is a name. */
static void test_hash(void **ctx)
{
	(void)ctx;
	is_no_hash("");
	is_no_hash("SHA256:");
	is_no_hash(HASH);
	is_no_hash("SHA256:" HASH "0");
	is_no_hash("SHA256:" HASH " ");
	is_no_hash("sha256:" HASH);
	is_no_hash("CN=alice");
	is_no_hash("*");
}

static void test_omitted(void **ctx)
{
	struct cert_client client = {
		.verify = "SUCCESS", .subject = "CN=alice", .names = "DNS:a.example"};

	(void)ctx;
	client.omitted = "S_DN SAN";
	assert_false(match(client, "cert:CN=alice"));
	assert_false(match(client, "cert:DNS:a.example"));
	assert_true(match(client, "cert:*"));
	client.omitted = "S_DN";
	assert_false(match(client, "cert:CN=alice"));
	assert_true(match(client, "cert:DNS:a.example"));
	client.omitted = "SAN";
	assert_true(match(client, "cert:CN=alice"));
	assert_false(match(client, "cert:DNS:a.example"));
	client.omitted = "";
	assert_true(match(client, "cert:DNS:a.example"));
}

/* ----------------------------------------------------------------------- the subject */

static void test_subject(void **ctx)
{
	static const struct {
		const char *subject, *rule;
	} all[] = {
		{"CN=alice", "cert:CN=alice"},
		{"CN=alice,O=b,C=de", "cert:CN=alice"},
		{"emailAddress=a@b,CN=alice", "cert:CN=alice"},
		{"UID=7+CN=alice,O=b", "cert:CN=alice"},
		{"O=,CN=alice", "cert:CN=alice"},
		{"1.2.3.4=#0C0161,CN=alice", "cert:CN=alice"},
		{"O=a=b#c d,CN=alice", "cert:CN=alice"},
		{"CN=Alice Smith", "cert:CN=Alice Smith"},
		{"CN=a\\,O=b", "cert:CN=a,O=b"},
		{"CN=\\ a b\\ ", "cert:CN= a b "},
		{"CN=\\ ", "cert:CN= "},
		{"CN=\\#0C", "cert:CN=#0C"},
		{"CN=a\\\"\\+\\<\\>\\;\\\\b", "cert:CN=a\"+<>;\\b"},
		{"CN=\303\244", "cert:CN=\303\244"},
		{"CN=\\C3\\a4", "cert:CN=\303\244"},
		{"CN=a=CN=b", "cert:CN=a=CN=b"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		assert_true(by_subject(all[i].subject, all[i].rule));
}

/* None of them is alice. */
static void test_not_alice(void **ctx)
{
	static const char *const subjects[] = {"", "CN=", "CN=Alice", "CN=alice2", "CN=alic",
		"CN=alice\\ ", "CN=\\ alice", "cn=alice", "CNN=alice", "XCN=alice", "O=alice",
		"2.5.4.3=alice",
		/* Somebody else's name, or a part of one, that looks like hers. */
		"O=CN=alice", "O=x\\,CN=alice", "O=x\\+CN=alice", "CN=bob\\,CN=alice",
		"O=x\\2CCN=alice", "O=x\\2cCN=alice", "O=x\\\\\\,CN=alice",
		"CN=x,O=y\\,CN=alice", "CN=alice\\,O=x", "CN=alice\\00", "CN=alice\\00.b",
		"CN=alice\\0A", "CN=alice\\0D\\0A",
		/* Two of them. */
		"CN=alice,CN=bob", "CN=bob,CN=alice", "CN=alice,CN=alice", "CN=alice+CN=bob",
		"CN=bob+CN=alice", "CN=alice,CN=", "CN=alice,CN=#0C01",
		/* Bytes of something else than text. */
		"CN=#0C05616C696365", "CN=#", "CN=#alice"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++)
		assert_false(by_subject(subjects[i], "cert:CN=alice"));
}

/* What OpenSSL does not write spoils all of it, wherever it stands. */
static void test_malformed_subject(void **ctx)
{
	static const char *const rests[] = {",", "+", ",,O=x", ",O", ",O\\=x", ",=x", ", O=x",
		" ,O=x", ",O= x", ",O=x ", ",O= ", ",O=x ,C=y", ",O=\"x\"", ",O=\"x,C=y\"",
		",O=x;C=y", ";O=x", ",O=<x", ",O=x>", ",O=x\\", ",O=x\\x", ",O=x\\0",
		",O=x\\0x", ",O=x\\G0", ",O=#0", ",O=#0G", ",O=#0,C=x", ",O=#00 ", ",O=#00x",
		",\303\244=x", "\\", "\n,O=x\\q", "/O=x,"};
	char subject[64];

	(void)ctx;
	assert_true(by_subject("CN=alice,O=x", "cert:CN=alice"));
	for (size_t i = 0; i < ARRAY_SIZE(rests); i++) {
		snprintf(subject, sizeof subject, "CN=alice%s", rests[i]);
		assert_false(by_subject(subject, "cert:CN=alice"));
	}
}

/* What is compared is all of it, however long it is. */
static void test_long_subject(void **ctx)
{
	char rule[CERT_RULE_MAX + 1] = "cert:CN=", subject[2 * CERT_RULE_MAX] = "CN=";

	(void)ctx;
	memset(rule + 8, 'a', CERT_RULE_MAX - 8);
	memset(subject + 3, 'a', CERT_RULE_MAX - 8);
	assert_true(by_subject(subject, rule));
	subject[strlen(subject)] = 'a';
	assert_false(by_subject(subject, rule));
	strcat(subject, ",CN=aaa");
	assert_false(by_subject(subject, "cert:CN=aaa"));
}

/* ------------------------------------------------------------------------- names */

static void test_names(void **ctx)
{
	static const char names[] =
		"DNS:www.example.org, email:Alice@example.org, IP:10.0.0.1, "
		"IP:2001:db8::7, URI:spiffe://x/a\\x2cb, "
		"email:\\x22a\\x20b\\x22@c";
	static const char *const in[] = {"cert:DNS:www.example.org", "cert:DNS:*.example.org",
		"cert:DNS:.example.org", "cert:DNS:.org", "cert:email:Alice@example.org",
		"cert:IP:10.0.0.1", "cert:IP:2001:db8::7", "cert:URI:spiffe://x/a,b",
		"cert:email:\"a b\"@c"};
	static const char *const out[] = {"cert:DNS:example.org", "cert:DNS:*.org",
		"cert:DNS:ww.example.org", "cert:DNS:.www.example.org",
		"cert:DNS:*.www.example.org", "cert:email:alice@example.org",
		"cert:email:Alice@example.or", "cert:IP:10.0.0.10", "cert:IP:10.0.0.",
		"cert:URI:spiffe://x/a", "cert:URI:spiffe://x/a\\x2cb",
		"cert:CN=www.example.org"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(in); i++)
		assert_true(by_names(names, in[i]));
	for (size_t i = 0; i < ARRAY_SIZE(out); i++)
		assert_false(by_names(names, out[i]));
}

/* Neither a name in a name, nor a star or an odd one in the certificate. */
static void test_no_names_of_his(void **ctx)
{
	static const char *const names[] = {"", "DNS:", "DNS:*.example.org", "DNS:.example.org",
		"DNS:example.org", "DNS:a.example.org.evil", "DNS:evilexample.org",
		"DNS:WWW.example.org", "DNS:a.example.org.", "DNS:a\\x00.example.org",
		"DNS:evil\\x2c.example.org", "DNS:a\\x2eexample.org.b", "DNS:a..example.org",
		"email:a.example.org", "URI:DNS:a.example.org",
		"URI:x\\x2c\\x20DNS:a.example.org", "email:x\\x2c DNS:a.example.org",
		"email:x,DNS:a.example.org"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_false(by_names(names[i], "cert:DNS:.example.org"));
		assert_false(by_names(names[i], "cert:DNS:*.example.org"));
	}
	assert_true(by_names("DNS:a.b.example.org", "cert:DNS:.example.org"));
	assert_false(by_names("DNS:a.b.example.org", "cert:DNS:*.example.org"));
	assert_false(by_names("email:a\\x00", "cert:email:a"));
	assert_false(by_names("email:a\\x20", "cert:email:a"));
	assert_false(by_names("\\x65mail:a", "cert:email:a"));
}

static void test_malformed_names(void **ctx)
{
	static const char *const rests[] = {",", ", ", ",DNS:b", ",  DNS:b", " ", ", b",
		", dirName:b", ", dns:b", ", URI:a b", ", URI:\\", ", URI:\\x", ", URI:\\x2",
		", URI:\\x2g", ", URI:\\y20", ", URI:\\\\", ", CN=b", ";"};
	char names[64];

	(void)ctx;
	assert_true(by_names("IP:10.0.0.1, URI:a", "cert:IP:10.0.0.1"));
	for (size_t i = 0; i < ARRAY_SIZE(rests); i++) {
		snprintf(names, sizeof names, "IP:10.0.0.1%s", rests[i]);
		assert_false(by_names(names, "cert:IP:10.0.0.1"));
	}
}

static void test_long_name(void **ctx)
{
	char names[2 * CERT_RULE_MAX] = "DNS:", rule[CERT_RULE_MAX + 1] = "cert:URI:";

	(void)ctx;
	memset(names + 4, 'a', CERT_RULE_MAX);
	strcat(names, ".org");
	assert_false(by_names(names, "cert:DNS:.org"));
	strcat(names, ", DNS:b.org");
	assert_true(by_names(names, "cert:DNS:.org"));

	memset(rule + 9, 'a', CERT_RULE_MAX - 9);
	snprintf(names, sizeof names, "URI:%s", rule + 9);
	assert_true(by_names(names, rule));
	strcat(names, "a");
	assert_false(by_names(names, rule));
}

/* ------------------------------------------------------------------------- facts */

static int read_facts(const char *facts, size_t len, struct cert_client *ret)
{
	memset(ret, 0x55, sizeof *ret);
	return cert_client_read(facts, len, ret);
}

static void test_facts(void **ctx)
{
	static const char facts[] = "SSL_PROTOCOL=TLSv1.3\0SSL_CLIENT_VERIFY=SUCCESS\0"
				    "SSL_CLIENT_S_DN=CN=alice\0SSL_CLIENT_SAN=DNS:a\0"
				    "SSL_PEER_CERT_HASH=SHA256:00\0SSL_CLIENT_OMITTED=";
	struct cert_client client;

	(void)ctx;
	assert_int_equal(read_facts(facts, sizeof facts, &client), 0);
	assert_string_equal(client.verify, "SUCCESS");
	assert_string_equal(client.subject, "CN=alice");
	assert_string_equal(client.names, "DNS:a");
	assert_string_equal(client.hash, "SHA256:00");
	assert_string_equal(client.omitted, "");
	assert_int_equal(
		read_facts("SSL_CLIENT_S_DN_X=a", sizeof "SSL_CLIENT_S_DN_X=a", &client), 0);
	assert_null(client.subject);
	assert_int_equal(read_facts("", 0, &client), 0);
	assert_null(client.verify);
}

#define BLOCK(text) text, sizeof text

static void test_no_facts(void **ctx)
{
	static const struct {
		const char *facts;
		size_t len;
	} blocks[] = {
		{"a=b", 3},
		{BLOCK("")},
		{BLOCK("a")},
		{BLOCK("a=b\0")},
		{BLOCK("SSL_CLIENT_VERIFY=NONE\0SSL_CLIENT_VERIFY=SUCCESS")},
		{BLOCK("SSL_CLIENT_S_DN=\0SSL_CLIENT_S_DN=CN=alice")},
	};
	struct cert_client client, untouched;

	(void)ctx;
	memset(&untouched, 0x55, sizeof untouched);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		assert_int_equal(read_facts(blocks[i].facts, blocks[i].len, &client), -EBADMSG);
		assert_memory_equal(&client, &untouched, sizeof client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_no_rules),
		cmocka_unit_test(test_hash_rules),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_omitted),
		cmocka_unit_test(test_subject),
		cmocka_unit_test(test_not_alice),
		cmocka_unit_test(test_malformed_subject),
		cmocka_unit_test(test_long_subject),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_names_of_his),
		cmocka_unit_test(test_malformed_names),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_no_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
