/*
 * json-read: look into JSON (RFC 8259) that somebody else has written.
 *
 * A value is a piece of the text that was checked as a whole, once; what is asked for is
 * looked up there, and nothing is allocated but texts.  Nothing is taken for granted of
 * what the writer says: each question has an answer for a value of another kind.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_JSON_READ_H
#define HATCHD_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Objects and arrays within each other. */
#define JSON_DEPTH_MAX 16

/* Borrowed from the text; `at` NULL: there is none. */
struct json_value {
	const char *at, *end;
};

/* All of the text is one value, with blanks around it at most: *ret.  Else false. */
bool json_parse(const char *text, size_t len, struct json_value *ret);

/* The first member of an object with that key, as it stands between the quotes; none
 * if there is none, or `object` is none. */
struct json_value json_get(struct json_value object, const char *key);

/*
 * The next item of an array, or member of an object, whose key is then *ret_key (NULL:
 * nobody wants to know), a text for json_string().  `item` begins as none; false at the
 * end, and for other values.
 */
bool json_next(struct json_value list, struct json_value *item, struct json_value *ret_key);

/* A whole number that fits; 0 for everything else. */
uint64_t json_to_number(struct json_value value);

/* Whether it is true; false for everything else. */
bool json_is_true(struct json_value value);

/* A text, decoded into fresh memory of the caller; NULL for everything else, or without
 * memory.  U+0000 and halves of a surrogate pair become U+FFFD. */
char *json_to_string(struct json_value value);

#endif
