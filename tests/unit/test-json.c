/* json: what is written is valid and complete, and is read back as it was meant. */
#include "base/json-read.h"
#include "base/json.h"
#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect(const struct json *json, const char *text)
{
	assert_false(json->full);
	assert_int_equal(json->len, strlen(text));
	assert_memory_equal(json->buf, text, json->len);
}

static void test_structure(void **ctx)
{
	char buf[512];
	struct json json;

	(void)ctx;
	json_init(&json, buf, sizeof buf);
	json_open(&json, NULL, '{');
	json_text(&json, "service", "upper");
	json_number(&json, "children", UINT64_MAX);
	json_null(&json, "limit");
	json_bool(&json, "wait", false);
	json_open(&json, "addresses", '[');
	json_text(&json, NULL, "tcp:1");
	json_open(&json, NULL, '{');
	json_bool(&json, "v6", true);
	json_close(&json, '}');
	json_open(&json, NULL, '[');
	json_close(&json, ']');
	json_close(&json, ']');
	json_text(&json, "reason", NULL);
	json_close(&json, '}');
	json_end_line(&json);
	json_open(&json, NULL, '{');
	json_bool(&json, "end", true);
	json_close(&json, '}');
	json_end_line(&json);
	expect(&json, "{\"service\":\"upper\",\"children\":18446744073709551615,\"limit\":null,"
		      "\"wait\":false,\"addresses\":[\"tcp:1\",{\"v6\":true},[]],"
		      "\"reason\":null}\n{\"end\":true}\n");
}

static void test_texts(void **ctx)
{
	static const struct {
		const char *text, *written;
	} cases[] = {
		{"", "\"\""},
		{"a b/c", "\"a b/c\""},
		{"say \"x\\y\"", "\"say \\\"x\\\\y\\\"\""},
		{"a\nb\tc\x01\x1b[m\x7f", "\"a\\u000ab\\u0009c\\u0001\\u001b[m\\u007f\""},
		{"\xc3\xa4 \xf0\x9f\xa5\x9a", "\"\xc3\xa4 \xf0\x9f\xa5\x9a\""},
		/* Controls of the second range; bytes that are nothing. */
		{"\xc2\x9b", "\"\\u009b\""},
		{"a\xff\xfe", "\"a\\ufffd\\ufffd\""},
		{"\xc3", "\"\\ufffd\""},
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
		{"\xc0\x80", "\"\\ufffd\\ufffd\""},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[256];
		struct json json;
		struct json_value value;

		json_init(&json, buf, sizeof buf);
		json_text(&json, NULL, cases[i].text);
		expect(&json, cases[i].written);
		assert_true(json_parse(buf, json.len, &value));
	}
}

/* A long text ends at a character, and never takes more than it may. */
static void test_long_texts(void **ctx)
{
	char text[4 * JSON_TEXT_MAX], buf[JSON_TEXT_ROOM];
	struct json json;

	(void)ctx;
	for (size_t lead = 0; lead < 4; lead++) {
		struct json_value value;
		_cleanup_free_ char *back = NULL;
		size_t len = lead;

		memset(text, 'a', lead);
		while (len + 4 < sizeof text) {
			memcpy(text + len, "\xf0\x9f\xa5\x9a", 4);
			len += 4;
		}
		text[len] = '\0';
		json_init(&json, buf, sizeof buf);
		json_text(&json, NULL, text);
		assert_false(json.full);
		assert_true(json_parse(buf, json.len, &value));
		back = json_to_string(value);
		assert_non_null(back);
		len = lead + (JSON_TEXT_MAX - lead) / 4 * 4;
		assert_memory_equal(back, text, len);
		assert_string_equal(back + len, "...");
	}

	memset(text, 1, sizeof text - 1);
	text[sizeof text - 1] = '\0';
	json_init(&json, buf, sizeof buf);
	json_text(&json, NULL, text);
	assert_false(json.full);
	assert_int_equal(json.len, JSON_TEXT_ROOM);

	memset(text, 'x', JSON_TEXT_MAX);
	text[JSON_TEXT_MAX] = '\0';
	json_init(&json, buf, sizeof buf);
	json_text(&json, NULL, text);
	assert_int_equal(json.len, JSON_TEXT_MAX + 2);
}

