/* text: numbers, units, escapes and distances. */
#include "base/own.h"
#include "base/text.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEED UINT64_C(0x9e3779b97f4a7c15)

/* xorshift64*: the same numbers on every machine. */
static uint64_t next_random(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * UINT64_C(0x2545f4914f6cdd1d);
}

struct number_case {
	const char *text;
	int r;
	uint64_t value;
};

static void check_numbers(
	int (*parse)(const char *, uint64_t *), const struct number_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = 42, wanted = cases[i].r == 0 ? cases[i].value : 42;
		int r = parse(cases[i].text, &value);

		if (r != cases[i].r || value != wanted)
			fail_msg("'%s': %d, %" PRIu64 "; wanted %d, %" PRIu64, cases[i].text, r,
				value, cases[i].r, wanted);
	}
}

static void test_hex_digit(void **ctx)
{
	static const char digits[] = "0123456789abcdef", large[] = "0123456789ABCDEF";

	(void)ctx;
	for (int i = 0; i < 16; i++) {
		assert_int_equal(text_hex_digit(digits[i]), i);
		assert_int_equal(text_hex_digit(large[i]), i);
	}
	/* Beside the ranges, and what is no ASCII. */
	for (const char *c = "/:@G`g \300"; *c; c++)
		assert_int_equal(text_hex_digit(*c), -1);
	assert_int_equal(text_hex_digit('\0'), -1);
}

static void test_bits(void **ctx)
{
	static const struct {
		const char *text;
		int r;
		uint32_t value;
	} cases[] = {
		{"0", 0, 0},
		{"16", 0, 16},
		{"010", 0, 10},
		{"0x10", 0, 16},
		{"0xaF", 0, 0xaf},
		{"0x000000000001", 0, 1},
		{"0xffffffff", 0, UINT32_MAX},
		{"4294967296", -ERANGE, 0},
		{"0x100000000", -ERANGE, 0},
		{"0xffffffffffffffffffff", -ERANGE, 0},
		{"0xfffffffffffffffffffg", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"0x", -EINVAL, 0},
		{"0X10", -EINVAL, 0},
		{"x10", -EINVAL, 0},
		{"-0x1", -EINVAL, 0},
		{"0x 1", -EINVAL, 0},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t value = 42;

		assert_int_equal(text_parse_bits(cases[i].text, &value), cases[i].r);
		assert_int_equal(value, cases[i].r == 0 ? cases[i].value : 42);
	}
}

static void test_u64(void **ctx)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"99999999999999999999999x", -EINVAL, 0},
		{"", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"1.0", -EINVAL, 0},
		{"\xc2\xb2", -EINVAL, 0},
	};

	(void)ctx;
	check_numbers(text_parse_u64, cases, ARRAY_SIZE(cases));
}

static void test_u32(void **ctx)
{
	uint32_t value = 42;

	(void)ctx;
	assert_int_equal(text_parse_u32("4294967296", &value), -ERANGE);
	assert_int_equal(text_parse_u32("x", &value), -EINVAL);
	assert_int_equal(text_parse_u32("-0", &value), -EINVAL);
	assert_int_equal(value, 42);
	assert_int_equal(text_parse_u32("4294967295", &value), 0);
	assert_true(value == UINT32_MAX);
}

static void test_i32(void **ctx)
{
	int32_t value = 42;

	(void)ctx;
	assert_int_equal(text_parse_i32("2147483648", &value), -ERANGE);
	assert_int_equal(text_parse_i32("-2147483649", &value), -ERANGE);
	assert_int_equal(text_parse_i32("--1", &value), -EINVAL);
	assert_int_equal(text_parse_i32("+1", &value), -EINVAL);
	assert_int_equal(text_parse_i32("-", &value), -EINVAL);
	assert_int_equal(text_parse_i32("- 1", &value), -EINVAL);
	assert_int_equal(text_parse_i32("", &value), -EINVAL);
	assert_int_equal(value, 42);
	assert_int_equal(text_parse_i32("2147483647", &value), 0);
	assert_int_equal(value, INT32_MAX);
	assert_int_equal(text_parse_i32("-2147483648", &value), 0);
	assert_int_equal(value, INT32_MIN);
	assert_int_equal(text_parse_i32("-5", &value), 0);
	assert_int_equal(value, -5);
}

