/*
 * json: write JSON (RFC 8259) into memory that the caller has, one line for a value.
 *
 * Commas come by themselves, and so does escaping: what is written is always valid UTF-8
 * without control characters, whatever text it is given.  Nothing is allocated.  Where
 * the room does not suffice nothing more is written, and `full` says so; who takes back
 * what does not fit keeps a copy of the struct and puts it back.
 *
 *	json_open(&json, NULL, '{');
 *	json_text(&json, "service", name);
 *	json_open(&json, "addresses", '[');
 *	...
 *	json_close(&json, ']');
 *	json_close(&json, '}');
 *	json_end_line(&json);
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_JSON_H
#define HATCHD_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a text that are written; the rest of a longer one is left out, whole
 * characters, with "..." in its place. */
#define JSON_TEXT_MAX 512

/* What one text can take at most: each byte as \u00NN, two quotes, the dots. */
#define JSON_TEXT_ROOM (6 * JSON_TEXT_MAX + 5)

struct json {
	char *buf;
	size_t size, len;
	bool full;  /* something has found no room */
	bool comma; /* before what comes next */
};

/* Write into `buf`, which is borrowed and gets no NUL. */
void json_init(struct json *json, char *buf, size_t size);

/*
 * Everything that can stand in an object has a key, which is a literal without anything
 * to escape; in an array, and at the beginning of a line, it is NULL.
 */
void json_open(struct json *json, const char *key, char bracket); /* { or [ */
void json_close(struct json *json, char bracket);                 /* } or ] */
void json_number(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* A byte that is no UTF-8 becomes U+FFFD.  NULL is null. */
void json_text(struct json *json, const char *key, const char *text);

/* A newline, behind which a line of its own begins. */
void json_end_line(struct json *json);

#endif
