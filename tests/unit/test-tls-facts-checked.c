/* tls-facts: what a worker says of a client is believed only as far as it can be true. */
#include "base/tls-facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In memory of its own, so that whoever reads on is found. */
static bool holds(const char *block, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool answer;

	assert_non_null(copy);
	memcpy(copy, block, len);
	answer = tls_facts_hold(copy, len);
	free(copy);
	return answer;
}

/* The NUL of the literal ends the last line. */
#define HOLDS(text) holds(text, sizeof(text))

static void test_good(void **state)
{
	(void)state;
	assert_true(HOLDS("SSL_PROTOCOL=TLSv1.3"));
	assert_true(HOLDS("SSL_PROTOCOL=TLSv1.3\0SSL_CIPHER=TLS_AES_128_GCM_SHA256\0"
			  "SSL_TLS_SNI_SERVERNAME=git.example.org\0SSL_ALPN=h2\0"
			  "SSL_CLIENT_VERIFY=SUCCESS\0SSL_PEER_CERT_HASH=SHA256:00\0"
			  "SSL_CLIENT_S_DN=CN=a=b\0SSL_CLIENT_SAN=DNS:a"));
	assert_true(HOLDS("SSL_PROTOCOL=\0SSL_CLIENT_VERIFY=SUCCESS\0SSL_CLIENT_OMITTED=S_DN"));
	assert_true(HOLDS("SSL_PROTOCOL=x\0SSL_CLIENT_VERIFY=FAILED:it has expired\0"
			  "SSL_PEER_CERT_HASH=SHA256:00"));
	assert_true(HOLDS(
		"SSL_PROTOCOL=x\0SSL_CLIENT_VERIFY=SUCCESS\0SSL_CLIENT_S_DN=CN=\xc3\xa4"));
}

static void test_lines(void **state)
{
	(void)state;
	assert_false(holds("", 0));
	assert_false(holds("\0", 1));
	assert_false(holds("SSL_PROTOCOL=x", strlen("SSL_PROTOCOL=x")));
	assert_false(HOLDS("SSL_CIPHER=x"));
	assert_false(HOLDS("SSL_PROTOCOL"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0PATH=/tmp"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0SSL_CIPHE=x"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0SSL_CIPHERS=x"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0=x"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0SSL_PROTOCOL=y"));
}

static void test_values(void **state)
{
	(void)state;
	assert_false(HOLDS("SSL_PROTOCOL=a\nb"));
	assert_false(HOLDS("SSL_PROTOCOL=\x7f"));
	assert_false(HOLDS("SSL_PROTOCOL=\xff"));
	assert_false(HOLDS("SSL_PROTOCOL=\xc2\x85"));
	assert_false(HOLDS("SSL_PROTOCOL=\xc3"));
}

/* Else who has made himself a certificate would be whoever he likes. */
static void test_certificate(void **state)
{
	(void)state;
	assert_false(HOLDS("SSL_PROTOCOL=x\0SSL_CLIENT_S_DN=CN=a"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0SSL_CLIENT_SAN=DNS:a"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0SSL_CLIENT_OMITTED=SAN"));
	assert_false(HOLDS("SSL_PROTOCOL=x\0SSL_CLIENT_VERIFY=NONE\0SSL_CLIENT_S_DN=CN=a"));
	assert_false(
		HOLDS("SSL_PROTOCOL=x\0SSL_CLIENT_VERIFY=SUCCESSFUL\0SSL_CLIENT_S_DN=CN=a"));
}

static void test_get(void **state)
{
	static const char block[] = "SSL_PROTOCOL=x\0SSL_ALPN=\0SSL_CIPHER=y";

	(void)state;
	assert_string_equal(tls_facts_get(block, sizeof block, "SSL_PROTOCOL"), "x");
	assert_string_equal(tls_facts_get(block, sizeof block, "SSL_ALPN"), "");
	assert_string_equal(tls_facts_get(block, sizeof block, "SSL_CIPHER"), "y");
	assert_null(tls_facts_get(block, sizeof block, "SSL_CIPHE"));
	assert_null(tls_facts_get(block, 0, "SSL_CIPHER"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
