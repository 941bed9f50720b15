#include "base/log-compose.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One character as it may be written, into `piece`; returns how many bytes of
 * `text` it stands for. */
static size_t clean_one(const char *text, size_t len, char piece[8])
{
	uint32_t code = 0;
	size_t n = text_utf8(text, len, &code);

	if (n == 0 || (text_is_control(code) && code != '\n' && code != '\t')) {
		snprintf(piece, 8, "\\x%02x", (uint8_t)text[0]);
		return 1;
	}
	memcpy(piece, text, n);
	piece[n] = '\0';
	return n;
}

/* Copy the printing characters of ASCII at the beginning, up to `room`: nearly all of most
 * texts, and these need no closer look.  How many there were. */
static size_t copy_plain(const char *text, size_t len, char *to, size_t room)
{
	size_t n = 0;

	for (; n < len && n < room && text[n] >= ' ' && text[n] <= '~'; n++)
		to[n] = text[n];
	return n;
}

void log_compose_text(char text[LOG_TEXT_MAX + 1], const char *format, va_list ap)
{
	/* Longer than the result can be, so that a character torn at its end
	 * is never reached. */
	char raw[LOG_TEXT_MAX + 8], piece[8];
	size_t len, at = 0, used = 0, piece_len;

	if (vsnprintf(raw, sizeof raw, format, ap) < 0)
		snprintf(raw, sizeof raw, "%s", format);
	len = strlen(raw);
	while (at < len) {
		piece_len = copy_plain(raw + at, len - at, text + used, LOG_TEXT_MAX - used);
		at += piece_len;
		used += piece_len;
		if (at == len)
			break;
		at += clean_one(raw + at, len - at, piece);
		piece_len = strlen(piece);
		if (piece_len > LOG_TEXT_MAX - used)
			break;
		memcpy(text + used, piece, piece_len);
		used += piece_len;
	}
	text[used] = '\0';
}

static bool add_bytes(struct log_space *space, const void *data, size_t len)
{
	if (len > space->size - space->used)
		return false;
	memcpy(space->data + space->used, data, len);
	space->used += len;
	return true;
}

static bool add_string(struct log_space *space, const char *text)
{
	return add_bytes(space, text, strlen(text));
}

bool log_compose_line(
	struct log_space *space, const char *prefix, int priority, const char *text)
{
	const char *severity = priority <= LOG_ERR       ? "error: "
	                       : priority == LOG_WARNING ? "warning: "
	                                                 : "";
	size_t before = space->used;

	if (add_string(space, prefix ? prefix : "") && add_string(space, prefix ? ": " : "") &&
		add_string(space, severity) && add_string(space, text) &&
		add_string(space, "\n"))
		return true;
	space->used = before;
	return false;
}

/* A value with a newline is preceded by its length instead of "=". */
static bool add_assignment(struct log_space *space, const char *value)
{
	uint64_t len = strlen(value);
	uint8_t length[8];

	if (!strchr(value, '\n'))
		return add_string(space, "=");
	for (size_t i = 0; i < sizeof length; i++)
		length[i] = (uint8_t)(len >> 8 * i);
	return add_string(space, "\n") && add_bytes(space, length, sizeof length);
}

/* One field of the journal's native protocol, all or nothing. */
static void add_field(struct log_space *space, const char *name, const char *value)
{
	size_t before = space->used;

	if (!add_string(space, name) || !add_assignment(space, value) ||
		!add_string(space, value) || !add_string(space, "\n"))
		space->used = before;
}

void log_compose_journal(struct log_space *space, const char *identifier, int priority,
	const struct log_field *fields, const char *text)
{
	char number[TEXT_NUMBER_MAX];

	snprintf(number, sizeof number, "%d", priority);
	add_field(space, "PRIORITY", number);
	add_field(space, "SYSLOG_IDENTIFIER", identifier);
	add_field(space, "MESSAGE", text);
	for (; fields && fields->name; fields++)
		if (fields->value)
			add_field(space, fields->name, fields->value);
}

void log_compose_syslog(
	struct log_space *space, const char *identifier, int priority, const char *text)
{
	size_t room = space->size - space->used;
	int n;

	n = snprintf(space->data + space->used, room, "<%d>%s[%d]: %s", LOG_DAEMON | priority,
		identifier, (int)getpid(), text);
	if (n < 0 || room == 0)
		return;
	space->used += (size_t)n < room ? (size_t)n : room - 1;
}
