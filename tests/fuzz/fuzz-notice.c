/*
 * What a program says of itself, which root reads.
 *
 * Besides memory errors this looks for what must never be: a status that is too long or would
 * harm a terminal, more time than may be given, and a message that is refused as a whole but
 * not when it is read line by line, or the other way round.
 */
#include "base/text.h"
#include "policy/notice.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_status(const char *status)
{
	size_t len = strlen(status);

	check(len < NOTICE_STATUS_MAX);
	for (size_t i = 0; i < len;) {
		uint32_t code;
		size_t n = text_utf8(status + i, len - i, &code);

		check(n > 0 && !text_is_control(code));
		i += n;
	}
}

/* The last one that says something holds. */
static void read_lines(const char *text, size_t size, struct notice *whole)
{
	while (size > 0) {
		const char *newline = memchr(text, '\n', size);
		size_t len = newline ? (size_t)(newline - text) : size;
		struct notice line;

		check(notice_parse(text, len, &line) == (len > 0));
		if (len > 0) {
			whole->ready |= line.ready;
			whole->state = line.state ? line.state : whole->state;
			whole->has_status |= line.has_status;
			if (line.has_status)
				memcpy(whole->status, line.status, sizeof line.status);
		}
		text += newline ? len + 1 : len;
		size -= newline ? len + 1 : len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct notice notice, lines = {0};

	if (!notice_parse(text, size, &notice)) {
		check(size == 0 || size > NOTICE_MAX || memchr(data, '\0', size));
		return 0;
	}
	check_status(notice.status);
	check(notice.has_status || !notice.status[0]);
	check(!notice.ready || notice.state != NOTICE_NOTHING);
	check(notice.state < _NOTICE_STATE_MAX && notice.extend <= NOTICE_EXTEND_MAX);
	read_lines(text, size, &lines);
	check(notice.ready == lines.ready && notice.state == lines.state);
	check(notice.has_status == lines.has_status);
	check(strcmp(notice.status, lines.status) == 0);
	return 0;
}
