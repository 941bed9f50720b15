#include "policy/notice.h"

#include "base/text.h"

#include <string.h>

/* Between two newlines. */
struct line {
	const char *text;
	size_t len;
};

void notice_copy_status(const char *text, size_t len, char ret[NOTICE_STATUS_MAX])
{
	size_t used = 0, i = 0;

	while (i < len) {
		uint32_t code = 0;
		size_t n = text_utf8(text + i, len - i, &code);
		bool harmless = n > 0 && !text_is_control(code);
		size_t room = harmless ? n : 1;

		if (used + room >= NOTICE_STATUS_MAX)
			break;
		if (harmless)
			memcpy(ret + used, text + i, n);
		else
			ret[used] = '?';
		used += room;
		i += n > 0 ? n : 1;
	}
	ret[used] = '\0';
}

/* What stands behind `name`, which ends in =; false: it is another line. */
static bool value_of(const struct line *line, const char *name, struct line *ret)
{
	size_t len = strlen(name);

	if (line->len < len || memcmp(line->text, name, len) != 0)
		return false;
	*ret = (struct line){line->text + len, line->len - len};
	return true;
}

static bool is(const struct line *line, const char *whole)
{
	return line->len == strlen(whole) && memcmp(line->text, whole, line->len) == 0;
}

static void take_extend(const struct line *value, struct notice *notice)
{
	char digits[TEXT_NUMBER_MAX];
	uint64_t usec;

	if (value->len >= sizeof digits)
		return;
	memcpy(digits, value->text, value->len);
	digits[value->len] = '\0';
	if (text_parse_u64(digits, &usec) < 0)
		return;
	notice->extend = usec < NOTICE_EXTEND_MAX ? usec : NOTICE_EXTEND_MAX;
}

static void take_line(const struct line *line, struct notice *notice)
{
	struct line value;

	if (is(line, "READY=1")) {
		notice->ready = true;
		notice->state = NOTICE_READY;
	} else if (is(line, "RELOADING=1")) {
		notice->state = NOTICE_RELOADING;
	} else if (is(line, "STOPPING=1")) {
		notice->state = NOTICE_STOPPING;
	} else if (value_of(line, "STATUS=", &value)) {
		notice->has_status = true;
		notice_copy_status(value.text, value.len, notice->status);
	} else if (value_of(line, "EXTEND_TIMEOUT_USEC=", &value)) {
		take_extend(&value, notice);
	}
}

bool notice_parse(const char *text, size_t len, struct notice *ret)
{
	const char *end = text + len;

	if (len == 0 || len > NOTICE_MAX || memchr(text, '\0', len))
		return false;
	*ret = (struct notice){0};
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;
		const struct line line = {text, (size_t)(stop - text)};

		take_line(&line, ret);
		text = newline ? newline + 1 : end;
	}
	return true;
}
