#include "base/hostname.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LABEL_MAX 63

/* In ASCII, whatever the locale says. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hexadecimal(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_of_label(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_label(const char *label, size_t len)
{
	if (len == 0 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_of_label(label[i]))
			return false;
	return true;
}

/* As inet_aton(3) would take the last part of an address. */
static bool is_number(const char *label)
{
	bool (*is_of_it)(char c) = is_digit;

	if (label[0] == '0' && label[1] == 'x') {
		is_of_it = is_hexadecimal;
		label += 2;
	}
	while (*label && is_of_it(*label))
		label++;
	return *label == '\0';
}

bool hostname_is_plain(const char *text)
{
	if (strnlen(text, HOSTNAME_ROOM) > HOSTNAME_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(text, ".");

		if (!is_label(text, len))
			return false;
		if (text[len] == '\0')
			return !is_number(text);
		text += len + 1;
	}
}

int hostname_read(const char *text, char ret[HOSTNAME_ROOM])
{
	size_t len = strnlen(text, HOSTNAME_ROOM + 1);
	char name[HOSTNAME_ROOM];

	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len > HOSTNAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		name[i] = lower(text[i]);
	name[len] = '\0';
	if (!hostname_is_plain(name))
		return -EINVAL;
	memcpy(ret, name, len + 1);
	return 0;
}

bool hostname_is_pattern(const char *text)
{
	if (text[0] != '.')
		return hostname_is_plain(text);
	/* There is a label before it, of one letter at least. */
	return strnlen(text, HOSTNAME_ROOM) < HOSTNAME_MAX && hostname_is_plain(text + 1);
}

int hostname_read_pattern(const char *text, char ret[HOSTNAME_ROOM])
{
	char name[HOSTNAME_ROOM + 1] = ".";

	if (text[0] != '.')
		return hostname_read(text, ret);
	if (hostname_read(text + 1, name + 1) < 0 || !hostname_is_pattern(name))
		return -EINVAL;
	memcpy(ret, name, strlen(name) + 1);
	return 0;
}

bool hostname_matches(const char *name, const char *pattern)
{
	size_t len = strlen(name), end = strlen(pattern);

	if (pattern[0] != '.')
		return strcmp(name, pattern) == 0;
	return len > end && strcmp(name + len - end, pattern) == 0;
}