static void test_mode(void **ctx)
{
	uint32_t mode = 42;

	(void)ctx;
	assert_int_equal(text_parse_mode("0o644", &mode), -EINVAL);
	assert_int_equal(text_parse_mode("648", &mode), -EINVAL);
	assert_int_equal(text_parse_mode("9", &mode), -EINVAL);
	assert_int_equal(text_parse_mode("", &mode), -EINVAL);
	assert_int_equal(text_parse_mode("u=rwx", &mode), -EINVAL);
	assert_int_equal(text_parse_mode("10000", &mode), -ERANGE);
	assert_int_equal(mode, 42);
	assert_int_equal(text_parse_mode("0644", &mode), 0);
	assert_int_equal(mode, 0644);
	assert_int_equal(text_parse_mode("644", &mode), 0);
	assert_int_equal(mode, 0644);
	assert_int_equal(text_parse_mode("7777", &mode), 0);
	assert_int_equal(mode, 07777);
	assert_int_equal(text_parse_mode("0", &mode), 0);
	assert_int_equal(mode, 0);
}

static void test_bool(void **ctx)
{
	static const char *const yes[] = {"yes", "on", "true"}, *const no[] = {
									"no", "off", "false"};
	static const char *const neither[] = {"", "y", "Yes", "YES", "1", "0", "true ", "noo"};
	bool value;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		value = false;
		assert_int_equal(text_parse_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(text_parse_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
		assert_int_equal(text_parse_bool(neither[i], &value), -EINVAL);
}

static void test_size(void **ctx)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"0T", 0, 0},
		{"512", 0, 512},
		{"64K", 0, 65536},
		{"1M", 0, 1 << 20},
		{"2G", 0, UINT64_C(2) << 30},
		{"3T", 0, UINT64_C(3) << 40},
		{"16777215T", 0, UINT64_C(16777215) << 40},
		{"16777216T", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"18446744073709551616K", -ERANGE, 0},
		{"18446744073709551616Q", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"64k", -EINVAL, 0},
		{"64KB", -EINVAL, 0},
		{"64 K", -EINVAL, 0},
		{"1.5M", -EINVAL, 0},
		{"-1K", -EINVAL, 0},
	};

	(void)ctx;
	check_numbers(text_parse_size, cases, ARRAY_SIZE(cases));
}

static void test_duration(void **ctx)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"10", 0, 10000000},
		{"500us", 0, 500},
		{"500ms", 0, 500000},
		{"10s", 0, 10000000},
		{"5min", 0, 300000000},
		{"2h", 0, UINT64_C(7200000000)},
		{"1d", 0, UINT64_C(86400000000)},
		{"18446744073709551615us", 0, UINT64_MAX},
		{"18446744073709", 0, UINT64_C(18446744073709000000)},
		{"18446744073710", -ERANGE, 0},
		{"213503983d", -ERANGE, 0},
		{"5m", -EINVAL, 0},
		{"1h30min", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"1S", -EINVAL, 0},
		{"1sec", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"", -EINVAL, 0},
	};

	(void)ctx;
	check_numbers(text_parse_duration, cases, ARRAY_SIZE(cases));
}

static void test_put_u32(void **ctx)
{
	static const uint32_t numbers[] = {0, 9, 10, 255, 65535, 1000000000, UINT32_MAX};
	char buf[16], wanted[16];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		snprintf(wanted, sizeof wanted, "%u", numbers[i]);
		memset(buf, 'x', sizeof buf);
		assert_ptr_equal(text_put_u32(buf, numbers[i]), buf + strlen(wanted));
		assert_string_equal(buf, wanted);
	}
}

static void test_format_units(void **ctx)
{
	char buf[TEXT_NUMBER_MAX];

	(void)ctx;
	assert_string_equal(text_format_size(0, buf), "0");
	assert_string_equal(text_format_size(1, buf), "1");
	assert_string_equal(text_format_size(1023, buf), "1023");
	assert_string_equal(text_format_size(1024, buf), "1K");
	assert_string_equal(text_format_size(1025, buf), "1025");
	assert_string_equal(text_format_size(1536 * 1024, buf), "1536K");
	assert_string_equal(text_format_size(UINT64_C(3) << 40, buf), "3T");
	assert_string_equal(text_format_size(UINT64_MAX, buf), "18446744073709551615");

	assert_string_equal(text_format_duration(0, buf), "0");
	assert_string_equal(text_format_duration(500, buf), "500us");
	assert_string_equal(text_format_duration(500000, buf), "500ms");
	assert_string_equal(text_format_duration(10000000, buf), "10s");
	assert_string_equal(text_format_duration(90000000, buf), "90s");
	assert_string_equal(text_format_duration(300000000, buf), "5min");
	assert_string_equal(text_format_duration(UINT64_C(7200000000), buf), "2h");
	assert_string_equal(text_format_duration(UINT64_C(86400000000), buf), "1d");
	assert_string_equal(text_format_duration(UINT64_MAX, buf), "18446744073709551615us");
}

