/* JSON: what was let in can be walked, and its texts can be written again. */
#include "base/json-read.h"
#include "base/json.h"
#include "base/own.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const char *text)
{
	char buf[JSON_TEXT_ROOM];
	_cleanup_free_ char *back = NULL;
	struct json_value value;
	struct json json;

	json_init(&json, buf, sizeof buf);
	json_text(&json, NULL, text);
	if (json.full || !json_parse(buf, json.len, &value))
		abort();
	back = json_to_string(value);
	if (back && strlen(text) <= JSON_TEXT_MAX && strcmp(back, text) != 0)
		abort();
}

static void look(struct json_value value)
{
	_cleanup_free_ char *text = json_to_string(value);

	if (text)
		write_again(text);
	json_to_number(value);
	json_is_true(value);
	json_get(value, "a");
}

static void walk(struct json_value value)
{
	struct json_value item = {NULL, NULL}, key;

	look(value);
	while (json_next(value, &item, &key)) {
		look(key);
		walk(item);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_value value;

	if (json_parse((const char *)data, size, &value))
		walk(value);
	return 0;
}
