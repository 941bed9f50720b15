/* hostname: what may be a host's name, and how it is spelled. */
#include "base/hostname.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void is_read(const char *text, const char *name)
{
	char got[HOSTNAME_ROOM];

	assert_int_equal(hostname_read(text, got), 0);
	assert_string_equal(got, name);
	assert_true(hostname_is_plain(got));
}

static void is_none(const char *text)
{
	char got[HOSTNAME_ROOM] = "untouched";

	assert_int_equal(hostname_read(text, got), -EINVAL);
	assert_string_equal(got, "untouched");
	assert_false(hostname_is_plain(text));
}

static void test_names(void **state)
{
	(void)state;
	is_read("localhost", "localhost");
	is_read("WWW.Example.ORG", "www.example.org");
	is_read("www.example.org.", "www.example.org");
	is_read("a", "a");
	is_read("3com.com", "3com.com");
	is_read("_dmarc.my_host.example", "_dmarc.my_host.example");
	is_read("xn--bcher-kva.example", "xn--bcher-kva.example");
	is_read("10.0.0.1.in-addr.arpa", "10.0.0.1.in-addr.arpa");
	is_read("1.0xg", "1.0xg");
	is_read("a--b.c-d", "a--b.c-d");
}

static void test_no_names(void **state)
{
	static const char *const texts[] = {"", ".", "..", "a..b", ".a", "a..", "-a.b", "a-.b",
		"a.-", "a b", " a", "a ", "a/b", "a:b", "a%n", "a\n", "a\x7f", "\303\244",
		"$(x)", "*.example.org", "a@b"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		is_none(texts[i]);
}

/* What could be taken for an address is none: that is who an address is, not who says so. */
static void test_addresses(void **state)
{
	static const char *const texts[] = {"10.0.0.1", "1", "0x7f000001", "a.1", "127.1",
		"0x7f.0x1", "a.0x", "::1", "0x7f.1."};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		is_none(texts[i]);
}

/* Every byte, as the middle of a label. */
static void test_every_byte(void **state)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
	char text[] = "a?a.b";

	(void)state;
	for (int c = 1; c < 256; c++) {
		text[1] = (char)c;
		assert_int_equal(hostname_is_plain(text), strchr(good, c) != NULL);
	}
	assert_false(hostname_is_plain("A"));
	assert_false(hostname_is_plain("a."));
}

static void test_lengths(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'a', sizeof text);
	text[63] = '\0';
	is_read(text, text);
	text[63] = 'a';
	text[64] = '\0';
	is_none(text);

	memset(text, 'a', sizeof text);
	for (int i = 49; i < 400; i += 50)
		text[i] = '.';
	text[253] = '\0';
	is_read(text, text);
	text[253] = 'a';
	text[254] = '\0';
	is_none(text);
	text[254] = 'a';
	text[399] = '\0';
	is_none(text);
}

/* The dot at its end is not counted. */
static void test_longest_with_dot(void **state)
{
	char text[300], got[HOSTNAME_ROOM];

	(void)state;
	memset(text, 'a', sizeof text);
	for (int i = 49; i < 253; i += 50)
		text[i] = '.';
	text[253] = '.';
	text[254] = '\0';
	assert_int_equal(hostname_read(text, got), 0);
	assert_int_equal(strlen(got), HOSTNAME_MAX);
}

static void is_pattern(const char *text, const char *pattern)
{
	char got[HOSTNAME_ROOM];

	assert_int_equal(hostname_read_pattern(text, got), 0);
	assert_string_equal(got, pattern);
	assert_true(hostname_is_pattern(got));
}

static void is_no_pattern(const char *text)
{
	char got[HOSTNAME_ROOM] = "untouched";

	assert_int_equal(hostname_read_pattern(text, got), -EINVAL);
	assert_string_equal(got, "untouched");
	assert_false(hostname_is_pattern(text));
}

static void test_patterns(void **state)
{
	static const char *const none[] = {"", ".", "..", "..a", ".a..b", "*.a", ".a b", ".1",
		".10.0.0.1", ".-a", "10.0.0.1", "a..b", "a.*"};

	(void)state;
	is_pattern("www.example.org", "www.example.org");
	is_pattern("WWW.Example.org.", "www.example.org");
	is_pattern(".Example.ORG.", ".example.org");
	is_pattern(".org", ".org");
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		is_no_pattern(none[i]);
	assert_false(hostname_is_pattern(".Example.org"));
	assert_false(hostname_is_pattern(".example.org."));
}

/* A domain has to leave room for a name below it. */
static void test_longest_pattern(void **state)
{
	char text[300];

	(void)state;
	memset(text, 'a', sizeof text);
	for (int i = 0; i < 253; i += 50)
		text[i] = '.';
	text[252] = '\0';
	is_pattern(text, text);
	text[252] = 'a';
	text[253] = '\0';
	is_no_pattern(text);
	text[253] = 'a';
	text[254] = '\0';
	is_no_pattern(text);
}

static void test_matches(void **state)
{
	(void)state;
	assert_true(hostname_matches("www.example.org", "www.example.org"));
	assert_false(hostname_matches("www.example.org", "example.org"));
	assert_false(hostname_matches("example.org", "www.example.org"));
	assert_true(hostname_matches("www.example.org", ".example.org"));
	assert_true(hostname_matches("a.b.example.org", ".example.org"));
	assert_true(hostname_matches("example.org", ".org"));
	assert_false(hostname_matches("example.org", ".example.org"));
	assert_false(hostname_matches("badexample.org", ".example.org"));
	assert_false(hostname_matches("www.example.org.evil.net", ".example.org"));
	assert_false(hostname_matches("org", ".example.org"));
	assert_false(hostname_matches("", ".example.org"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_longest_with_dot),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_longest_pattern),
		cmocka_unit_test(test_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
