/* answers: what RFC 864, 865, 867 and 868 say, to the byte. */
#include "workers/builtin/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Sat Nov 21 15:04:05 2026, UTC */
#define A_DAY INT64_C(1795273445)

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static void assert_daytime(int64_t now, const char *expected)
{
	char line[ANSWER_DAYTIME_MAX];

	assert_int_equal(answer_daytime(now, line), strlen(expected));
	assert_memory_equal(line, expected, strlen(expected));
}

static void test_daytime(void **ctx)
{
	(void)ctx;
	set_zone("UTC0");
	assert_daytime(A_DAY, "Sat Nov 21 15:04:05 2026\r\n");
	assert_daytime(0, "Thu Jan  1 00:00:00 1970\r\n");
	assert_daytime(-1, "Wed Dec 31 23:59:59 1969\r\n");
	set_zone("CET-1");
	assert_daytime(A_DAY, "Sat Nov 21 16:04:05 2026\r\n");
}

static void test_daytime_far_away(void **ctx)
{
	char line[ANSWER_DAYTIME_MAX];

	(void)ctx;
	set_zone("UTC0");
	assert_daytime(INT64_C(253402300800), "Sat Jan  1 00:00:00 10000\r\n");
	assert_true(answer_daytime(INT64_C(67768036191676799), line) < sizeof line);
	assert_int_equal(answer_daytime(INT64_MAX, line), 0);
	assert_int_equal(answer_daytime(INT64_MIN, line), 0);
}

/* The zone that was there at the start, whatever has become of it. */
static void test_daytime_keeps_its_zone(void **ctx)
{
	(void)ctx;
	set_zone("CET-1");
	setenv("TZ", "UTC0", 1);
	assert_daytime(A_DAY, "Sat Nov 21 16:04:05 2026\r\n");
}

static void assert_time(int64_t now, const char expected[4])
{
	uint8_t bytes[ANSWER_TIME_LEN];

	answer_time(now, bytes);
	assert_memory_equal(bytes, expected, 4);
}

static void test_time(void **ctx)
{
	(void)ctx;
	/* Examples of RFC 868: 1 January of 1970, 1976 and 1980. */
	assert_time(2208988800 - 2208988800, "\x83\xaa\x7e\x80");
	assert_time(2398291200 - 2208988800, "\x8e\xf3\x05\x00");
	assert_time(2524521600 - 2208988800, "\x96\x79\x24\x80");
}

static void test_time_begins_anew(void **ctx)
{
	(void)ctx;
	/* 6:28:15 on 7 February 2036, and one second later. */
	assert_time(INT64_C(2085978495), "\xff\xff\xff\xff");
	assert_time(INT64_C(2085978496), "\x00\x00\x00\x00");
	assert_time(INT64_C(2085978497), "\x00\x00\x00\x01");
	assert_time(INT64_C(-2208988800), "\x00\x00\x00\x00");
}

static void test_chargen_first_lines(void **ctx)
{
	uint8_t line[ANSWER_CHARGEN_LINE];

	(void)ctx;
	answer_chargen_line(0, line);
	assert_memory_equal(line,
		" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg"
		"\r\n",
		sizeof line);
	answer_chargen_line(1, line);
	assert_memory_equal(line,
		"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh"
		"\r\n",
		sizeof line);
	answer_chargen_line(94, line);
	assert_memory_equal(line,
		"~ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef"
		"\r\n",
		sizeof line);
}

/* Character k of line n is number (n + k) mod 95 of the ring. */
static void test_chargen_all_lines(void **ctx)
{
	uint8_t all[ANSWER_CHARGEN_PERIOD], line[ANSWER_CHARGEN_LINE];

	(void)ctx;
	answer_chargen(all);
	for (unsigned n = 0; n < 2 * ANSWER_CHARGEN_LINES; n++) {
		answer_chargen_line(n, line);
		for (unsigned k = 0; k < 72; k++)
			assert_int_equal(line[k], 32 + (n + k) % 95);
		assert_memory_equal(line + 72, "\r\n", 2);
		assert_memory_equal(
			line, all + n % ANSWER_CHARGEN_LINES * sizeof line, sizeof line);
	}
}

static void assert_qotd(const char *text, uint64_t random, const char *expected)
{
	uint8_t quote[ANSWER_QOTD_MAX];
	size_t len = answer_qotd((const uint8_t *)text, strlen(text), random, quote);

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(quote, expected, len);
}

static void test_qotd_one(void **ctx)
{
	static const char *const texts[] = {"one\ntwo\n", "one\ntwo", "one\r\ntwo\r\n",
		"%\none\ntwo\n%\n", "one\ntwo\n%\n", "%\n%\n \n%\none\ntwo\n%\n\t\n%\n%"};

	(void)ctx;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		for (uint64_t random = 0; random < 64; random++)
			assert_qotd(texts[i], random, "one\r\ntwo\r\n");
}

static void test_qotd_none(void **ctx)
{
	static const char *const texts[] = {"", "\n", "%", "%\n", "%\n%\n", " \n%\n\r\n%\n"};

	(void)ctx;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		for (uint64_t random = 0; random < 16; random++)
			assert_qotd(texts[i], random, "");
}