/* Numbers of all magnitudes, many of them round in one unit or the other. */
static uint64_t some_number(uint64_t *seed)
{
	static const uint64_t factors[] = {1, 1000, 1024, 1000000, 60000000, 3600000000,
		86400000000, UINT64_C(1) << 20, UINT64_C(1) << 30, UINT64_C(1) << 40};
	uint64_t factor = factors[next_random(seed) % ARRAY_SIZE(factors)];

	return (next_random(seed) >> next_random(seed) % 64) / factor * factor;
}

static void test_units_round_trip(void **ctx)
{
	uint64_t seed = SEED, back;
	char buf[TEXT_NUMBER_MAX];

	(void)ctx;
	print_message("seed %" PRIx64 "\n", seed);
	for (int i = 0; i < 20000; i++) {
		uint64_t value = some_number(&seed);

		back = ~value;
		assert_int_equal(text_parse_size(text_format_size(value, buf), &back), 0);
		assert_true(back == value);
		back = ~value;
		assert_int_equal(
			text_parse_duration(text_format_duration(value, buf), &back), 0);
		assert_true(back == value);
	}
}

static void test_elapsed(void **ctx)
{
	static const struct {
		uint64_t usec;
		const char *text;
	} cases[] = {
		{0, "0 us"},
		{850, "850 us"},
		{999, "999 us"},
		{1000, "1 ms"},
		{3000, "3 ms"},
		{3004, "3 ms"},
		{3005, "3.01 ms"},
		{12345, "12.3 ms"},
		{100500, "101 ms"},
		{999499, "999 ms"},
		{999500, "1 s"},
		{1250000, "1.25 s"},
		{1200000, "1.2 s"},
		{10000000, "10 s"},
		{59949999, "59.9 s"},
		{59950000, "1 min"},
		{60000000, "1 min"},
		{125000000, "2 min 5 s"},
		{119600000, "2 min"},
		{3599499999, "59 min 59 s"},
		{3599500000, "1 h"},
		{3600000000, "1 h"},
		{12000000000, "3 h 20 min"},
		{86399999999, "1 d"},
		{176400000000, "2 d 1 h"},
		{UINT64_MAX, "213503982 d 8 h"},
	};
	char buf[TEXT_NUMBER_MAX];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(text_format_elapsed(cases[i].usec, buf), cases[i].text);
}

static void check_escape(const char *text, size_t len, const char *wanted)
{
	char buf[256];

	assert_ptr_equal(text_escape(text, len, buf, sizeof buf), buf);
	assert_string_equal(buf, wanted);
}

#define CHECK_ESCAPE(text, wanted) check_escape(text, sizeof(text) - 1, wanted)

