#include "base/text.h"

#include "base/clock.h"
#include "base/own.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A unit of a number, largest first in its table; a table ends with NULL. */
struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"T", UINT64_C(1) << 40},
	{"G", UINT64_C(1) << 30},
	{"M", UINT64_C(1) << 20},
	{"K", UINT64_C(1) << 10},
	{"", 1},
	{NULL, 0},
};

#define MINUTE (60 * USEC_PER_SEC)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const struct unit duration_units[] = {
	{"d", DAY},
	{"h", HOUR},
	{"min", MINUTE},
	{"s", USEC_PER_SEC},
	{"ms", USEC_PER_MSEC},
	{"us", 1},
	{"", USEC_PER_SEC},
	{NULL, 0},
};

/* Locale-free, and defined for negative characters. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * The digits at *text in a base up to ten; *text moves behind them.  -EINVAL
 * if there are none, -ERANGE if they do not fit (*text moves nevertheless, so
 * that the caller can see whether the form was right).
 */
static int take_digits(const char **text, unsigned base, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;
	int r = 0;

	if (!is_digit(*p))
		return -EINVAL;
	for (; is_digit(*p); p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (digit >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, digit, &value))
			r = -ERANGE;
	}
	*text = p;
	if (r == 0)
		*ret = value;
	return r;
}