/* Where the byte is that chance chooses, and what is said then. */
static void test_qotd_choice(void **ctx)
{
	static const char text[] = "aaa\n%\nbb%\n%\n%c\n";

	(void)ctx;
	for (uint64_t random = 0; random < sizeof text - 1; random++)
		assert_qotd(text, random,
			random <= 4    ? "bb%\r\n"
			: random <= 10 ? "%c\r\n"
				       : "aaa\r\n");
	assert_qotd(text, UINT64_MAX / (sizeof text - 1) * (sizeof text - 1), "bb%\r\n");
	/* The end of a line is no line. */
	assert_qotd("aa%\nbb\n%\ncc\n", 2, "cc\r\n");
}

static void test_qotd_too_many_lines(void **ctx)
{
	char text[2048];
	uint8_t quote[ANSWER_QOTD_MAX];

	(void)ctx;
	/* 62 bytes a line with CR LF: 8 of them are 496, and a ninth has no room. */
	for (unsigned i = 0; i < 30; i++) {
		memset(text + 61 * i, 'a' + (int)(i % 26), 60);
		text[61 * i + 60] = '\n';
	}
	assert_int_equal(answer_qotd((uint8_t *)text, 61 * 30, 5, quote), 496);
	assert_memory_equal(quote + 494, "\r\n", 2);
	assert_int_equal(quote[493], 'h');
}

static void test_qotd_exactly_so_many(void **ctx)
{
	char text[1024];
	uint8_t quote[ANSWER_QOTD_MAX];

	(void)ctx;
	memset(text, 'x', sizeof text);
	text[255] = '\n';
	text[509] = '\n';
	/* 255 and 253 bytes, with CR LF 257 and 255: 512. */
	assert_int_equal(answer_qotd((uint8_t *)text, 510, 0, quote), 512);
	assert_memory_equal(quote + 510, "\r\n", 2);
	/* What follows has no room, be it ever so short. */
	text[510] = 'y';
	assert_int_equal(answer_qotd((uint8_t *)text, 511, 0, quote), 512);
	text[508] = '\n';
	assert_int_equal(answer_qotd((uint8_t *)text, 511, 0, quote), 511);
	text[508] = 'x';
	/* One byte more is one line less. */
	text[509] = 'x';
	assert_int_equal(answer_qotd((uint8_t *)text, 510, 0, quote), 257);
}

static void test_qotd_line_too_long(void **ctx)
{
	char text[1024];
	uint8_t quote[ANSWER_QOTD_MAX];

	(void)ctx;
	memset(text, 'x', sizeof text);
	assert_int_equal(answer_qotd((uint8_t *)text, sizeof text, 0, quote), 512);
	assert_memory_equal(quote + 509, "x\r\n", 3);
	/* A character of three bytes, of which one would have room. */
	memcpy(text + 509, "\xe2\x82\xac", 3);
	assert_int_equal(answer_qotd((uint8_t *)text, sizeof text, 0, quote), 511);
	assert_memory_equal(quote + 508, "x\r\n", 3);
	/* No text at all, but it is said somehow. */
	memset(text, 0x80, sizeof text);
	text[0] = 'x';
	assert_true(answer_qotd((uint8_t *)text, sizeof text, 0, quote) > 0);
}

static void test_make(void **ctx)
{
	static const uint8_t text[] = "one\n%\n";
	const uint8_t *answer = NULL;
	uint8_t buf[ANSWER_MAX];

	(void)ctx;
	set_zone("UTC0");
	assert_int_equal(answer_make(BUILTIN_DAYTIME, NULL, 0, A_DAY, 0, buf, &answer), 26);
	assert_memory_equal(answer, "Sat Nov 21", 10);
	assert_int_equal(answer_make(BUILTIN_TIME, NULL, 0, 0, 0, buf, &answer), 4);
	assert_memory_equal(answer, "\x83\xaa\x7e\x80", 4);
	assert_int_equal(answer_make(BUILTIN_QOTD, text, 6, 0, 3, buf, &answer), 5);
	assert_memory_equal(answer, "one\r\n", 5);
	assert_int_equal(answer_make(BUILTIN_TEXT, text, 6, 0, 0, buf, &answer), 6);
	assert_ptr_equal(answer, text);
	assert_int_equal(answer_make(BUILTIN_TEXT, NULL, 0, 0, 0, buf, &answer), 0);
	assert_int_equal(answer_make(BUILTIN_ECHO, text, 6, 0, 0, buf, &answer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daytime),
		cmocka_unit_test(test_daytime_far_away),
		cmocka_unit_test(test_daytime_keeps_its_zone),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_time_begins_anew),
		cmocka_unit_test(test_chargen_first_lines),
		cmocka_unit_test(test_chargen_all_lines),
		cmocka_unit_test(test_qotd_one),
		cmocka_unit_test(test_qotd_none),
		cmocka_unit_test(test_qotd_choice),
		cmocka_unit_test(test_qotd_too_many_lines),
		cmocka_unit_test(test_qotd_exactly_so_many),
		cmocka_unit_test(test_qotd_line_too_long),
		cmocka_unit_test(test_make),
	};

	return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
