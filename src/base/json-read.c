#include "base/json-read.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffd

/* All of these move *at behind what they have read; false: it is not there, or wrong. */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(const char **at, const char *end)
{
	while (*at < end && is_blank(**at))
		(*at)++;
}

static bool skip_character(const char **at, const char *end, char c)
{
	if (*at >= end || **at != c)
		return false;
	(*at)++;
	return true;
}

static bool skip_word(const char **at, const char *end, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool skip_digits(const char **at, const char *end)
{
	const char *start = *at;

	while (*at < end && **at >= '0' && **at <= '9')
		(*at)++;
	return *at > start;
}

static bool skip_number(const char **at, const char *end)
{
	skip_character(at, end, '-');
	if (!skip_character(at, end, '0') && !skip_digits(at, end))
		return false;
	if (skip_character(at, end, '.') && !skip_digits(at, end))
		return false;
	if (!skip_character(at, end, 'e') && !skip_character(at, end, 'E'))
		return true;
	if (!skip_character(at, end, '+'))
		skip_character(at, end, '-');
	return skip_digits(at, end);
}

/* Four digits. */
static bool read_hex(const char **at, const char *end, uint32_t *ret)
{
	uint32_t code = 0;

	if (end - *at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int digit = text_hex_digit((*at)[i]);

		if (digit < 0)
			return false;
		code = code << 4 | (uint32_t)digit;
	}
	*at += 4;
	*ret = code;
	return true;
}

/* Behind the first half of a pair comes the second, or it stands for nothing. */
static void read_second_half(const char **at, const char *end, uint32_t *code)
{
	const char *next = *at;
	uint32_t low;

	if (*code < 0xd800 || *code > 0xdfff)
		return;
	if (*code < 0xdc00 && skip_word(&next, end, "\\u") && read_hex(&next, end, &low) &&
		low >= 0xdc00 && low <= 0xdfff) {
		*code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
		*at = next;
	} else {
		*code = REPLACEMENT;
	}
}

/* What follows a backslash. */
static bool read_escape(const char **at, const char *end, uint32_t *ret)
{
	static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (*at >= end)
		return false;
	if (skip_character(at, end, 'u')) {
		if (!read_hex(at, end, ret))
			return false;
		read_second_half(at, end, ret);
		if (*ret == 0)
			*ret = REPLACEMENT;
		return true;
	}
	name = memchr(names, **at, sizeof names - 1);
	if (!name)
		return false;
	(*at)++;
	*ret = (unsigned char)meanings[name - names];
	return true;
}

/* One character of a text: *ret is its code.  Not the quote that ends it. */
static bool read_character(const char **at, const char *end, uint32_t *ret)
{
	size_t n;

	if (*at >= end || **at == '"' || (unsigned char)**at < 0x20)
		return false;
	if (skip_character(at, end, '\\'))
		return read_escape(at, end, ret);
	n = text_utf8(*at, (size_t)(end - *at), ret);
	*at += n;
	return n > 0;
}

static bool skip_string(const char **at, const char *end)
{
	uint32_t code;

	if (!skip_character(at, end, '"'))
		return false;
	while (read_character(at, end, &code))
		;
	return skip_character(at, end, '"');
}

static bool skip_value(const char **at, const char *end, int depth);

static bool skip_item(const char **at, const char *end, bool object, int depth)
{
	skip_blanks(at, end);
	if (object) {
		if (!skip_string(at, end))
			return false;
		skip_blanks(at, end);
		if (!skip_character(at, end, ':'))
			return false;
		skip_blanks(at, end);
	}
	if (!skip_value(at, end, depth + 1))
		return false;
	skip_blanks(at, end);
	return true;
}

/* From its bracket on. */
static bool skip_list(const char **at, const char *end, bool object, int depth)
{
	char last = object ? '}' : ']';

	if (depth >= JSON_DEPTH_MAX)
		return false;
	(*at)++;
	skip_blanks(at, end);
	if (skip_character(at, end, last))
		return true;
	do {
		if (!skip_item(at, end, object, depth))
			return false;
	} while (skip_character(at, end, ','));
	return skip_character(at, end, last);
}

static bool skip_value(const char **at, const char *end, int depth)
{
	if (*at >= end)
		return false;
	switch (**at) {
	case '{':
	case '[':
		return skip_list(at, end, **at == '{', depth);
	case '"':
		return skip_string(at, end);
	case 't':
		return skip_word(at, end, "true");
	case 'f':
		return skip_word(at, end, "false");
	case 'n':
		return skip_word(at, end, "null");
	default:
		return skip_number(at, end);
	}
}

bool json_parse(const char *text, size_t len, struct json_value *ret)
{
	const char *at = text, *end = text + len, *start;

	skip_blanks(&at, end);
	start = at;
	if (!skip_value(&at, end, 0))
		return false;
	*ret = (struct json_value){start, at};
	skip_blanks(&at, end);
	return at == end;
}

/* ------------------------------------------------ of values that were checked */

static struct json_value take_value(const char **at, const char *end)
{
	struct json_value value = {.at = *at};

	if (!skip_value(at, end, 0))
		return (struct json_value){NULL, NULL};
	value.end = *at;
	return value;
}

bool json_next(struct json_value list, struct json_value *item, struct json_value *ret_key)
{
	const char *at = item->at ? item->end : list.at;
	struct json_value key = {NULL, NULL};
	bool object;

	if (!list.at || (*list.at != '{' && *list.at != '['))
		return false;
	object = *list.at == '{';
	if (!item->at)
		at++;
	skip_blanks(&at, list.end);
	skip_character(&at, list.end, ',');
	skip_blanks(&at, list.end);
	if (at >= list.end || *at == '}' || *at == ']')
		return false;
	if (object) {
		key = take_value(&at, list.end);
		skip_blanks(&at, list.end);
		skip_character(&at, list.end, ':');
		skip_blanks(&at, list.end);
	}
	*item = take_value(&at, list.end);
	if (ret_key)
		*ret_key = key;
	return item->at;
}

struct json_value json_get(struct json_value object, const char *key)
{
	struct json_value item = {NULL, NULL}, name;
	size_t len = strlen(key);

	if (!object.at || *object.at != '{')
		return item;
	while (json_next(object, &item, &name))
		if ((size_t)(name.end - name.at) == len + 2 &&
			memcmp(name.at + 1, key, len) == 0)
			return item;
	return (struct json_value){NULL, NULL};
}

uint64_t json_to_number(struct json_value value)
{
	char text[TEXT_NUMBER_MAX];
	size_t len = value.at ? (size_t)(value.end - value.at) : 0;
	uint64_t number;

	if (len == 0 || len >= sizeof text)
		return 0;
	memcpy(text, value.at, len);
	text[len] = '\0';
	return text_parse_u64(text, &number) < 0 ? 0 : number;
}

bool json_is_true(struct json_value value)
{
	return value.at && *value.at == 't';
}

static char *put_utf8(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*to++ = (char)(0xe0 | code >> 12);
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	} else {
		*to++ = (char)(0xf0 | code >> 18);
		*to++ = (char)(0x80 | (code >> 12 & 0x3f));
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	}
	return to;
}

/* No character takes more room than what it is written as. */
char *json_to_string(struct json_value value)
{
	const char *at = value.at;
	char *text, *to;
	uint32_t code;

	if (!at || *at != '"')
		return NULL;
	text = to = malloc((size_t)(value.end - at));
	if (!text)
		return NULL;
	at++;
	while (read_character(&at, value.end, &code))
		to = put_utf8(to, code);
	*to = '\0';
	return text;
}
