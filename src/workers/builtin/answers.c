#include "workers/builtin/answers.h"

#include "base/own.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* From 1 January 1900 to 1 January 1970: 70 years with 17 leap days. */
#define SECONDS_BEFORE_1970 UINT64_C(2208988800)

#define FIRST_PRINTING ' '

size_t answer_daytime(int64_t now, char to[ANSWER_DAYTIME_MAX])
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec"};
	time_t seconds = (time_t)now;
	struct tm tm;
	int n;

	/* localtime(3) and strftime(3) would look each time whether the zone's file is
	 * another one by now; this one does not. */
	if (seconds != now || !localtime_r(&seconds, &tm))
		return 0;
	n = snprintf(to, ANSWER_DAYTIME_MAX, "%s %s %2d %02d:%02d:%02d %lld\r\n",
		days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min,
		tm.tm_sec, tm.tm_year + 1900LL);
	return (size_t)n;
}

void answer_time(int64_t now, uint8_t to[ANSWER_TIME_LEN])
{
	uint64_t seconds = (uint64_t)now + SECONDS_BEFORE_1970;

	for (unsigned i = 0; i < ANSWER_TIME_LEN; i++)
		to[i] = (uint8_t)(seconds >> (24 - 8 * i));
}

void answer_chargen_line(uint64_t i, uint8_t to[ANSWER_CHARGEN_LINE])
{
	unsigned number = (unsigned)(i % ANSWER_CHARGEN_LINES);

	for (unsigned k = 0; k < ANSWER_CHARGEN_LINE - 2; k++) {
		to[k] = (uint8_t)(FIRST_PRINTING + number);
		number = number + 1 < ANSWER_CHARGEN_LINES ? number + 1 : 0;
	}
	memcpy(to + ANSWER_CHARGEN_LINE - 2, "\r\n", 2);
}

void answer_chargen(uint8_t to[ANSWER_CHARGEN_PERIOD])
{
	for (unsigned i = 0; i < ANSWER_CHARGEN_LINES; i++)
		answer_chargen_line(i, to + i * ANSWER_CHARGEN_LINE);
}

/*
 * Quotations
 */

struct line {
	const uint8_t *text;
	size_t len;  /* without what ends it */
	size_t next; /* where the next one begins */
};

static struct line line_at(const uint8_t *text, size_t len, size_t at)
{
	const uint8_t *end = memchr(text + at, '\n', len - at);
	struct line line = {.text = text + at};

	line.len = end ? (size_t)(end - line.text) : len - at;
	line.next = at + line.len + (end ? 1 : 0);
	if (line.len > 0 && line.text[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_separator(const struct line *line)
{
	return line->len == 1 && *line->text == '%';
}

static bool is_blank(const struct line *line)
{
	for (size_t i = 0; i < line->len; i++)
		if (line->text[i] > ' ')
			return false;
	return true;
}

/* Where the first quotation begins whose separator begins at `at` or later; `len` if none does.
 */
static size_t next_start(const uint8_t *text, size_t len, size_t at)
{
	/* That may be in the middle of a line. */
	if (at > 0)
		at = line_at(text, len, at - 1).next;
	while (at < len) {
		struct line line = line_at(text, len, at);

		at = line.next;
		if (is_separator(&line))
			break;
	}
	return at;
}

/* Is there something to read before the next separator? */
static bool has_words(const uint8_t *text, size_t len, size_t at)
{
	while (at < len) {
		struct line line = line_at(text, len, at);

		if (is_separator(&line))
			return false;
		if (!is_blank(&line))
			return true;
		at = line.next;
	}
	return false;
}

/* So many of at most `room` bytes that no character of UTF-8 is cut. */
static size_t cut_line(const struct line *line, size_t room)
{
	size_t n = room;

	if (line->len <= room)
		return line->len;
	while (n > 0 && (line->text[n] & 0xc0) == 0x80)
		n--;
	return n > 0 ? n : room;
}

static size_t copy_quotation(
	const uint8_t *text, size_t len, size_t at, uint8_t to[ANSWER_QOTD_MAX])
{
	size_t used = 0;

	while (at < len && used + 2 < ANSWER_QOTD_MAX) {
		struct line line = line_at(text, len, at);
		size_t room = ANSWER_QOTD_MAX - used - 2, n;

		if (is_separator(&line) || (line.len > room && used > 0))
			break;
		n = cut_line(&line, room);
		memcpy(to + used, line.text, n);
		memcpy(to + used + n, "\r\n", 2);
		used += n + 2;
		at = line.next;
	}
	return used;
}

/* The first one with words that begins at `at` or later, but before `end`; `end` if there is
 * none. */
static size_t find_words(const uint8_t *text, size_t len, size_t at, size_t end)
{
	while (at < end && !has_words(text, len, at))
		at = next_start(text, len, at);
	return at < end ? at : end;
}

size_t answer_qotd(
	const uint8_t *text, size_t len, uint64_t random, uint8_t to[ANSWER_QOTD_MAX])
{
	size_t chosen, at;

	if (len == 0)
		return 0;
	chosen = next_start(text, len, (size_t)(random % len));
	at = find_words(text, len, chosen, len);
	if (at == len) {
		/* Behind the last one comes the first one. */
		at = find_words(text, len, 0, chosen);
		if (at == chosen)
			return 0;
	}
	return copy_quotation(text, len, at, to);
}

size_t answer_make(enum service_builtin kind, const uint8_t *text, size_t text_len, int64_t now,
	uint64_t random, uint8_t buf[ANSWER_MAX], const uint8_t **ret_answer)
{
	switch (kind) {
	case BUILTIN_DAYTIME:
		*ret_answer = buf;
		return answer_daytime(now, (char *)buf);
	case BUILTIN_TIME:
		*ret_answer = buf;
		answer_time(now, buf);
		return ANSWER_TIME_LEN;
	case BUILTIN_QOTD:
		*ret_answer = buf;
		return answer_qotd(text, text_len, random, buf);
	case BUILTIN_TEXT:
		*ret_answer = text;
		return text_len;
	default:
		return 0;
	}
}
