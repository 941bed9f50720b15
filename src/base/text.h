/*
 * text: numbers, sizes, durations and modes, from text and back.
 *
 * Every parser takes the whole string or nothing: no leading blanks, no
 * trailing rest, no sign where none makes sense, no silent overflow.  They
 * return 0, or -EINVAL (not of that form) or -ERANGE (of that form, but too
 * large), and touch *ret only on success.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_TEXT_H
#define HATCHD_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only. */
int text_parse_u64(const char *text, uint64_t *ret);
int text_parse_u32(const char *text, uint32_t *ret);

/* Decimal digits, or 0x and hexadecimal ones. */
int text_parse_bits(const char *text, uint32_t *ret);

/* 0 to 15 of one hexadecimal digit, large or small; -1: it is none. */
int text_hex_digit(char c);

/* Decimal digits with an optional minus sign. */
int text_parse_i32(const char *text, int32_t *ret);

/* "0644" or "644": octal digits, at most 07777. */
int text_parse_mode(const char *text, uint32_t *ret);

/* yes no on off true false, in small letters. */
int text_parse_bool(const char *text, bool *ret);

/* "64K", "1M", "2G", "3T" (powers of 1024) or plain bytes. */
int text_parse_size(const char *text, uint64_t *ret);

/* "500us" "500ms" "10s" "5min" "2h" "1d" to microseconds; a bare number is seconds. */
int text_parse_duration(const char *text, uint64_t *ret_usec);

/* Room for the longest text that the formatters below write, NUL included. */
#define TEXT_NUMBER_MAX 32

/* In decimal at `to`, like stpcpy(3): at most 11 bytes, NUL included; returns
 * where the NUL is. */
char *text_put_u32(char *to, uint32_t value);

/* Exact, in the largest unit that leaves no rest; text_parse_size() and
 * text_parse_duration() read it back.  0 is "0". */
const char *text_format_size(uint64_t size, char buf[TEXT_NUMBER_MAX]);
const char *text_format_duration(uint64_t usec, char buf[TEXT_NUMBER_MAX]);

/* For people, rounded to three digits: "850 us", "3 ms", "1.25 s"; from one
 * minute on to two units: "2 min 5 s", "3 h 20 min", "2 d 1 h". */
const char *text_format_elapsed(uint64_t usec, char buf[TEXT_NUMBER_MAX]);

/*
 * Copy text that came from outside for showing it on a terminal or in a log:
 * control characters, DEL and bytes that are not valid UTF-8 become \xNN, a
 * backslash is doubled.  Different texts stay different.  Always ends in a
 * NUL; cuts at `size` between characters and never inside a \xNN.  Up to four
 * bytes are written for one of `text`.  Returns buf.
 */
const char *text_escape(const char *text, size_t len, char *buf, size_t size);

/*
 * Bytes of the UTF-8 character at the start of `text`, which is *ret_code; 0
 * if there is none: cut short, overlong, a surrogate, or beyond U+10FFFF.
 */
size_t text_utf8(const char *text, size_t len, uint32_t *ret_code);

/* The control characters of ASCII, DEL, and those of the second range
 * (U+0080 to U+009F), which terminals obey as well. */
bool text_is_control(uint32_t code);

/*
 * How many single-character edits (insert, delete, replace, swap of two
 * neighbours) lead from a to b, without regard to case; strings beyond 64
 * characters count as infinitely far (SIZE_MAX).  For "did you mean".
 */
size_t text_distance(const char *a, const char *b);

/*
 * The candidate nearest to `word`, or NULL if none is near enough to be worth
 * naming (more than a third of the word's letters would have to change).
 * `candidates` ends with NULL.
 */
const char *text_nearest(const char *word, const char *const *candidates);

#endif
