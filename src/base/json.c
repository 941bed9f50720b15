#include "base/json.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void json_init(struct json *json, char *buf, size_t size)
{
	*json = (struct json){.buf = buf, .size = size};
}

static void put(struct json *json, const char *data, size_t len)
{
	if (json->full || len > json->size - json->len) {
		json->full = true;
		return;
	}
	memcpy(json->buf + json->len, data, len);
	json->len += len;
}

static void put_word(struct json *json, const char *word)
{
	put(json, word, strlen(word));
}

/* What stands before any value. */
static void begin(struct json *json, const char *key)
{
	if (json->comma)
		put(json, ",", 1);
	json->comma = true;
	if (!key)
		return;
	put(json, "\"", 1);
	put_word(json, key);
	put(json, "\":", 2);
}

void json_open(struct json *json, const char *key, char bracket)
{
	begin(json, key);
	put(json, &bracket, 1);
	json->comma = false;
}

void json_close(struct json *json, char bracket)
{
	put(json, &bracket, 1);
	json->comma = true;
}

void json_end_line(struct json *json)
{
	put(json, "\n", 1);
	json->comma = false;
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	char text[TEXT_NUMBER_MAX];

	begin(json, key);
	snprintf(text, sizeof text, "%" PRIu64, value);
	put_word(json, text);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	put_word(json, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
	begin(json, key);
	put_word(json, "null");
}

/* One character of `n` bytes, 0: a byte that is none. */
static void put_character(struct json *json, const char *at, size_t n, uint32_t code)
{
	char escape[8];

	if (n == 0) {
		put_word(json, "\\ufffd");
	} else if (code == '"' || code == '\\') {
		put(json, "\\", 1);
		put(json, at, 1);
	} else if (text_is_control(code)) {
		snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(code & 0xffff));
		put_word(json, escape);
	} else {
		put(json, at, n);
	}
}

void json_text(struct json *json, const char *key, const char *text)
{
	size_t len = text ? strlen(text) : 0, at = 0, n;
	uint32_t code = 0;

	if (!text) {
		json_null(json, key);
		return;
	}
	begin(json, key);
	put(json, "\"", 1);
	while (at < len) {
		n = text_utf8(text + at, len - at, &code);
		if (at + (n ? n : 1) > JSON_TEXT_MAX)
			break;
		put_character(json, text + at, n, code);
		at += n ? n : 1;
	}
	if (at < len)
		put_word(json, "...");
	put(json, "\"", 1);
}