/* With room for less, no byte is written behind it, and `full` stays. */
static void test_no_room(void **ctx)
{
	(void)ctx;
	for (size_t size = 0; size < 24; size++) {
		char buf[64];
		struct json json;

		memset(buf, '#', sizeof buf);
		json_init(&json, buf, size);
		json_open(&json, NULL, '{');
		json_text(&json, "ab", "c\"d\x01");
		json_number(&json, "n", 1234);
		json_close(&json, '}');
		assert_true(json.len <= size);
		assert_int_equal(buf[size], '#');
		assert_int_equal(
			json.full, size < strlen("{\"ab\":\"c\\\"d\\u0001\",\"n\":1234}"));
	}
}

static struct json_value parse(const char *text)
{
	struct json_value value;

	assert_true(json_parse(text, strlen(text), &value));
	return value;
}

static void assert_text(struct json_value value, const char *text)
{
	_cleanup_free_ char *got = json_to_string(value);

	assert_non_null(got);
	assert_string_equal(got, text);
}

static void test_reading(void **ctx)
{
	struct json_value object = parse(" {\"a\" : 12, \"b\":[ 1 ,\"x\" , {\"c\":true}, []],"
					 "\"d\":{}, \"a\":13, \"e\":\"\" , \"\":null} \n");
	struct json_value item = {NULL, NULL}, key, list;
	int n = 0;

	(void)ctx;
	assert_int_equal(json_to_number(json_get(object, "a")), 12);
	assert_null(json_get(object, "c").at);
	assert_text(json_get(object, "e"), "");
	assert_non_null(json_get(object, "").at);
	while (json_next(object, &item, &key))
		n++;
	assert_int_equal(n, 6);
	assert_text(key, "");

	list = json_get(object, "b");
	item = (struct json_value){NULL, NULL};
	assert_true(json_next(list, &item, NULL));
	assert_int_equal(json_to_number(item), 1);
	assert_true(json_next(list, &item, NULL));
	assert_text(item, "x");
	assert_true(json_next(list, &item, NULL));
	assert_true(json_is_true(json_get(item, "c")));
	assert_true(json_next(list, &item, NULL));
	assert_false(json_next(list, &item, NULL));
	item = (struct json_value){NULL, NULL};
	assert_false(json_next(json_get(object, "d"), &item, NULL));

	/* Of another kind. */
	assert_int_equal(json_to_number(json_get(object, "e")), 0);
	assert_int_equal(json_to_number(parse("-1")), 0);
	assert_int_equal(json_to_number(parse("1.5")), 0);
	assert_int_equal(json_to_number(parse("18446744073709551616")), 0);
	assert_null(json_to_string(list));
	assert_false(json_is_true(list));
	assert_null(json_get(list, "a").at);
	assert_false(json_next(json_get(object, "a"), &item, NULL));
	assert_null(json_get((struct json_value){NULL, NULL}, "a").at);
	assert_null(json_to_string((struct json_value){NULL, NULL}));
}

static void test_reading_texts(void **ctx)
{
	(void)ctx;
	assert_text(parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t");
	assert_text(parse("\"\\u0041\\u00e4\\u20AC\""), "A\xc3\xa4\xe2\x82\xac");
	assert_text(parse("\"\\ud83e\\udd5a\""), "\xf0\x9f\xa5\x9a");
	assert_text(parse("\"\\ud83ex\\udd5a\""), "\xef\xbf\xbdx\xef\xbf\xbd");
	assert_text(parse("\"\\ud83e\\u0041\""), "\xef\xbf\xbd"
						 "A");
	assert_text(parse("\"a\\u0000b\""), "a\xef\xbf\xbd"
					    "b");
}

static void test_nonsense(void **ctx)
{
	static const char *const cases[] = {"", " ", "{", "}", "[1", "[1,]", "[,1]", "{\"a\"}",
		"{\"a\":}", "{a:1}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "01", "-", "1.", "1e",
		"+1", "tru", "nulll", "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"",
		"\"\\u12g4\"", "\"a\nb\"", "\"\xff\"", "\"\xc3\"", "1 2", "[1]]", "'a'",
		"{\"a\":1}}", "\"\\"};
	char deep[2 * JSON_DEPTH_MAX + 3];
	struct json_value value;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (json_parse(cases[i], strlen(cases[i]), &value))
			fail_msg("valid: %s", cases[i]);

	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_true(json_parse(deep, 2 * JSON_DEPTH_MAX, &value));
	memset(deep, '[', JSON_DEPTH_MAX + 1);
	memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_false(json_parse(deep, 2 * JSON_DEPTH_MAX + 2, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_reading_texts),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