/* A whole text of digits, at most `max`. */
static int parse_number(const char *text, unsigned base, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	int r;

	r = take_digits(&text, base, &value);
	if (r == -EINVAL || *text != '\0')
		return -EINVAL;
	if (r < 0 || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* Digits and one unit of the table. */
static int parse_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t value = 0;
	int r;

	r = take_digits(&text, 10, &value);
	if (r == -EINVAL)
		return r;
	while (units->name && strcmp(units->name, text) != 0)
		units++;
	if (!units->name)
		return -EINVAL;
	if (r < 0 || __builtin_mul_overflow(value, units->factor, &value))
		return -ERANGE;
	*ret = value;
	return 0;
}

int text_parse_u64(const char *text, uint64_t *ret)
{
	return parse_number(text, 10, UINT64_MAX, ret);
}

int text_parse_u32(const char *text, uint32_t *ret)
{
	uint64_t value;
	int r;

	r = parse_number(text, 10, UINT32_MAX, &value);
	if (r < 0)
		return r;
	*ret = (uint32_t)value;
	return 0;
}

int text_hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int text_parse_bits(const char *text, uint32_t *ret)
{
	uint64_t value = 0;

	if (text[0] != '0' || text[1] != 'x')
		return text_parse_u32(text, ret);
	text += 2;
	if (*text == '\0')
		return -EINVAL;
	for (; *text; text++) {
		int digit = text_hex_digit(*text);

		if (digit < 0)
			return -EINVAL;
		/* Stays too large once it is. */
		if (value <= UINT32_MAX)
			value = value * 16 + (uint64_t)digit;
	}
	if (value > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)value;
	return 0;
}

int text_parse_i32(const char *text, int32_t *ret)
{
	bool negative = *text == '-';
	uint64_t value;
	int r;

	r = parse_number(text + negative, 10, (uint64_t)INT32_MAX + negative, &value);
	if (r < 0)
		return r;
	*ret = (int32_t)(negative ? -(int64_t)value : (int64_t)value);
	return 0;
}

int text_parse_mode(const char *text, uint32_t *ret)
{
	uint64_t value;
	int r;

	r = parse_number(text, 8, 07777, &value);
	if (r < 0)
		return r;
	*ret = (uint32_t)value;
	return 0;
}

int text_parse_bool(const char *text, bool *ret)
{
	static const char *const words[][2] = {
		{"no", "yes"},
		{"off", "on"},
		{"false", "true"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (int value = 0; value < 2; value++) {
			if (strcmp(text, words[i][value]) == 0) {
				*ret = value;
				return 0;
			}
		}
	}
	return -EINVAL;
}

int text_parse_size(const char *text, uint64_t *ret)
{
	return parse_with_unit(text, size_units, ret);
}

int text_parse_duration(const char *text, uint64_t *ret_usec)
{
	return parse_with_unit(text, duration_units, ret_usec);
}

/* The table has a unit of 1, so the loop ends. */
static const char *format_with_unit(uint64_t value, const struct unit *units, char *buf)
{
	while (value % units->factor != 0)
		units++;
	snprintf(buf, TEXT_NUMBER_MAX, "%" PRIu64 "%s", value / units->factor, units->name);
	return buf;
}

char *text_put_u32(char *to, uint32_t value)
{
	char digits[sizeof "4294967295"], *first = digits + sizeof digits - 1;

	*first = '\0';
	do
		*--first = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	return stpcpy(to, first);
}

const char *text_format_size(uint64_t size, char buf[TEXT_NUMBER_MAX])
{
	/* 0T would be exact as well, but not what anybody writes. */
	return size == 0 ? strcpy(buf, "0") : format_with_unit(size, size_units, buf);
}

const char *text_format_duration(uint64_t usec, char buf[TEXT_NUMBER_MAX])
{
	return usec == 0 ? strcpy(buf, "0") : format_with_unit(usec, duration_units, buf);
}

/* Half goes up; no overflow at the top of the range but that of the result. */
static uint64_t round_to(uint64_t value, uint64_t step)
{
	uint64_t rest = value % step;

	value -= rest;
	return rest >= step - rest && value <= UINT64_MAX - step ? value + step : value;
}

/* "3", "1.25", "12.5": three digits of value / unit, no zeros at the end. */
static const char *format_short(uint64_t value, uint64_t unit, const char *name, char *buf)
{
	/* Below 1000 units by construction, so thousandths fit six digits. */
	unsigned milli = (unsigned)(value / (unit / 1000)) % 1000000;
	char fraction[8];
	size_t len;

	snprintf(fraction, sizeof fraction, ".%03u", milli % 1000);
	for (len = 4; len > 1 && fraction[len - 1] == '0'; len--)
		;
	fraction[len == 1 ? 0 : len] = '\0';
	snprintf(buf, TEXT_NUMBER_MAX, "%u%s %s", milli / 1000, fraction, name);
	return buf;
}

/* "2 min 5 s", or "2 min" when there is nothing of the lesser unit. */
static const char *format_pair(uint64_t usec, const struct unit *unit, char *buf)
{
	const struct unit *lesser = unit + 1;
	uint64_t whole = usec / unit->factor;
	uint64_t rest = usec % unit->factor / lesser->factor;

	if (rest == 0)
		snprintf(buf, TEXT_NUMBER_MAX, "%" PRIu64 " %s", whole, unit->name);
	else
		snprintf(buf, TEXT_NUMBER_MAX, "%" PRIu64 " %s %" PRIu64 " %s", whole,
			unit->name, rest, lesser->name);
	return buf;
}

const char *text_format_elapsed(uint64_t usec, char buf[TEXT_NUMBER_MAX])
{
	uint64_t step = 1, rounded;

	/* Round first and choose the unit afterwards: 999.9 ms is "1 s". */
	while (usec / step >= 1000)
		step *= 10;
	rounded = round_to(usec, step);
	if (rounded < USEC_PER_MSEC) {
		snprintf(buf, TEXT_NUMBER_MAX, "%" PRIu64 " us", rounded);
		return buf;
	}
	if (rounded < USEC_PER_SEC)
		return format_short(rounded, USEC_PER_MSEC, "ms", buf);
	if (rounded < MINUTE)
		return format_short(rounded, USEC_PER_SEC, "s", buf);

	rounded = round_to(usec, USEC_PER_SEC);
	if (rounded < HOUR)
		return format_pair(rounded, &duration_units[2], buf);
	rounded = round_to(usec, MINUTE);
	if (rounded < DAY)
		return format_pair(rounded, &duration_units[1], buf);
	return format_pair(round_to(usec, HOUR), &duration_units[0], buf);
}

/* Bytes that a lead byte announces, and the least code point of that length:
 * a smaller one is an overlong form.  0 for no lead byte. */
static size_t utf8_announced(uint8_t lead, uint32_t *ret_code, uint32_t *ret_least)
{
	static const struct {
		uint8_t mask, bits;
		uint32_t least;
	} forms[] = {
		{0x80, 0x00, 0},
		{0xe0, 0xc0, 0x80},
		{0xf0, 0xe0, 0x800},
		{0xf8, 0xf0, 0x10000},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if ((lead & forms[i].mask) != forms[i].bits)
			continue;
		*ret_code = lead & (uint8_t)~forms[i].mask;
		*ret_least = forms[i].least;
		return i + 1;
	}
	return 0;
}

size_t text_utf8(const char *text, size_t len, uint32_t *ret_code)
{
	uint32_t code = 0, least = 0;
	size_t n;

	if (len == 0)
		return 0;
	n = utf8_announced((uint8_t)text[0], &code, &least);
	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		uint8_t c = (uint8_t)text[i];

		if ((c & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (c & 0x3f);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

bool text_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

/* One character of `text` as it is to be shown, into `piece`; returns how many
 * bytes of `text` it stands for. */
static size_t escape_one(const char *text, size_t len, char piece[8])
{
	uint32_t code = 0;
	size_t n = text_utf8(text, len, &code);

	if (n == 0 || text_is_control(code)) {
		/* Byte by byte: the second byte of a two-byte control character
		 * is then no valid character and comes out the same way. */
		snprintf(piece, 8, "\\x%02x", (uint8_t)text[0]);
		return 1;
	}
	if (code == '\\') {
		strcpy(piece, "\\\\");
		return 1;
	}
	memcpy(piece, text, n);
	piece[n] = '\0';
	return n;
}

const char *text_escape(const char *text, size_t len, char *buf, size_t size)
{
	size_t used = 0, piece_len;
	char piece[8];

	if (size == 0)
		return buf;
	while (len > 0) {
		size_t n = escape_one(text, len, piece);

		piece_len = strlen(piece);
		if (piece_len >= size - used)
			break;
		memcpy(buf + used, piece, piece_len);
		used += piece_len;
		text += n;
		len -= n;
	}
	buf[used] = '\0';
	return buf;
}

/* Longest string whose distance is measured. */
#define DISTANCE_MAX 64

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Cost of cell (i, j) from the cells before it; rows[k] is row i - k. */
static size_t distance_cell(
	size_t *const rows[3], const char *a, const char *b, size_t i, size_t j)
{
	bool same = lower(a[i - 1]) == lower(b[j - 1]);
	size_t cost;

	cost = rows[1][j - 1] + !same;
	cost = smaller(cost, rows[1][j] + 1);
	cost = smaller(cost, rows[0][j - 1] + 1);
	if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
		lower(a[i - 2]) == lower(b[j - 1]))
		cost = smaller(cost, rows[2][j - 2] + 1);
	return cost;
}

/* The table of Damerau and Levenshtein (neighbours are swapped at most once),
 * of which only three rows are ever looked at. */
size_t text_distance(const char *a, const char *b)
{
	size_t table[3][DISTANCE_MAX + 1];
	size_t *rows[3] = {table[0], table[1], table[2]};
	size_t len_a = strnlen(a, DISTANCE_MAX + 1), len_b = strnlen(b, DISTANCE_MAX + 1);
	size_t *recycled;

	if (len_a > DISTANCE_MAX || len_b > DISTANCE_MAX)
		return SIZE_MAX;

	for (size_t j = 0; j <= len_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		recycled = rows[2];
		rows[2] = rows[1];
		rows[1] = rows[0];
		rows[0] = recycled;
		rows[0][0] = i;
		for (size_t j = 1; j <= len_b; j++)
			rows[0][j] = distance_cell(rows, a, b, i, j);
	}
	return rows[0][len_b];
}

const char *text_nearest(const char *word, const char *const *candidates)
{
	size_t nearest = strlen(word) / 3 + 1;
	const char *found = NULL;

	for (; *candidates; candidates++) {
		size_t distance = text_distance(word, *candidates);

		if (distance < nearest) {
			nearest = distance;
			found = *candidates;
		}
	}
	return found;
}