static void test_escape(void **ctx)
{
	(void)ctx;
	CHECK_ESCAPE("", "");
	CHECK_ESCAPE("plain ~", "plain ~");
	CHECK_ESCAPE("a\\b", "a\\\\b");
	CHECK_ESCAPE("\x1b[31m\n\t\x7f", "\\x1b[31m\\x0a\\x09\\x7f");
	CHECK_ESCAPE("a\0b", "a\\x00b");
	CHECK_ESCAPE(
		"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	CHECK_ESCAPE("\xc2\x9b"
		     "1m",
		"\\xc2\\x9b1m");                         /* the CSI of the second range */
	CHECK_ESCAPE("\xc3", "\\xc3");                   /* cut short */
	CHECK_ESCAPE("\xc0\xaf", "\\xc0\\xaf");          /* overlong */
	CHECK_ESCAPE("\xe0\x80\xaf", "\\xe0\\x80\\xaf"); /* overlong */
	CHECK_ESCAPE("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
	CHECK_ESCAPE("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond U+10FFFF */
	CHECK_ESCAPE("\x80\xff", "\\x80\\xff");
}

static void test_escape_cuts_between_characters(void **ctx)
{
	static const char text[] = "a\xc3\xa9\x1b"
				   "b";
	static const char *const by_size[] = {NULL, "", "a", "a", "a\xc3\xa9", "a\xc3\xa9",
		"a\xc3\xa9", "a\xc3\xa9", "a\xc3\xa9\\x1b",
		"a\xc3\xa9\\x1b"
		"b",
		"a\xc3\xa9\\x1b"
		"b"};
	char buf[16];

	(void)ctx;
	for (size_t size = 1; size < ARRAY_SIZE(by_size); size++) {
		memset(buf, '#', sizeof buf);
		text_escape(text, sizeof text - 1, buf, size);
		assert_string_equal(buf, by_size[size]);
		assert_int_equal(buf[size], '#');
	}
	buf[0] = '#';
	text_escape(text, 1, buf, 0);
	assert_int_equal(buf[0], '#');
}

static void test_utf8(void **ctx)
{
	uint32_t code = 0;

	(void)ctx;
	assert_int_equal(text_utf8("", 0, &code), 0);
	assert_int_equal(text_utf8("A", 1, &code), 1);
	assert_int_equal(code, 'A');
	assert_int_equal(text_utf8("\xe2\x82\xac", 3, &code), 3);
	assert_int_equal(code, 0x20ac);
	assert_int_equal(text_utf8("\xe2\x82\xac", 2, &code), 0);
	assert_int_equal(text_utf8("\xf4\x8f\xbf\xbf", 4, &code), 4);
	assert_int_equal(code, 0x10ffff);
}

static void test_distance(void **ctx)
{
	char long64[65], long65[66];

	(void)ctx;
	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("abc", ""), 3);
	assert_int_equal(text_distance("only_from", "ONLY_FROM"), 0);
	assert_int_equal(text_distance("only_form", "only_from"), 1);
	assert_int_equal(text_distance("ab", "ba"), 1);
	assert_int_equal(text_distance("ca", "abc"), 3); /* swapped neighbours stay together */
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("instances", "instance"), 1);

	memset(long64, 'a', 64);
	long64[64] = '\0';
	memset(long65, 'a', 65);
	long65[65] = '\0';
	assert_int_equal(text_distance(long64, ""), 64);
	assert_int_equal(text_distance(long64, long64), 0);
	assert_true(text_distance(long65, "") == SIZE_MAX);
	assert_true(text_distance("", long65) == SIZE_MAX);
}

static void test_distance_is_symmetric(void **ctx)
{
	uint64_t seed = SEED;
	char words[2][12];

	(void)ctx;
	print_message("seed %" PRIx64 "\n", seed);
	for (int i = 0; i < 2000; i++) {
		size_t lens[2], distance;

		for (int w = 0; w < 2; w++) {
			lens[w] = next_random(&seed) % 11;
			for (size_t j = 0; j < lens[w]; j++)
				words[w][j] = (char)('a' + next_random(&seed) % 3);
			words[w][lens[w]] = '\0';
		}
		distance = text_distance(words[0], words[1]);
		assert_int_equal(distance, text_distance(words[1], words[0]));
		assert_true(distance <= (lens[0] > lens[1] ? lens[0] : lens[1]));
		assert_int_equal(distance == 0, strcmp(words[0], words[1]) == 0);
	}
}

static void test_nearest(void **ctx)
{
	static const char *const options[] = {
		"listen", "only_from", "no_access", "user", "exec", NULL};
	static const char *const none[] = {NULL};

	(void)ctx;
	assert_string_equal(text_nearest("only_form", options), "only_from");
	assert_string_equal(text_nearest("Listen", options), "listen");
	assert_string_equal(text_nearest("listne", options), "listen");
	assert_string_equal(text_nearest("usr", options), "user");
	assert_null(text_nearest("us", options));   /* two letters: a third is none */
	assert_null(text_nearest("uxyr", options)); /* half of the word is too much */
	assert_null(text_nearest("bandwidth", options));
	assert_null(text_nearest("", options));
	assert_null(text_nearest("listen", none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex_digit),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_u32),
		cmocka_unit_test(test_i32),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_put_u32),
		cmocka_unit_test(test_format_units),
		cmocka_unit_test(test_units_round_trip),
		cmocka_unit_test(test_elapsed),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_cuts_between_characters),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_distance_is_symmetric),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
